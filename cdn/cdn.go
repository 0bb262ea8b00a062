// Package cdn keeps bytes by digest: what a file is called and who may read it is not its
// business. A blob's name is the SHA-256 of its content, so the same bytes are kept once, a
// stored blob never changes, and every read can be checked against its own name.
//
// The interfaces are as small as a capability: who only reads holds a Getter. cdn/disk keeps
// blobs in a directory, cdn/s3 in a bucket, cdn/tier is an edge's cache over another store,
// cdn/cdntest is the suite that every store passes. cdn/image, cdn/text and cdn/scan look into
// what is to be kept: small pictures, words, viruses. Copy brings all blobs of one store to
// another. DESIGN.md says why it is so.
//
// Every store is safe for concurrent use.
//
// Invariants: Put returns only when the blob is durable, and stores nothing under a digest
// that is not the content's; Get gives exactly the stored bytes or an error, never a part of
// them as if it were all.
package cdn

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"time"

	"github.com/nearside/nearside/core"
)

// Digest names a blob: the SHA-256 of its bytes.
type Digest [sha256.Size]byte

// String gives 64 hexadecimal digits.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// IsZero reports whether there is no blob. (No content is known that hashes to zero.)
func (d Digest) IsZero() bool { return d == Digest{} }

// ParseDigest reads what String writes.
func ParseDigest(s string) (Digest, error) {
	var d Digest
	if len(s) == 2*len(d) { // Decode would write past d
		if _, err := hex.Decode(d[:], []byte(s)); err == nil {
			return d, nil
		}
	}
	return Digest{}, core.E(core.KindInvalid, "a digest has 64 hexadecimal digits")
}

// Range is a part of a blob. Length below zero means: to the end.
type Range struct{ Offset, Length int64 }

// Whole is all of a blob.
var Whole = Range{Length: -1}

// Within gives the number of bytes that the range has in a blob of size bytes.
func (r Range) Within(size int64) (int64, error) {
	if r.Offset < 0 || r.Offset > size || r.Length > size-r.Offset {
		return 0, core.E(core.KindInvalid, "the range is not inside the blob of %d bytes", size)
	}
	if r.Length < 0 {
		return size - r.Offset, nil
	}
	return r.Length, nil
}

// Blob is an open blob, or a part of one.
type Blob struct {
	io.ReadCloser
	Size int64 // of the whole blob, in bytes
}

// WriteTo implements io.WriterTo, so that io.Copy finds what the reader can do itself: a cache
// writes whole chunks from its memory.
func (b Blob) WriteTo(w io.Writer) (int64, error) { return io.Copy(w, b.ReadCloser) }

// Getter reads blobs. A blob that is not there gives core.KindNotFound, a range past its end
// core.KindInvalid, a store that cannot be reached core.KindUnavailable; bytes that are not
// what the digest says end the read with core.KindDiverged (checked when the whole is read).
type Getter interface {
	Get(ctx context.Context, d Digest, r Range) (Blob, error)
}

// Putter stores blobs. size is the number of bytes that r will give. A reader that gives other
// bytes than d names, or another number of them, gives core.KindInvalid and leaves nothing.
// Putting what is there already succeeds.
type Putter interface {
	Put(ctx context.Context, d Digest, size int64, r io.Reader) error
}

// Stater asks for a blob's size without reading it; core.KindNotFound when it is not there.
type Stater interface {
	Stat(ctx context.Context, d Digest) (size int64, err error)
}

// Deleter removes blobs; one that is not there is no error.
type Deleter interface {
	Delete(ctx context.Context, d Digest) error
	// Expire removes a blob if it was last put before a time, and says whether it did. A Put
	// at the same moment wins: its blob stays.
	Expire(ctx context.Context, d Digest, before time.Time) (gone bool, err error)
}

// Info is what a store knows of a blob.
type Info struct {
	Digest Digest
	Size   int64     // bytes
	PutAt  time.Time // the last Put, by the store's clock
}

// Lister walks all blobs in the order of their digests, from the first after a digest. It ends
// with the first error that each gives.
type Lister interface {
	List(ctx context.Context, after Digest, each func(Info) error) error
}

// Signer gives a URL, good for a while, by which a client reads a blob from the object store
// itself, answered with the given Content-Type and Content-Disposition.
type Signer interface {
	SignedURL(ctx context.Context, d Digest, contentType, disposition string, valid time.Duration) (string, error)
}

// ReadWhole reads a blob to its end, which checks it. It gives the size that the store says it
// has, also when the bytes are wrong.
func ReadWhole(ctx context.Context, from Getter, d Digest) (size int64, err error) {
	b, err := from.Get(ctx, d, Whole)
	if err != nil {
		return 0, err
	}
	n, err := io.Copy(io.Discard, b)
	err = errors.Join(err, b.Close())
	if err == nil && n != b.Size {
		err = core.E(core.KindDiverged, "the blob was cut short")
	}
	return b.Size, err
}

// Store is a back end: all of it.
type Store interface {
	Getter
	Putter
	Stater
	Deleter
	Lister
}
