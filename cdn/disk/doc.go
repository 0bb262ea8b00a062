// Package disk keeps blobs as files in a local or NAS directory: aa/bb/<digest>, where aa and
// bb are the digest's first four digits. Files are readable by their owner only.
//
// A blob is written to a file of its own beside the others, synced, renamed to its place, and
// the folders are synced: after a crash it is there whole or not at all. What a crash leaves
// half written is removed by a later Open, once it is an hour old.
//
// It is not a cache (nothing is evicted) and knows no names but digests, so no request can
// choose a path.
//
// Concurrency: a Store is safe for concurrent use; an open Blob is for one reader.
// Lifecycle: Open, use, Close; it starts no goroutines.
package disk
