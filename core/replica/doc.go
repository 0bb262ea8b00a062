// Package replica is a node's copy of the whole state in PostgreSQL, and its position. It runs
// core/apply over the log in transactions that write the position with the rows, tells readers when an
// entry can be read, publishes events, and makes and restores snapshots.
//
// It does not order, fetch or send entries: region and replication/follower do, and both call Apply
// (the latter through Sink). It does not answer clients' reads: core/read does.
//
// # Concurrency
//
// Everything is safe for concurrent use. Batches, recovery and the switch of a restore take turns. A
// waiter costs a place in a heap, a subscriber a pointer.
//
// # Lifecycle
//
// New checks the configuration, Open reads the position, Run flushes and makes snapshots until
// its context ends. Apply, WaitApplied and Restore work between Open and the end of Run.
//
// # Invariants
//
// A batch is applied whole or not at all. An entry is never applied twice, and only on top of the entry
// that was ordered before it: if PostgreSQL has lost commits in a crash, their entries are applied again
// before any other. Events are published once, in order, after what they announce can be read.
package replica
