package blob

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/replication/wire"
)

// Put implements Store.
func (r *route) Put(ctx context.Context, name [32]byte, size int64, from io.Reader) error {
	if size < 0 {
		return core.E(core.KindInvalid, "a blob's size must not be negative")
	}
	src := newSource(from, size)
	ask := wire.AppendBlobPut(nil, wire.BlobPut{Direct: r.direct, Name: name, Size: size})
	return r.try(ctx, false, func(ctx context.Context, addr string) error {
		err := r.putAt(ctx, addr, ask, src, src.seek != nil)
		if errors.Is(err, errCrawls) {
			err = r.putAt(ctx, addr, ask, src, false)
		}
		return err
	})
}

// errCrawls means that a put would end sooner if it started again.
var errCrawls = core.E(core.KindUnavailable, "the transfer crawls")

// putAt puts once at one node. If may is true, it stops on a crawling connection.
func (r *route) putAt(ctx context.Context, addr string, ask []byte, src *source, may bool) error {
	if err := src.rewind(); err != nil {
		return enough{err}
	}
	st, err := r.open(ctx, addr, lanePut, wire.KindBlobPut, ask)
	if err != nil {
		return err
	}
	defer st.end()
	defer context.AfterFunc(ctx, st.Abort)()
	pace := st.pace()
	pace.judged = !may
	err = r.pour(st, src, &pace, func() bool { return r.pool.hurry(ctx, addr, lanePut, st) == nil })
	var e enough
	switch {
	case errors.Is(err, errCrawls), errors.As(err, &e):
		return err
	case err != nil:
		return r.early(st, err)
	}
	_ = st.CloseWrite()
	_, err = r.head(st, settle(src.size)+margin)
	return err
}

// pour sends the bytes. Each buffer has its own deadline. It stops if the transfer crawls and
// hurry has found another connection.
func (r *route) pour(st *lease, src *source, pace *pace, hurry func() bool) error {
	buf := make([]byte, min(max(src.size, 1), bufBytes))
	for left := src.size; left > 0; {
		n, err := src.read(buf[:min(left, int64(len(buf)))])
		_ = st.SetWriteDeadline(time.Now().Add(r.cfg.Idle))
		over := pace.wait()
		_, werr := st.Write(buf[:n])
		over()
		if werr != nil {
			return werr
		}
		st.on.moved.Add(int64(n))
		left -= int64(n)
		switch {
		case err == nil && pace.crawls(left) && hurry():
			return errCrawls
		case err == nil, left == 0 && errors.Is(err, io.EOF):
		case errors.Is(err, io.EOF):
			return enough{core.E(core.KindInvalid, "the blob ended %d bytes early", left)}
		default:
			return enough{err}
		}
	}
	if err := ended(src.r); err != nil {
		return enough{err}
	}
	return nil
}

// early reads the answer of a server that wants no more bytes: it has the blob, or refuses it.
func (r *route) early(st *lease, cause error) error {
	_, err := r.head(st, margin)
	var u *unreached
	if errors.As(err, &u) {
		return &unreached{u.addr, cause}
	}
	return err
}

// source is what a Put reads. If it can seek, it is read again for each node.
type source struct {
	r     io.Reader
	size  int64
	seek  io.Seeker // nil if it cannot seek
	start int64
	used  bool // bytes were read
}

func newSource(r io.Reader, size int64) *source {
	s := &source{r: r, size: size}
	if seek, ok := r.(io.Seeker); ok {
		if at, err := seek.Seek(0, io.SeekCurrent); err == nil {
			s.seek, s.start = seek, at
		}
	}
	return s
}

func (s *source) read(p []byte) (int, error) {
	s.used = true
	return s.r.Read(p)
}

// rewind prepares the source for the next node.
func (s *source) rewind() error {
	switch {
	case !s.used:
		return nil
	case s.seek == nil:
		return core.E(core.KindUnavailable, "the connection to home broke while the file was sent")
	}
	s.used = false
	_, err := s.seek.Seek(s.start, io.SeekStart)
	return err
}
