package tier

import (
	"context"
	"crypto/sha256"
	"errors"
	"hash"
	"io"
	"time"

	"github.com/nearside/nearside/cdn"
	"github.com/nearside/nearside/core"
)

const (
	stall    = 30 * time.Second // an origin that delivers nothing for this long is abandoned
	maxTries = 3                // for an origin that breaks off without delivering a byte
)

// watched returns a context that ends when the origin delivers nothing for too long.
func watched(parent context.Context) (context.Context, *cdn.Watch) {
	return cdn.NewWatch(parent, stall, core.E(core.KindUnavailable, "the origin stopped delivering"))
}

// why returns the cause of the context's end, if it has ended, instead of err.
func why(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); ctx.Err() != nil && core.KindOf(cause) == core.KindUnavailable {
		return cause
	}
	return fault(err)
}

// source reads a whole blob from the origin. If the origin breaks off, it reads on from that
// byte.
type source struct {
	ctx   context.Context
	t     *Tier
	d     cdn.Digest
	watch *cdn.Watch
	blob  cdn.Blob
	size  int64
	off   int64
	tries int
}

func (s *source) open() error {
	r := cdn.Whole
	if s.off > 0 {
		r.Offset = s.off
	}
	b, err := s.t.cfg.Origin.Get(s.ctx, s.d, r)
	if err != nil {
		return s.ended(err)
	}
	if s.off > 0 && b.Size != s.size {
		_ = b.Close()
		return core.E(core.KindDiverged, "the origin reports another size")
	}
	s.blob, s.size = b, b.Size
	s.watch.Moved()
	return nil
}

func (s *source) close() { _ = s.blob.Close() }

// Read returns at least one byte or an error.
func (s *source) Read(p []byte) (int, error) {
	for {
		n, err := s.blob.Read(p)
		if n > 0 {
			s.off, s.tries = s.off+int64(n), 0
			s.watch.Moved()
			return n, nil
		}
		if err == nil {
			continue
		}
		if errors.Is(err, io.EOF) {
			err = core.E(core.KindUnavailable, "the origin broke off").WithCause(io.ErrUnexpectedEOF)
		}
		if s.tries++; !brokeOff(err) || s.tries > maxTries || s.ctx.Err() != nil {
			return 0, s.ended(err)
		}
		_ = s.blob.Close()
		if err := s.open(); err != nil {
			s.blob.ReadCloser = io.NopCloser(nil)
			return 0, err
		}
	}
}

// ended tells readers that the fill was cancelled, not their own request.
func (s *source) ended(err error) error {
	if s.ctx.Err() != nil && core.KindOf(context.Cause(s.ctx)) == core.KindCanceled {
		return core.E(core.KindUnavailable, "the fill was ended").WithCause(err)
	}
	return why(s.ctx, err)
}

func brokeOff(err error) bool {
	k := core.KindOf(err)
	return k == core.KindUnavailable || k == core.KindTimeout || k == core.KindInternal
}

// direct reads from the origin. A read of the whole blob is checked against its digest, and its
// last bytes are held back if they do not match.
type direct struct {
	ctx   context.Context
	watch *cdn.Watch
	blob  io.ReadCloser
	d     cdn.Digest
	left  int64
	hash  hash.Hash // nil if a part is read
}

func (t *Tier) direct(ctx context.Context, d cdn.Digest, want cdn.Range) (*direct, int64, error) {
	ctx, watch := watched(ctx)
	b, err := t.cfg.Origin.Get(ctx, d, want)
	if err != nil {
		watch.End()
		return nil, 0, why(ctx, err)
	}
	watch.Pause()
	t.count.passes.Add(1)
	src := &direct{ctx: ctx, watch: watch, blob: b.ReadCloser, d: d, left: want.Length}
	if want.Length < 0 {
		src.left = b.Size - want.Offset
	}
	if src.left == b.Size {
		src.hash = sha256.New()
	}
	return src, b.Size, nil
}

func (s *direct) Read(p []byte) (int, error) {
	if s.left == 0 {
		return 0, s.end()
	}
	s.watch.Moved()
	n, err := s.blob.Read(p[:min(int64(len(p)), s.left)])
	s.watch.Pause() // a slow reader is not a stalled origin
	s.left -= int64(n)
	if s.hash != nil {
		_, _ = s.hash.Write(p[:n])
	}
	switch {
	case n > 0 && s.left > 0:
		return n, nil
	case n > 0:
		if err := s.end(); !errors.Is(err, io.EOF) {
			return 0, err
		}
		return n, nil
	case err == io.EOF:
		return 0, core.E(core.KindUnavailable, "the origin broke off").WithCause(io.ErrUnexpectedEOF)
	case err != nil:
		return 0, why(s.ctx, err)
	}
	return 0, nil
}

func (s *direct) end() error {
	if s.hash != nil && cdn.Digest(s.hash.Sum(nil)) != s.d {
		return core.E(core.KindDiverged, "the origin's bytes do not match the digest")
	}
	return io.EOF
}

func (s *direct) skip(n int64) error {
	_, err := io.CopyN(io.Discard, s, n)
	return err
}

func (s *direct) Close() error {
	s.watch.End()
	return s.blob.Close()
}
