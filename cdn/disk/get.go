package disk

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"hash"
	"io"
	"os"

	"github.com/nearside/nearside/cdn"
	"github.com/nearside/nearside/core"
)

// Get implements cdn.Getter. A read of the whole blob is hashed on the way, and its last bytes
// are held back if the digest does not match.
func (s *Store) Get(ctx context.Context, d cdn.Digest, r cdn.Range) (cdn.Blob, error) {
	if err := ctx.Err(); err != nil {
		return cdn.Blob{}, err
	}
	f, err := s.root.Open(place(d))
	if err != nil {
		return cdn.Blob{}, absent("open blob", err)
	}
	rd, size, err := open(ctx, f, d, r)
	if err != nil {
		_ = f.Close() // nothing was written
		return cdn.Blob{}, err
	}
	return cdn.Blob{ReadCloser: rd, Size: size}, nil
}

func open(ctx context.Context, f *os.File, d cdn.Digest, r cdn.Range) (*reader, int64, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, 0, failed("stat blob", err)
	}
	n, err := r.Within(info.Size())
	if err != nil {
		return nil, 0, err
	}
	if _, err := f.Seek(r.Offset, io.SeekStart); err != nil {
		return nil, 0, failed("seek blob", err)
	}
	rd := &reader{ctx: ctx, f: f, want: d, left: n}
	if n == info.Size() {
		rd.hash = sha256.New()
	}
	return rd, info.Size(), nil
}

type reader struct {
	ctx  context.Context
	f    *os.File
	want cdn.Digest
	left int64
	hash hash.Hash // nil if a part is read: a part cannot be checked
}

func (r *reader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	if r.left == 0 {
		return 0, r.end()
	}
	n, err := r.f.Read(p[:min(int64(len(p)), r.left)])
	r.left -= int64(n)
	if r.hash != nil {
		r.hash.Write(p[:n])
	}
	switch {
	case err == io.EOF: // the file is shorter than when it was opened
		return 0, core.E(core.KindDiverged, "the blob was cut short")
	case err != nil:
		return n, failed("read blob", err)
	case r.left == 0 && !errors.Is(r.end(), io.EOF):
		return 0, r.end() // a caller that stops at Size must not take this for the whole blob
	}
	return n, nil
}

// end returns the error that follows the last byte.
func (r *reader) end() error {
	if r.hash != nil && !bytes.Equal(r.hash.Sum(nil), r.want[:]) {
		return core.E(core.KindDiverged, "the stored bytes do not match the digest")
	}
	return io.EOF
}

// Close closes the file.
func (r *reader) Close() error { return r.f.Close() }
