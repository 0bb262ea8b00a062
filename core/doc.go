// Package core holds what the product is: the nouns with their limits and validation, the log
// contract between the folders (Entry, Proposal, Receipt, Position, Batch, Snapshot) and the
// one error type. It imports nothing of ours.
//
// Concurrency: all types are plain values; none is safe for concurrent writes.
package core
