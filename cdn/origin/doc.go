// Package origin is the durable store of blobs, and keeps them whole. Disks stores them on the
// disks of the home nodes; Bucket watches an object store. Repair fetches what a disk lacks,
// Sweeper removes blobs without references, Verifier reads everything and reports what is
// damaged.
//
// # Concurrency
//
// Everything is safe for concurrent use. The Run methods end with their context; no other method
// starts a goroutine that outlives it.
//
// # Invariants
//
// Disks.Put returns when a majority of the disks has the blob. A node removes nothing while its
// replica is behind the leader (SweeperConfig.Fresh), and nothing that its Ledger still refers
// to.
package origin
