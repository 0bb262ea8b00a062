package blob

import (
	"context"
	"io"
	"time"

	"github.com/nearside/nearside/core"
)

// Store keeps blobs by name. A Client is one, and a Server answers from two.
type Store interface {
	// Get opens a part of a blob and gives the size of the whole. A length below zero means: to
	// the end. A blob that is not there is core.KindNotFound, a part that is not inside it
	// core.KindInvalid. The body ends with ctx at the latest; its first error other than io.EOF
	// says that the bytes so far are not all.
	Get(ctx context.Context, name [32]byte, offset, length int64) (body io.ReadCloser, size int64, err error)
	// Put stores a blob of exactly size bytes and returns when it is durable. It may return
	// before it has read all of r when it has the blob already.
	Put(ctx context.Context, name [32]byte, size int64, r io.Reader) error
	// Stat gives a blob's size, or core.KindNotFound.
	Stat(ctx context.Context, name [32]byte) (int64, error)
}

const (
	defaultIdle = 10 * time.Second
	bufBytes    = 64 << 10        // one write, and what counts as moving
	placeWait   = 2 * time.Second // for a place at a busy server
	margin      = 3 * time.Second // a client waits longer than its server, to hear why
	maxRequest  = 256             // bytes of a request's frame
	maxAnswer   = 16 << 10        // bytes of an answer's frame: a head or an error
)

// settle is how long a store may take over a blob after its last byte has come: it may have to
// write it at other nodes.
func settle(size int64) time.Duration {
	return time.Minute + time.Duration(size>>20)*time.Second
}

// ended gives nil if r has no more bytes.
func ended(r io.Reader) error {
	var one [1]byte
	switch _, err := io.ReadFull(r, one[:]); err {
	case io.EOF:
		return nil
	case nil:
		return core.E(core.KindInvalid, "more bytes came than were announced")
	default:
		return err
	}
}
