// Package tier is an edge's cache over an origin: blobs in a directory, the hot ones of them in
// memory too, within bounds that hold at every moment.
//
// A miss starts one fill however many ask. Readers follow the fill and wait only for the bytes
// they read; one who asks for bytes far ahead of it is sent to the origin. A fill that nobody
// waits for any more ends, unless more than half of it is there. What does not fit, or cannot
// be written, is passed through from the origin. Put stores at the edge and at the origin; with
// Config.Local the origin follows later, and what it lacks is never evicted.
//
// What is kept was checked against its digest before it got its name, and every chunk has a
// hash of its own that is checked whenever it is read from the disk. A damaged blob is dropped
// and brought again while its readers wait. It knows nothing of files, people or rights.
//
// Concurrency: every method may be called at once, but an open blob is for one goroutine. Lock
// order: Tier.mu, then fill.mu or hot.mu; no file is read or written under any of them, only
// names are changed. Lifecycle: New, Load, Run; Close after Run has returned. Run waits for all
// fills and copies; without it kept blobs are served and misses passed through.
//
// Invariants: bytes and files on the disk stay within Config's bounds, counting what is being
// filled and what was removed while a reader has it open; no unchecked byte of a kept file
// reaches a reader; the last chunk of a fill is given out only once the digest of the whole is
// right, so nobody takes another content for the whole blob. (What a range reader gets before
// that is as trustworthy as the origin.) Nothing under Config.Dir is trusted that a crash may
// have left half written.
package tier
