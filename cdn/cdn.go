// Package cdn stores blobs by digest. It does not know what a file is called or who may read it.
// A blob's name is the SHA-256 of its content, so the same bytes are stored once, a stored blob
// never changes, and every read can be checked against the name.
//
// The interfaces are small, so that each caller gets only the rights it needs: code that only
// reads takes a Getter. cdn/disk stores blobs in a directory, cdn/s3 in a bucket; cdn/tier is an
// edge's cache over another store; cdn/cdntest is the test suite that every store passes.
// cdn/image, cdn/text and cdn/scan examine files before they are stored: small pictures, words
// for search, viruses. Copy copies all blobs of one store to another. DESIGN.md gives the
// reasons.
//
// Every store is safe for concurrent use.
//
// Invariants: Put returns only when the blob is durable, and stores nothing if the content does
// not match the digest. Get gives exactly the stored bytes or an error; it never reports a part
// as the whole.
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

// String returns 64 hexadecimal digits.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// IsZero reports whether d is the zero value, which means "no blob". (No content is known whose
// SHA-256 is zero.)
func (d Digest) IsZero() bool { return d == Digest{} }

// ParseDigest is the inverse of String.
func ParseDigest(s string) (Digest, error) {
	var d Digest
	if len(s) == 2*len(d) { // Decode would write past the end of d
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

// Within returns the number of bytes of the range in a blob of size bytes, or core.KindInvalid if
// it does not lie inside.
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

// WriteTo implements io.WriterTo, so that io.Copy uses the reader's own WriteTo if it has one: a
// cache writes whole chunks from its memory.
func (b Blob) WriteTo(w io.Writer) (int64, error) { return io.Copy(w, b.ReadCloser) }

// Getter reads blobs. Errors: core.KindNotFound if the blob is missing, core.KindInvalid if the
// range ends after the blob, core.KindUnavailable if the store cannot be reached. If the bytes do
// not match the digest, the read ends with core.KindDiverged; only a read of the whole blob can
// detect this.
type Getter interface {
	Get(ctx context.Context, d Digest, r Range) (Blob, error)
}

// Putter stores blobs. size is the number of bytes in r. If r has another number of bytes, or
// bytes that do not match d, Put returns core.KindInvalid and stores nothing. Putting a blob that
// is already stored succeeds.
type Putter interface {
	Put(ctx context.Context, d Digest, size int64, r io.Reader) error
}

// Stater returns a blob's size without reading it, or core.KindNotFound.
type Stater interface {
	Stat(ctx context.Context, d Digest) (size int64, err error)
}

// Deleter removes blobs; removing a missing one is not an error.
type Deleter interface {
	Delete(ctx context.Context, d Digest) error
	// Expire removes a blob if its last Put was before a time, and reports whether it did. If a
	// Put runs at the same moment, the blob stays.
	Expire(ctx context.Context, d Digest, before time.Time) (gone bool, err error)
}

// Info describes a stored blob.
type Info struct {
	Digest Digest
	Size   int64     // bytes
	PutAt  time.Time // time of the last Put, by the store's clock
}

// Lister calls each for every blob, in the order of digests, beginning after a given digest. It
// stops at the first error that each returns.
type Lister interface {
	List(ctx context.Context, after Digest, each func(Info) error) error
}

// Signer returns a URL, valid for a limited time, at which a client reads a blob directly from
// the object store. The answer has the given Content-Type and Content-Disposition.
type Signer interface {
	SignedURL(ctx context.Context, d Digest, contentType, disposition string, valid time.Duration) (string, error)
}

// ReadWhole reads a blob to its end, which checks it. size is what the store reports, also if the
// bytes are wrong.
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

// Store is a complete back end.
type Store interface {
	Getter
	Putter
	Stater
	Deleter
	Lister
}
