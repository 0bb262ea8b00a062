// Package disk stores blobs as files in a local or NAS directory: aa/bb/<digest>, where aa and bb
// are the digest's first four digits. Only the owner can read the files.
//
// A blob is written to a temporary file in the same directory and synced; then it is renamed, and
// the folders are synced. So after a crash it exists whole or not at all. Unfinished files of a
// crash are removed by a later Open, when they are an hour old.
//
// It is not a cache (nothing is evicted). The only names are digests, so no request can choose a
// path.
//
// Concurrency: a Store is safe for concurrent use; an open Blob is for one reader. Lifecycle:
// Open, use, Close; it starts no goroutines.
package disk
