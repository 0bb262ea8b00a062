// Package tier keeps blobs of an origin in a bounded directory at the edge. A miss is filled
// once however many ask, is verified against its digest before it is kept, and every chunk
// of a kept file is checked when read: a damaged one is dropped and fetched again.
//
// All methods may be called at once. Load is called once, before the first Get. A fill belongs
// to those who wait for it.
//
// Invariants: files and bytes stay within Config's bounds, fills included; no unchecked byte of
// a kept file reaches a reader. What does not fit is passed through from the origin unkept.
package tier

import (
	"bytes"
	"context"
	"crypto/sha256"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/nearside/nearside/cdn"
	"github.com/nearside/nearside/core"
)

const chunk = 256 << 10 // bytes under one hash

// Config configures a Tier; all of it is required.
type Config struct {
	Dir      string // of this cache alone
	MaxBytes int64  // on disk
	MaxFiles int
	Origin   cdn.Getter
}

// Tier is a cache over an origin.
type Tier struct {
	cfg Config

	mu       sync.Mutex // guards all below, and that a name in policy has its file
	policy   *policy
	flights  map[cdn.Digest]*flight
	reserved int64 // bytes of running fills
	filling  int   // their files
	stats    Stats
}

// Stats counts since the start.
type Stats struct{ Hits, Misses, Fills, Evictions, Healed, Bytes, Files int64 }

type flight struct {
	done chan struct{} // closed by the fill when err is set
	err  error
}

// New checks cfg; it touches no file.
func New(cfg Config) (*Tier, error) {
	if cfg.Dir == "" || cfg.MaxBytes <= 0 || cfg.MaxFiles <= 0 || cfg.Origin == nil {
		return nil, core.E(core.KindInvalid, "a tier needs a directory, bounds and an origin")
	}
	return &Tier{cfg: cfg, policy: newPolicy(), flights: map[cdn.Digest]*flight{}}, nil
}

// Load takes up what an earlier run kept, and removes leftovers.
func (t *Tier) Load() error {
	if err := os.MkdirAll(t.cfg.Dir, 0o700); err != nil {
		return fault(err)
	}
	files, err := os.ReadDir(t.cfg.Dir)
	if err != nil {
		return fault(err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, f := range files {
		d, err := cdn.ParseDigest(f.Name())
		info, ierr := f.Info()
		if err != nil || ierr != nil {
			if strings.HasPrefix(f.Name(), "fill-") {
				_ = os.Remove(filepath.Join(t.cfg.Dir, f.Name()))
			}
			continue
		}
		t.policy.add(d, info.Size())
	}
	t.room(0, 0)
	return nil
}

// Stats gives the counters.
func (t *Tier) Stats() Stats {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.stats
	s.Bytes, s.Files = t.policy.bytes, int64(len(t.policy.at))
	return s
}

// Purge forgets a blob.
func (t *Tier) Purge(d cdn.Digest) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.drop(d)
}

func (t *Tier) path(d cdn.Digest) string { return filepath.Join(t.cfg.Dir, d.String()) }

func (t *Tier) drop(d cdn.Digest) {
	t.policy.remove(d)
	_ = os.Remove(t.path(d))
}

// room evicts until a file of size more bytes fits; false when it cannot.
func (t *Tier) room(size int64, files int) bool {
	for t.policy.bytes+t.reserved+size > t.cfg.MaxBytes || len(t.policy.at)+t.filling+files > t.cfg.MaxFiles {
		d, ok := t.policy.evict()
		if !ok {
			return false
		}
		_ = os.Remove(t.path(d))
		t.stats.Evictions++
	}
	return true
}

// Get reads from the cache, after a fill when the blob is not there.
func (t *Tier) Get(ctx context.Context, d cdn.Digest, r cdn.Range) (cdn.Blob, error) {
	for first := true; ; first = false {
		t.mu.Lock()
		if f := t.open(d, first); f != nil {
			t.mu.Unlock()
			return t.blob(ctx, f, d, r)
		}
		if fl := t.flights[d]; fl != nil {
			t.mu.Unlock()
			if err := wait(ctx, fl); err != nil {
				return cdn.Blob{}, err
			}
			continue
		}
		fl := &flight{done: make(chan struct{})}
		t.flights[d] = fl
		t.mu.Unlock()
		kept, err := t.fill(ctx, d)
		t.mu.Lock()
		delete(t.flights, d)
		t.mu.Unlock()
		if ctx.Err() == nil { // one who went away fails only himself: the next one waiting fills
			fl.err = err
		}
		close(fl.done)
		if err != nil {
			return cdn.Blob{}, err
		}
		if !kept {
			return t.cfg.Origin.Get(ctx, d, r)
		}
	}
}

// wait ends with the fill; who filled may have gone away, and then another reader tries.
func wait(ctx context.Context, fl *flight) error {
	select {
	case <-ctx.Done():
		return core.E(core.KindCanceled, "the reader went away").WithCause(ctx.Err())
	case <-fl.done:
		if k := core.KindOf(fl.err); fl.err != nil && (k == core.KindNotFound || k == core.KindUnavailable || k == core.KindDiverged) {
			return fl.err
		}
		return nil
	}
}

// open gives the kept file, under mu so that no eviction comes between.
func (t *Tier) open(d cdn.Digest, count bool) *os.File {
	if t.policy.touch(d) {
		if f, err := os.Open(t.path(d)); err == nil {
			if count {
				t.stats.Hits++
			}
			return f
		}
		t.drop(d)
	}
	if count {
		t.stats.Misses++
	}
	return nil
}

// fill brings a blob in; false when it does not fit.
func (t *Tier) fill(ctx context.Context, d cdn.Digest) (bool, error) {
	b, err := t.cfg.Origin.Get(ctx, d, cdn.Whole)
	if err != nil {
		return false, err
	}
	defer func() { _ = b.Close() }()
	size := b.Size + (b.Size+chunk-1)/chunk*sha256.Size
	t.mu.Lock()
	ok := t.room(size, 1)
	if ok {
		t.reserved, t.filling = t.reserved+size, t.filling+1
	}
	t.mu.Unlock()
	if !ok {
		return false, nil
	}
	name, err := t.write(d, b)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.reserved, t.filling = t.reserved-size, t.filling-1
	if err == nil {
		err = os.Rename(name, t.path(d))
	}
	if err != nil {
		_ = os.Remove(name)
		return false, fault(err)
	}
	t.policy.add(d, size)
	t.stats.Fills++
	return true, nil
}

// write keeps the content and after it the hash of each chunk.
func (t *Tier) write(d cdn.Digest, b cdn.Blob) (name string, err error) {
	f, err := os.CreateTemp(t.cfg.Dir, "fill-")
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	whole, buf := sha256.New(), make([]byte, chunk)
	var sums []byte
	for left := b.Size; left > 0; {
		part := buf[:min(left, chunk)]
		if _, err := io.ReadFull(b, part); err != nil {
			return f.Name(), err
		}
		whole.Write(part)
		s := sha256.Sum256(part)
		sums = append(sums, s[:]...)
		if _, err := f.Write(part); err != nil {
			return f.Name(), err
		}
		left -= int64(len(part))
	}
	if !bytes.Equal(whole.Sum(nil), d[:]) {
		return f.Name(), core.E(core.KindDiverged, "the origin gave other bytes than the digest names")
	}
	_, err = f.Write(sums)
	return f.Name(), err
}

func fault(err error) error {
	if core.KindOf(err) != core.KindInternal {
		return err
	}
	return core.E(core.KindUnavailable, "the cache could not be filled").WithCause(err)
}
