// Package s3 stores blobs in a bucket of an object store that speaks Amazon's S3 protocol. An
// object's name is <prefix>aa/bb/<digest>, where aa and bb are the digest's first four digits. It
// reveals no file name, user or channel.
//
// A blob becomes visible only after its bytes were checked: a small blob is checked in memory
// before it is sent; of a large blob, the last part is sent only after the whole was checked.
// Uploads that a crash leaves unfinished are invisible; Sweep removes them.
//
// A request that fails temporarily is repeated with growing pauses; the number and the time of
// the attempts are bounded. A request fails if no byte moves for StallTimeout.
//
// It is not a cache, and creates no bucket. It lists and deletes only objects whose name is a
// digest in its place, so the bucket may be shared with other programs.
//
// Expire reads an object's age and then deletes it. If another node puts the same blob between
// these two requests, its new bytes are deleted too. This cannot happen within one process.
// Between processes it needs a blob that was unused for the whole grace period and is uploaded
// elsewhere within that one round trip; the uploading edge still has it in its cache, and `files
// verify` reports it. Only one node expires at a time.
//
// Concurrency: a Store is safe for concurrent use; an open Blob is for one reader.
// Lifecycle: New does no I/O, Check tries everything once, Close drops idle connections; it
// starts no goroutines of its own.
package s3
