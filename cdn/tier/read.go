package tier

import (
	"context"
	"crypto/sha256"
	"io"
	"os"

	"github.com/nearside/nearside/cdn"
	"github.com/nearside/nearside/core"
)

// reader gives checked chunks of a kept file; at the first bad one it goes on from the origin.
type reader struct {
	t        *Tier
	ctx      context.Context // of the Get: a heal ends with it
	d        cdn.Digest
	f        *os.File
	size     int64
	off, end int64
	buf      []byte // checked, not yet read
	healed   io.ReadCloser
}

func (t *Tier) blob(ctx context.Context, f *os.File, d cdn.Digest, r cdn.Range) (cdn.Blob, error) {
	info, err := f.Stat()
	if err != nil {
		_ = f.Close()
		return cdn.Blob{}, fault(err)
	}
	total := info.Size()
	size := total - (total+chunk+sha256.Size-1)/(chunk+sha256.Size)*sha256.Size
	end := size
	if r.Length >= 0 && r.Length <= size-r.Offset {
		end = r.Offset + r.Length
	} else if r.Length >= 0 {
		end = -1
	}
	if r.Offset < 0 || r.Offset > size || end < 0 {
		_ = f.Close()
		return cdn.Blob{}, core.E(core.KindInvalid, "the range is past the end")
	}
	return cdn.Blob{ReadCloser: &reader{t: t, ctx: ctx, d: d, f: f, size: size, off: r.Offset, end: end}, Size: size}, nil
}

func (r *reader) Read(p []byte) (int, error) {
	if r.healed != nil {
		return r.healed.Read(p)
	}
	if r.off == r.end {
		return 0, io.EOF
	}
	if len(r.buf) == 0 && !r.next() {
		if err := r.heal(); err != nil {
			return 0, err
		}
		return r.healed.Read(p)
	}
	n := copy(p, r.buf)
	r.buf, r.off = r.buf[n:], r.off+int64(n)
	return n, nil
}

// next reads and checks the chunk of off.
func (r *reader) next() bool {
	i := r.off / chunk
	lo, hi := i*chunk, min((i+1)*chunk, r.size)
	buf := make([]byte, hi-lo)
	var sum [sha256.Size]byte
	if _, err := r.f.ReadAt(buf, lo); err != nil {
		return false
	}
	if _, err := r.f.ReadAt(sum[:], r.size+i*sha256.Size); err != nil || sha256.Sum256(buf) != sum {
		return false
	}
	r.buf = buf[r.off-lo : min(hi, r.end)-lo]
	return true
}

func (r *reader) heal() error {
	r.t.mu.Lock()
	r.t.drop(r.d)
	r.t.stats.Healed++
	r.t.mu.Unlock()
	b, err := r.t.Get(r.ctx, r.d, cdn.Range{Offset: r.off, Length: r.end - r.off})
	if err == nil {
		r.healed = b.ReadCloser
	}
	return err
}

// Close lets go of the file.
func (r *reader) Close() error {
	if r.healed != nil {
		_ = r.healed.Close()
	}
	return r.f.Close()
}
