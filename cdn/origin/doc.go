// Package origin keeps blobs where they durably are, and keeps them whole. Disks spreads them
// over the disks of the home nodes, Bucket watches over a bucket. Repair brings what a disk
// lacks, Sweeper removes what nothing refers to, Verifier reads everything and says what is
// bad.
//
// # Concurrency
//
// Everything is safe for concurrent use. The Run methods end with their context; no other method
// starts a goroutine that outlives it.
//
// # Invariants
//
// Disks.Put returns when a majority of the disks has the blob. Nothing is removed by a node that
// does not know what the leader knows (SweeperConfig.Fresh), or that its Ledger still refers to.
package origin
