package node

import (
	"context"
	"io"

	"github.com/nearside/nearside/cdn"
	"github.com/nearside/nearside/edge"
	"github.com/nearside/nearside/replication/blob"
)

// Adapters between cdn and the link, which carries bytes by opaque names and does not import cdn.
var (
	_ edge.Blobs = linked{}
	_ blob.Store = served{}
)

// linked reads and stores blobs over a link.
type linked struct{ at blob.Store }

// Get implements cdn.Getter.
func (l linked) Get(ctx context.Context, d cdn.Digest, r cdn.Range) (cdn.Blob, error) {
	body, size, err := l.at.Get(ctx, d, r.Offset, r.Length)
	return cdn.Blob{ReadCloser: body, Size: size}, err
}

// Put implements cdn.Putter.
func (l linked) Put(ctx context.Context, d cdn.Digest, size int64, r io.Reader) error {
	return l.at.Put(ctx, d, size, r)
}

// Stat implements cdn.Stater.
func (l linked) Stat(ctx context.Context, d cdn.Digest) (int64, error) { return l.at.Stat(ctx, d) }

// served offers blobs to a link.
type served struct{ from edge.Blobs }

// Get implements blob.Store.
func (s served) Get(ctx context.Context, name [32]byte, offset, length int64) (io.ReadCloser, int64, error) {
	b, err := s.from.Get(ctx, name, cdn.Range{Offset: offset, Length: length})
	if err != nil {
		return nil, 0, err
	}
	return b.ReadCloser, b.Size, nil
}

// Put implements blob.Store.
func (s served) Put(ctx context.Context, name [32]byte, size int64, r io.Reader) error {
	return s.from.Put(ctx, name, size, r)
}

// Stat implements blob.Store.
func (s served) Stat(ctx context.Context, name [32]byte) (int64, error) {
	return s.from.Stat(ctx, name)
}
