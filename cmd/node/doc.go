// Package node is the composition root: it knows every part and gives each the others it
// needs. A Node is one process of a deployment, with the roles home, edge or both; the one of
// `nearside serve`, those of `nearside demo` and those of a real deployment differ by Config
// only.
//
// It decides nothing about messages, order or links; when a rule appears here it belongs
// elsewhere.
//
// # Lifecycle
//
// New validates and starts nothing. Run starts the stages from the inside out (PostgreSQL,
// replica, link, home or follower, gossip, edge) and stops them from the outside in, each with
// its own limit, so that nothing outlives what it uses. The administration listener is the
// exception: it comes first and goes last, because it tells how far the others are. The first
// stage that fails stops the rest, and Run returns its error.
//
// # Files
//
// Every part of what a node does with blobs is in cdn/origin and cdn/tier; here they are opened,
// connected and started, in the order in which one needs the other. The API sees one place to
// keep bytes, wherever the node stands. Operators see and mend it by cmd/admin; cmd/doctor tries
// what a configuration names.
//
// # Concurrency
//
// Every goroutine belongs to a stage and every stage to Run. The administration handlers read
// what the stages publish in parts, a value that is replaced whole.
//
// # Invariants
//
// Two processes never share a data directory (lock). A replica that differs from its history
// answers no client (gate). Nothing here asks whether it is at home once the parts are chosen.
package node
