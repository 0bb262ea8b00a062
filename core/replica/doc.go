// Package replica is a node's copy of everything: PostgreSQL and how far it has come. It runs
// core/apply over the log in transactions that move the position with the rows, tells readers
// when an entry can be read, announces events, and copies itself to and from snapshots.
//
// It does not order, fetch or send entries: region and replication/follower do, and both call
// Apply (the latter through Sink). It answers no reads: core/read does.
//
// # Concurrency
//
// Everything is safe for concurrent use. Batches, recovery and the switch of a restore take
// turns; waiting and subscribing cost a place in a heap or a pointer.
//
// # Lifecycle
//
// New checks the configuration, Open reads the position, Run flushes and makes snapshots until
// its context ends. Apply, WaitApplied and Restore work between Open and the end of Run.
//
// # Invariants
//
// A batch is applied whole or not at all. An entry is never applied twice, nor on top of
// another state than the one it was ordered after: when PostgreSQL comes back with less than
// was committed, the entries it lost are applied again before any other. Events are published
// once, in order, after what they announce can be read.
package replica
