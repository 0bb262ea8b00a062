// Package wire is the protocol between nodes: numbered, length-limited frames on a stream, and
// the encodings of positions, batches, proposals, receipts and errors in them.
//
// A frame is one byte kind, one byte flags, four bytes big-endian length, then that many bytes of
// body. QUIC authenticates every packet, so frames have no checksum. But a peer may be hostile or
// of another version, so decoding never allocates more than the limits allow, and malformed bytes
// give a core.Error of KindInvalid. Bodies of batches and snapshot chunks may be zstd-compressed;
// the decompressed size has the same limit.
//
// What it is not: it opens no streams and knows no connections.
//
// Concurrency: a Reader or Writer belongs to one goroutine at a time; the encode and decode
// functions are pure.
//
// Invariants: kinds and field orders are append-only. The golden file testdata/frames.txt has one
// frame of each kind; changing one of its lines changes the protocol and needs a new Version.
package wire
