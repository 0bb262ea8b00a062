// Package simtest tests the opaque middle from a seed: a log in memory that checks its own
// history (Chain), a network in memory (Net) and whole topologies of home nodes and edges
// (World) that can be cut, delayed, made lossy, compacted and forked.
//
// It knows nothing of messages, and nothing but tests imports it.
//
// Concurrency: a Chain and a Net are safe for concurrent use. A World runs inside a
// testing/synctest bubble, where time is free and each run of a seed meets the same faults at
// the same times.
package simtest
