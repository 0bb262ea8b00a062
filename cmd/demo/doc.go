// Package demo runs a whole deployment on one machine: three home nodes in the first region,
// an edge in every region, each a process of its own, with the distances between the regions
// imitated on the links.
//
// It is not a way to run a real deployment. It uses nodes only as processes and through their
// administration, like any operator.
//
// # Lifecycle
//
// New checks the options. Run locks the directory, writes what is missing in it (authority,
// certificates, one configuration file per node), starts the nodes, starts nodes again that have ended,
// and stops everything when its context ends. Each child has the reading end of a pipe from this process:
// if this process is killed, the pipe closes and the child stops by itself.
//
// # Directory
//
//	demo.json            the nodes: what scripts read
//	lock                 the pid of the demo that runs here
//	pki/                 the deployment's authority
//	postgres-template/   a new cluster; nodes copy it, which is faster than initdb
//	nodes/NAME/          config.yaml, certificate, key, data and log of one node
//	nodes/NAME/data/     files/ of a home node: the blobs; cache/ and spool/ of an edge: those
//	                     that its people read, and what is arriving
//
// Ports and home stay as they were at the first start, because they are in the configuration files.
package demo
