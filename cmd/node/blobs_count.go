package node

import (
	"context"
	"io"
	"sync/atomic"

	"github.com/nearside/nearside/cdn"
	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/edge"
)

// counted counts the requests that an origin could not answer for its own sake.
type counted struct {
	edge.Blobs
	errors atomic.Int64
}

func (c *counted) note(err error) error {
	switch k := core.KindOf(err); {
	case err == nil:
	case k == core.KindUnavailable, k == core.KindTimeout, k == core.KindDiverged:
		c.errors.Add(1)
	}
	return err
}

// Get implements cdn.Getter.
func (c *counted) Get(ctx context.Context, d cdn.Digest, r cdn.Range) (cdn.Blob, error) {
	b, err := c.Blobs.Get(ctx, d, r)
	if err == nil {
		b.ReadCloser = &watched{b.ReadCloser, func(err error) { _ = c.note(err) }}
	}
	return b, c.note(err)
}

// Put implements cdn.Putter.
func (c *counted) Put(ctx context.Context, d cdn.Digest, size int64, r io.Reader) error {
	return c.note(c.Blobs.Put(ctx, d, size, r))
}

// Stat implements cdn.Stater.
func (c *counted) Stat(ctx context.Context, d cdn.Digest) (int64, error) {
	size, err := c.Blobs.Stat(ctx, d)
	return size, c.note(err)
}
