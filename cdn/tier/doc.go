// Package tier is an edge's cache over an origin: blobs in a directory, their hot chunks also in
// memory, within bounds that hold at every moment.
//
// A miss starts one fill, however many readers want the blob. Readers follow the fill and wait
// only for the bytes they read; a reader that wants bytes far ahead of the fill reads them from
// the origin. A fill without readers ends, unless more than half of the blob has arrived. A blob
// that does not fit, or cannot be written, is passed through from the origin. Put stores at the
// edge and at the origin. With Config.Local the copy to the origin follows later, and a blob that
// the origin lacks is never evicted.
//
// A kept blob was checked against its digest before it got its name, and each of its chunks has a
// hash that is checked whenever the chunk is read from the disk. A damaged blob is dropped and
// fetched again while its readers wait. The package knows nothing about files, people or
// permissions.
//
// Concurrency: every method is safe for concurrent use, but an open blob is for one goroutine.
// Lock order: Tier.mu, then fill.mu or hot.mu. No file is read or written under a lock; only
// names are changed. Lifecycle: New, Load, Run; Close after Run has returned. Run waits for all
// fills and copies. Without Run, kept blobs are served and misses are passed through.
//
// Invariants: bytes and files on the disk stay within Config's bounds; what is being filled
// counts, and what was removed while a reader has it open. No unchecked byte of a kept file
// reaches a reader. The last chunk of a fill is given out only after the digest of the whole was
// right, so a reader never gets a complete blob with wrong content. (What a range reader gets
// before that is as trustworthy as the origin.) Anything under Config.Dir that a crash may have
// left unfinished is not trusted.
package tier
