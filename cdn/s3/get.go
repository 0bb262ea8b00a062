package s3

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/nearside/nearside/cdn"
	"github.com/nearside/nearside/core"
)

// Get implements cdn.Getter. A read of the whole blob is hashed on the way, and its last bytes
// are held back if the digest does not match. If the connection breaks, the read continues on a
// new one from the same byte.
func (s *Store) Get(ctx context.Context, d cdn.Digest, r cdn.Range) (cdn.Blob, error) {
	if r.Offset < 0 {
		return cdn.Blob{}, core.E(core.KindInvalid, "a range must not begin at a negative offset")
	}
	if r.Length == 0 || r.Length > math.MaxInt64-r.Offset {
		return s.empty(ctx, d, r)
	}
	st, err := s.open(ctx, d, r)
	if core.KindOf(err) == core.KindInvalid { // the store refuses a range that begins at the end, where there are no bytes
		return s.empty(ctx, d, r)
	}
	if err != nil {
		return cdn.Blob{}, err
	}
	n, err := r.Within(st.size)
	if err != nil {
		st.close()
		return cdn.Blob{}, err
	}
	return s.blob(ctx, d, r.Offset, n, st), nil
}

func (s *Store) blob(ctx context.Context, d cdn.Digest, at, n int64, st *stream) cdn.Blob {
	rd := &reader{s: s, ctx: ctx, d: d, at: at, left: n, size: st.size, st: st}
	if n == st.size {
		rd.hash = sha256.New()
	}
	return cdn.Blob{ReadCloser: rd, Size: st.size}
}

// empty answers for a range without bytes, if it is inside the blob.
func (s *Store) empty(ctx context.Context, d cdn.Digest, r cdn.Range) (cdn.Blob, error) {
	size, err := s.Stat(ctx, d)
	if err != nil {
		return cdn.Blob{}, err
	}
	n, err := r.Within(size)
	switch {
	case err != nil:
		return cdn.Blob{}, err
	case n > 0:
		return cdn.Blob{}, core.E(core.KindUnavailable, "the object store refuses a range inside the blob")
	}
	return s.blob(ctx, d, r.Offset, 0, &stream{size: size}), nil
}

// stream is one answer of the store.
type stream struct {
	body io.ReadCloser // nil if there are no bytes
	w    *watch
	size int64 // of the whole blob
}

func (st *stream) close() {
	if st.body != nil {
		st.w.End() // first: Close would otherwise read the remaining bytes
		_ = st.body.Close()
	}
}

// open requests a range of a blob.
func (s *Store) open(ctx context.Context, d cdn.Digest, r cdn.Range) (st *stream, err error) {
	err = s.repeat(ctx, getting, func() error {
		w := newWatch(ctx, s.cfg.StallTimeout)
		st, err = s.request(w, d, r)
		if err != nil {
			w.End()
			return w.blame(err)
		}
		w.Pause()
		return nil
	})
	return st, err
}

func (s *Store) request(w *watch, d cdn.Digest, r cdn.Range) (*stream, error) {
	sse, err := s.sse.accessOptions()
	if err != nil {
		return nil, err
	}
	opts := minio.GetObjectOptions{ServerSideEncryption: sse}
	if r != cdn.Whole {
		opts.Set("Range", rangeHeader(r))
	}
	body, info, header, err := s.core.GetObject(w.ctx, s.cfg.Bucket, s.name(d), opts)
	if err != nil {
		return nil, err
	}
	st := &stream{body: body, w: w, size: info.Size}
	if part := header.Get("Content-Range"); part != "" {
		st.size = total(part, r.Offset)
	} else if r.Offset > 0 { // otherwise bytes from the start would be taken for the range
		st.size = -1
	}
	if st.size < 0 {
		st.close()
		return nil, minio.ErrorResponse{StatusCode: http.StatusNotImplemented, Code: "no size, or not the requested range"}
	}
	return st, nil
}

func rangeHeader(r cdn.Range) string {
	if r.Length < 0 {
		return fmt.Sprintf("bytes=%d-", r.Offset)
	}
	return fmt.Sprintf("bytes=%d-%d", r.Offset, r.Offset+r.Length-1)
}

// total reads the size of the whole from a Content-Range such as "bytes 5-9/100"; -1 if it is
// malformed or begins at another offset.
func total(contentRange string, offset int64) int64 {
	span, size, ok := strings.Cut(strings.TrimPrefix(contentRange, "bytes "), "/")
	first, _, dash := strings.Cut(span, "-")
	begin, err := strconv.ParseUint(first, 10, 63)
	n, sizeErr := strconv.ParseUint(size, 10, 63)
	if !ok || !dash || err != nil || sizeErr != nil || int64(begin) != offset || begin > n {
		return -1
	}
	return int64(n)
}

type reader struct {
	s      *Store
	ctx    context.Context
	d      cdn.Digest
	at     int64 // offset in the blob
	left   int64
	size   int64
	hash   hash.Hash // nil if a part is read: a part cannot be checked
	st     *stream
	broken int   // how often the connection broke without progress
	since  int64 // offset of the last break
}

func (r *reader) Read(p []byte) (int, error) {
	for {
		if err := gone(r.ctx); err != nil {
			return 0, err
		}
		if r.left == 0 {
			return 0, r.end()
		}
		n, err := r.next(p[:min(int64(len(p)), r.left)])
		if n > 0 {
			return r.give(p[:n])
		}
		if err == nil {
			return 0, nil
		}
		if err := r.resume(err); err != nil {
			return 0, err
		}
	}
}

// next reads from the connection, for at most StallTimeout.
func (r *reader) next(p []byte) (int, error) {
	r.st.w.Moved()
	n, err := r.st.body.Read(p)
	r.st.w.Pause()
	if n == 0 && errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return n, r.st.w.blame(err)
}

func (r *reader) give(p []byte) (int, error) {
	r.at += int64(len(p))
	r.left -= int64(len(p))
	if r.hash != nil {
		r.hash.Write(p)
	}
	if r.left == 0 && !errors.Is(r.end(), io.EOF) {
		return 0, r.end() // a caller that stops at Size must not take this for the whole blob
	}
	return len(p), nil
}

// end returns the error that follows the last byte.
func (r *reader) end() error {
	if r.hash != nil && !bytes.Equal(r.hash.Sum(nil), r.d[:]) {
		return core.E(core.KindDiverged, "the stored bytes do not match the digest")
	}
	return io.EOF
}

// resume opens the blob again at the byte where the connection broke.
func (r *reader) resume(cause error) error {
	if err := gone(r.ctx); err != nil {
		return err
	}
	if r.at-r.since >= r.s.cfg.PartBytes {
		r.broken = 0 // there was progress since the last break
	}
	if r.broken++; r.broken > r.s.cfg.MaxRetries {
		return r.s.failed(getting, cause)
	}
	r.since = r.at
	r.st.close()
	st, err := r.s.open(r.ctx, r.d, cdn.Range{Offset: r.at, Length: r.left})
	if err != nil {
		return err
	}
	r.st = st
	if st.size != r.size {
		return core.E(core.KindDiverged, "the blob's size changed while it was read")
	}
	return nil
}

// Close closes the connection.
func (r *reader) Close() error {
	r.st.close()
	return nil
}

// Stat implements cdn.Stater.
func (s *Store) Stat(ctx context.Context, d cdn.Digest) (int64, error) {
	size, _, err := s.statAgain(ctx, d)
	return size, err
}

func (s *Store) statAgain(ctx context.Context, d cdn.Digest) (size int64, at time.Time, err error) {
	err = s.retry(ctx, asking, func(w *watch) error {
		size, at, err = s.stat(w, d)
		return err
	})
	if core.KindOf(err) == core.KindNotFound { // the answer has no body, so it may be the bucket that is missing: a GET tells
		st, getErr := s.open(ctx, d, cdn.Whole)
		if getErr != nil {
			return 0, time.Time{}, getErr
		}
		st.close() // it was put in between
		return st.size, time.Now(), nil
	}
	return size, at, err
}

func (s *Store) stat(w *watch, d cdn.Digest) (int64, time.Time, error) {
	sse, err := s.sse.accessOptions()
	if err != nil {
		return 0, time.Time{}, err
	}
	info, err := s.core.StatObject(w.ctx, s.cfg.Bucket, s.name(d), minio.StatObjectOptions{ServerSideEncryption: sse})
	return info.Size, info.LastModified, err
}
