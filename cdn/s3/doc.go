// Package s3 keeps blobs in a bucket of an object store that speaks Amazon's S3 protocol. An
// object is called <prefix>aa/bb/<digest>, where aa and bb are the digest's first four digits:
// no file name, no user and no channel can be read from it.
//
// What was put becomes visible only after its bytes were checked: a small blob is checked in
// memory before it is sent, a large one goes up in parts and the last of them is sent after the
// whole was checked. Uploads that a crash leaves unfinished are invisible; Sweep removes them.
//
// A request that fails for the moment is repeated, with growing pauses, a bounded number of
// times and for a bounded time; no request waits longer than StallTimeout without a byte moving.
//
// It is not a cache and creates no bucket. It never lists or deletes an object whose name is
// not a digest in its place, so that a bucket may be shared.
//
// Expire asks for an object's age and then deletes it; between the two another node may put the
// same blob, and its fresh bytes go. Inside one process that cannot happen. Between processes it
// takes the same bytes, unused for the whole grace and uploaded elsewhere within that one round
// trip; the uploading edge has them in its cache still, and `files verify` names them. One node
// expires at a time.
//
// Concurrency: a Store is safe for concurrent use; an open Blob is for one reader.
// Lifecycle: New does no I/O, Check tries everything once, Close drops idle connections; it
// starts no goroutines of its own.
package s3
