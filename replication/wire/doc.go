// Package wire is what nodes say to each other: numbered, length-limited frames on a stream,
// and the encodings of positions, batches, proposals, receipts and errors inside them.
//
// A frame is one byte kind, one byte flags, four bytes big-endian length, then that many bytes
// of body. QUIC authenticates every packet, so frames carry no checksum of their own; but a
// peer may be hostile or of another version, so every decode is bounded and answers bad bytes
// with a core.Error of KindInvalid. Bodies of batches and snapshot chunks may be zstd-compressed;
// the decoded size is bounded like the plain one.
//
// What it is not: it opens no streams and knows no connection.
//
// Concurrency: a Reader or Writer belongs to one goroutine at a time; the encode and decode
// functions are pure.
//
// Invariants: kinds and field orders are append-only. The golden file testdata/frames.txt holds
// one frame of each kind; a change there is a change of protocol and needs a new Version.
package wire
