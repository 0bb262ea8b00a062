package tier

import (
	"bytes"
	"context"
	"crypto/sha256"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/nearside/nearside/cdn"
	"github.com/nearside/nearside/core"
)

type origin struct {
	blobs map[cdn.Digest][]byte
	reads atomic.Int64
	down  atomic.Bool
}

func (o *origin) Get(_ context.Context, d cdn.Digest, r cdn.Range) (cdn.Blob, error) {
	o.reads.Add(1)
	if o.down.Load() {
		return cdn.Blob{}, core.E(core.KindUnavailable, "down")
	}
	b := o.blobs[d]
	part := b[r.Offset:]
	if r.Length >= 0 {
		part = part[:r.Length]
	}
	return cdn.Blob{ReadCloser: io.NopCloser(bytes.NewReader(part)), Size: int64(len(b))}, nil
}

func (o *origin) put(n int, fill byte) cdn.Digest {
	b := bytes.Repeat([]byte{fill}, n)
	d := cdn.Digest(sha256.Sum256(b))
	o.blobs[d] = b
	return d
}

func start(t *testing.T, dir string, o *origin) *Tier {
	t.Helper()
	c, err := New(Config{Dir: dir, MaxBytes: 4 << 20, MaxFiles: 4, Origin: o})
	if err == nil {
		err = c.Load()
	}
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func read(t *testing.T, c *Tier, d cdn.Digest, r cdn.Range) ([]byte, error) {
	t.Helper()
	b, err := c.Get(t.Context(), d, r)
	if err != nil {
		return nil, err
	}
	defer func() { _ = b.Close() }()
	return io.ReadAll(b)
}

// A hundred readers of a blob that is not there cost the origin one read.
func TestTier_SingleFlight(t *testing.T) {
	o := &origin{blobs: map[cdn.Digest][]byte{}}
	c, d := start(t, t.TempDir(), o), o.put(1<<20, 7)
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			if got, err := read(t, c, d, cdn.Whole); err != nil || !bytes.Equal(got, o.blobs[d]) {
				t.Errorf("%d bytes, %v", len(got), err)
			}
		})
	}
	wg.Wait()
	if n := o.reads.Load(); n != 1 {
		t.Errorf("%d origin reads", n)
	}
}

// A flipped bit never reaches the reader, of a range neither, and the file is whole again after.
func TestTier_Heals(t *testing.T) {
	o, dir := &origin{blobs: map[cdn.Digest][]byte{}}, t.TempDir()
	c, d := start(t, dir, o), o.put(1<<20, 7)
	if _, err := read(t, c, d, cdn.Whole); err != nil {
		t.Fatal(err)
	}
	b, _ := os.ReadFile(c.path(d))
	b[600_000] ^= 1
	if err := os.WriteFile(c.path(d), b, 0o600); err != nil {
		t.Fatal(err)
	}
	r := cdn.Range{Offset: 599_990, Length: 300_000}
	if got, err := read(t, c, d, r); err != nil || !bytes.Equal(got, o.blobs[d][r.Offset:r.Offset+r.Length]) {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
	if s := c.Stats(); s.Healed != 1 || s.Fills != 2 {
		t.Errorf("%+v", s)
	}
}

// After a restart what was kept is served without the origin; what was not is unavailable.
func TestTier_RestartsWarm(t *testing.T) {
	o, dir := &origin{blobs: map[cdn.Digest][]byte{}}, t.TempDir()
	d, other := o.put(300_000, 7), o.put(10, 8)
	if _, err := read(t, start(t, dir, o), d, cdn.Whole); err != nil {
		t.Fatal(err)
	}
	o.down.Store(true)
	c := start(t, dir, o)
	if got, err := read(t, c, d, cdn.Whole); err != nil || !bytes.Equal(got, o.blobs[d]) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if _, err := read(t, c, other, cdn.Whole); core.KindOf(err) != core.KindUnavailable {
		t.Errorf("got %v", err)
	}
}

// Neither bytes nor files go over their bounds, and bytes that lie are not kept.
func TestTier_Bounds(t *testing.T) {
	o, dir := &origin{blobs: map[cdn.Digest][]byte{}}, t.TempDir()
	c := start(t, dir, o)
	for i := range 20 {
		if _, err := read(t, c, o.put(1_500_000*(1-i/10)+i, byte(i)), cdn.Whole); err != nil {
			t.Fatal(err)
		}
		if s := c.Stats(); s.Bytes > 4<<20 || s.Files > 4 {
			t.Fatalf("%+v", s)
		}
	}
	d := o.put(100, 99)
	o.blobs[d] = make([]byte, 100)
	if _, err := read(t, c, d, cdn.Whole); core.KindOf(err) != core.KindDiverged {
		t.Errorf("got %v", err)
	}
	if f, _ := os.ReadDir(dir); len(f) > 4 {
		t.Errorf("%d files", len(f))
	}
}
