package tier

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nearside/nearside/cdn"
	"github.com/nearside/nearside/cdn/cdntest"
	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/eventually"
)

// origin is a store in memory whose answers a test can delay, cut or damage.
type origin struct {
	mu    sync.Mutex
	blobs map[cdn.Digest][]byte
	gets  []cdn.Range
	puts  int
	down  atomic.Bool
	spoil func(ctx context.Context, r cdn.Range, b io.Reader) io.Reader // applied to every Get; nil changes nothing
}

func newOrigin() *origin { return &origin{blobs: map[cdn.Digest][]byte{}} }

// add makes a blob of n bytes.
func (o *origin) add(seed byte, n int) (cdn.Digest, []byte) {
	d, b := cdntest.Content(seed, n)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.blobs[d] = b
	return d, b
}

func (o *origin) asked() []cdn.Range {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]cdn.Range(nil), o.gets...)
}

func (o *origin) find(d cdn.Digest) ([]byte, error) {
	if o.down.Load() {
		return nil, core.E(core.KindUnavailable, "the origin is down")
	}
	b, ok := o.blobs[d]
	if !ok {
		return nil, core.E(core.KindNotFound, "no such blob")
	}
	return b, nil
}

func (o *origin) Get(ctx context.Context, d cdn.Digest, r cdn.Range) (cdn.Blob, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.gets = append(o.gets, r)
	b, err := o.find(d)
	if err != nil {
		return cdn.Blob{}, err
	}
	if r.Offset < 0 || r.Offset > int64(len(b)) || r.Length > int64(len(b))-r.Offset {
		return cdn.Blob{}, core.E(core.KindInvalid, "the range is not inside")
	}
	part := b[r.Offset:]
	if r.Length >= 0 {
		part = part[:r.Length]
	}
	var rd io.Reader = bytes.NewReader(part)
	if o.spoil != nil {
		rd = o.spoil(ctx, r, rd)
	}
	return cdn.Blob{ReadCloser: &bound{ctx, rd}, Size: int64(len(b))}, nil
}

// bound ends with its context, as the readers of a real origin do.
type bound struct {
	ctx context.Context
	io.Reader
}

func (b *bound) Read(p []byte) (int, error) {
	if err := b.ctx.Err(); err != nil {
		return 0, err
	}
	return b.Reader.Read(p)
}

func (b *bound) Close() error { return nil }

func (o *origin) Put(_ context.Context, d cdn.Digest, size int64, r io.Reader) error {
	if o.down.Load() {
		return core.E(core.KindUnavailable, "the origin is down")
	}
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if int64(len(b)) != size || sha256.Sum256(b) != d {
		return core.E(core.KindInvalid, "other bytes")
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.blobs[d] = b
	o.puts++
	return nil
}

func (o *origin) Stat(_ context.Context, d cdn.Digest) (int64, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	b, err := o.find(d)
	return int64(len(b)), err
}

func (o *origin) has(d cdn.Digest) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.blobs[d] != nil
}

// steps delivers an origin's bytes as far as a test allows.
type steps struct {
	allow chan int // this many bytes more; closed: all
}

func newSteps() *steps { return &steps{allow: make(chan int, 100)} }

func (s *steps) over(ctx context.Context, r io.Reader) io.Reader {
	left := 0
	return readFunc(func(p []byte) (int, error) {
		for left == 0 {
			select {
			case n, ok := <-s.allow:
				if left = n; !ok {
					left = len(p)
				}
			case <-ctx.Done():
				return 0, ctx.Err()
			}
		}
		n, err := r.Read(p[:min(len(p), left)])
		left -= n
		return n, err
	})
}

type readFunc func([]byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }

// cache returns a loaded tier of 8 MiB and 8 files.
func cache(t testing.TB, dir string, o Origin, change ...func(*Config)) *Tier {
	t.Helper()
	cfg := Config{Dir: dir, MaxBytes: 8 << 20, MaxFiles: 8, Origin: o}
	for _, c := range change {
		c(&cfg)
	}
	c, err := New(cfg)
	if err == nil {
		err = c.Load()
	}
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// running runs a tier until stop is called or the test ends.
func running(t testing.TB, c *Tier) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	<-c.begun
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			select {
			case err := <-done:
				if err != nil {
					t.Errorf("run: %v", err)
				}
			case <-time.After(eventually.Limit):
				t.Error("Run does not end")
			}
		})
	}
	t.Cleanup(stop)
	return stop
}

// started returns a running tier.
func started(t testing.TB, o Origin, change ...func(*Config)) *Tier {
	t.Helper()
	c := cache(t, t.TempDir(), o, change...)
	running(t, c)
	return c
}

func read(t testing.TB, c *Tier, d cdn.Digest, r cdn.Range) ([]byte, error) {
	t.Helper()
	b, err := c.Get(t.Context(), d, r)
	if err != nil {
		return nil, err
	}
	defer func() { _ = b.Close() }()
	return io.ReadAll(b)
}

func wantRead(t testing.TB, c *Tier, d cdn.Digest, want []byte) {
	t.Helper()
	got, err := read(t, c, d, cdn.Whole)
	if err != nil || !bytes.Equal(got, want) {
		t.Fatalf("read %d bytes of %d, the same: %v: %v", len(got), len(want), bytes.Equal(got, want), err)
	}
}

func wantKind(t testing.TB, what string, err error, want core.Kind) {
	t.Helper()
	if err == nil || core.KindOf(err) != want {
		t.Fatalf("%s: %v, want %v", what, err, want)
	}
}

var errWait = errors.New("not yet")
