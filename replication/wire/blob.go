package wire

import "encoding/binary"

// maxBlobBytes bounds the lengths that can be encoded. The largest blob is a setting of the
// server.
const maxBlobBytes = 1 << 62

// BlobGet requests a part of a blob. The answer is BlobHead, then the bytes, then End.
type BlobGet struct {
	Direct bool // only what the node itself stores
	Name   [32]byte
	Offset int64
	Length int64 // negative: to the end
}

// BlobPut announces a blob; exactly Size bytes and the end of the stream follow.
type BlobPut struct {
	Direct bool // store it on this node, which must not pass it on
	Name   [32]byte
	Size   int64
}

// BlobStat requests a blob's size.
type BlobStat struct {
	Direct bool // only what the node itself stores
	Name   [32]byte
}

// BlobHead answers all three requests.
type BlobHead struct {
	Size   int64 // of the whole blob
	Length int64 // bytes that follow; only after BlobGet
}

// AppendBlobGet encodes.
func AppendBlobGet(b []byte, g BlobGet) []byte {
	b = append(appendBool(b, g.Direct), g.Name[:]...)
	b = binary.AppendUvarint(b, uint64(g.Offset))
	return binary.AppendUvarint(b, uint64(max(g.Length, -1)+1)) // 0: to the end
}

// DecodeBlobGet is the inverse of AppendBlobGet.
func DecodeBlobGet(b []byte) (BlobGet, error) {
	d := decoder{b: b}
	g := BlobGet{Direct: d.bool(), Name: d.id32(), Offset: d.blobBytes(), Length: d.blobBytes() - 1}
	return g, d.done("blob request")
}

// AppendBlobPut encodes.
func AppendBlobPut(b []byte, p BlobPut) []byte {
	b = append(appendBool(b, p.Direct), p.Name[:]...)
	return binary.AppendUvarint(b, uint64(p.Size))
}

// DecodeBlobPut is the inverse of AppendBlobPut.
func DecodeBlobPut(b []byte) (BlobPut, error) {
	d := decoder{b: b}
	p := BlobPut{Direct: d.bool(), Name: d.id32(), Size: d.blobBytes()}
	return p, d.done("blob announcement")
}

// AppendBlobStat encodes.
func AppendBlobStat(b []byte, s BlobStat) []byte {
	return append(appendBool(b, s.Direct), s.Name[:]...)
}

// DecodeBlobStat is the inverse of AppendBlobStat.
func DecodeBlobStat(b []byte) (BlobStat, error) {
	d := decoder{b: b}
	s := BlobStat{Direct: d.bool(), Name: d.id32()}
	return s, d.done("blob question")
}

// AppendBlobHead encodes.
func AppendBlobHead(b []byte, h BlobHead) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(b, uint64(h.Size)), uint64(h.Length))
}

// DecodeBlobHead is the inverse of AppendBlobHead.
func DecodeBlobHead(b []byte) (BlobHead, error) {
	d := decoder{b: b}
	h := BlobHead{Size: d.blobBytes(), Length: d.blobBytes()}
	return h, d.done("blob head")
}

func (d *decoder) id32() (out [32]byte) {
	copy(out[:], d.take(32))
	return out
}

func (d *decoder) blobBytes() int64 { return int64(d.uintUpTo(maxBlobBytes)) }
