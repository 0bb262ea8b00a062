package blob

import (
	"context"
	"io"
	"time"

	"github.com/nearside/nearside/core"
)

// Store keeps blobs by name. A Client is one, and a Server answers from two.
type Store interface {
	// Get opens a part of a blob and returns the size of the whole. A negative length means: to
	// the end. Errors: core.KindNotFound if the blob is missing, core.KindInvalid if the part is
	// not inside it. The body ends with ctx at the latest. If reading it returns an error other
	// than io.EOF, the bytes so far are incomplete.
	Get(ctx context.Context, name [32]byte, offset, length int64) (body io.ReadCloser, size int64, err error)
	// Put stores a blob of exactly size bytes and returns when it is durable. If the blob is
	// already stored, it may return before it has read all of r.
	Put(ctx context.Context, name [32]byte, size int64, r io.Reader) error
	// Stat returns a blob's size, or core.KindNotFound.
	Stat(ctx context.Context, name [32]byte) (int64, error)
}

const (
	defaultIdle = 10 * time.Second
	bufBytes    = 64 << 10        // one write, and the least progress that counts
	placeWait   = 2 * time.Second // wait for a place at a busy server
	margin      = 3 * time.Second // a client waits this much longer than its server, to receive the server's error
	maxRequest  = 256             // bytes of a request's frame
	maxAnswer   = 16 << 10        // bytes of an answer's frame: a head or an error
)

// settle returns how long a store may take after a blob's last byte has arrived: it may have to
// write the blob at other nodes.
func settle(size int64) time.Duration {
	return time.Minute + time.Duration(size>>20)*time.Second
}

// ended returns nil if r has no more bytes.
func ended(r io.Reader) error {
	var one [1]byte
	switch _, err := io.ReadFull(r, one[:]); err {
	case io.EOF:
		return nil
	case nil:
		return core.E(core.KindInvalid, "more bytes arrived than were announced")
	default:
		return err
	}
}
