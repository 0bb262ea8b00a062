package cdn

import (
	"context"
	"io"
)

// Source is the reader that a store's Put reads from. It stops when a context ends, and keeps the
// reader's errors separate from the store's. It is for one goroutine.
type Source struct {
	ctx context.Context
	r   io.Reader
	err error
}

// NewSource reads r until ctx ends.
func NewSource(ctx context.Context, r io.Reader) *Source { return &Source{ctx: ctx, r: r} }

// Err returns the reader's error; nil if there was none, or if it was io.EOF.
func (s *Source) Err() error { return s.err }

// Read implements io.Reader.
func (s *Source) Read(p []byte) (int, error) {
	if s.err = s.ctx.Err(); s.err != nil {
		return 0, s.err
	}
	n, err := s.r.Read(p)
	if err != nil && err != io.EOF { // a wrapped io.EOF means that the reader broke
		s.err = err
	}
	return n, err
}
