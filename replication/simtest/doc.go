// Package simtest tests the replication layer from a seed. It has a log in memory that checks its
// own history (Chain), a network in memory (Net), and whole topologies of home nodes and edges
// (World) that can be cut, delayed, made lossy, compacted and forked.
//
// It knows nothing about messages, and only tests import it.
//
// Concurrency: a Chain and a Net are safe for concurrent use. A World runs inside a
// testing/synctest bubble, where waiting takes no real time, and each run of a seed has the same
// faults at the same times.
package simtest
