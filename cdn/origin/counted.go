package origin

import (
	"context"
	"errors"
	"io"
	"sync/atomic"

	"github.com/nearside/nearside/cdn"
	"github.com/nearside/nearside/core"
)

// Counted counts the requests that failed because of the origin, not because of the request.
type Counted struct {
	Blobs
	failed atomic.Int64
}

// NewCounted counts the failures of an origin.
func NewCounted(at Blobs) *Counted { return &Counted{Blobs: at} }

// Failed returns the number of failed requests.
func (c *Counted) Failed() int64 { return c.failed.Load() }

func (c *Counted) note(err error) error {
	switch k := core.KindOf(err); {
	case err == nil:
	case k == core.KindUnavailable, k == core.KindTimeout, k == core.KindDiverged:
		c.failed.Add(1)
	}
	return err
}

// Get implements cdn.Getter.
func (c *Counted) Get(ctx context.Context, d cdn.Digest, r cdn.Range) (cdn.Blob, error) {
	b, err := c.Blobs.Get(ctx, d, r)
	if err == nil {
		b.ReadCloser = &watched{b.ReadCloser, func(err error) { _ = c.note(err) }}
	}
	return b, c.note(err)
}

// Put implements cdn.Putter.
func (c *Counted) Put(ctx context.Context, d cdn.Digest, size int64, r io.Reader) error {
	return c.note(c.Blobs.Put(ctx, d, size, r))
}

// Stat implements cdn.Stater.
func (c *Counted) Stat(ctx context.Context, d cdn.Digest) (int64, error) {
	size, err := c.Blobs.Stat(ctx, d)
	return size, c.note(err)
}

// watched notices errors while a blob is read.
type watched struct {
	io.ReadCloser
	failed func(error)
}

// Read implements io.Reader.
func (w *watched) Read(p []byte) (int, error) {
	n, err := w.ReadCloser.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		w.failed(err)
	}
	return n, err
}
