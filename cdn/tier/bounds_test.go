package tier

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"github.com/nearside/nearside/cdn"
	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/eventually"
)

// world is a tier under random use, with all the blobs that exist.
type world struct {
	t     *testing.T
	c     *Tier
	o     *origin
	ds    []cdn.Digest
	bytes [][]byte
	seed  uint64
}

// onDisk counts the tier's files. Names change under mu, except those of parts: their space is
// reserved before they are created and until they are removed.
func (w *world) onDisk() (bytes int64, files int) {
	w.c.mu.Lock()
	defer w.c.mu.Unlock()
	names, err := os.ReadDir(w.c.cfg.Dir)
	if err != nil {
		w.t.Error(err)
	}
	for _, n := range names {
		if info, err := n.Info(); err == nil {
			bytes, files = bytes+info.Size(), files+1
		}
	}
	return bytes, files
}

func (w *world) wantBounds() {
	bytes, files := w.onDisk()
	s := w.c.Stats()
	if m := w.c.cfg; bytes > m.MaxBytes || files > m.MaxFiles || s.Bytes > m.MaxBytes || s.Files > int64(m.MaxFiles) || s.Hot > m.MemoryBytes {
		w.t.Errorf("seed %d: %d bytes and %d files on the disk, %+v", w.seed, bytes, files, s)
	}
}

// allowed reports whether a correct caller may get this error here: the origin fails at random,
// and a damaged only copy is reported.
func allowed(err error) bool {
	k := core.KindOf(err)
	return err == nil || k == core.KindUnavailable || k == core.KindCanceled
}

func (w *world) act(rng *rand.Rand) {
	i := rng.IntN(len(w.ds))
	d, b := w.ds[i], w.bytes[i]
	switch op := rng.IntN(20); {
	case op < 6:
		w.read(rng, d, b, cdn.Whole)
	case op < 11:
		at := rng.Int64N(int64(len(b)))
		w.read(rng, d, b, cdn.Range{Offset: at, Length: rng.Int64N(int64(len(b)) - at + 1)})
	case op < 14:
		if err := w.c.Put(w.t.Context(), d, int64(len(b)), bytes.NewReader(b)); !allowed(err) {
			w.t.Errorf("seed %d: put: %v", w.seed, err)
		}
	case op == 14:
		w.c.Purge(d)
	case op == 15 && rng.IntN(10) == 0:
		w.c.PurgeAll()
	case op == 16:
		if err := w.c.Warm(w.t.Context(), d); !allowed(err) && core.KindOf(err) != core.KindTooLarge {
			w.t.Errorf("seed %d: warm: %v", w.seed, err)
		}
	case op == 17:
		w.o.down.Store(rng.IntN(4) == 0)
	case op == 18 && !w.c.cfg.Local:
		w.damage(rng, d, int64(len(b)))
	}
	w.wantBounds()
}

// read reads all or a part of a range, or stops early.
func (w *world) read(rng *rand.Rand, d cdn.Digest, b []byte, r cdn.Range) {
	ctx, cancel := context.WithCancel(w.t.Context())
	defer cancel()
	blob, err := w.c.Get(ctx, d, r)
	if err != nil {
		if !allowed(err) {
			w.t.Errorf("seed %d: get: %v", w.seed, err)
		}
		return
	}
	defer blob.Close()
	want := b[r.Offset:]
	if r.Length >= 0 {
		want = want[:r.Length]
	}
	part := want[:rng.IntN(len(want)+1)]
	got := make([]byte, len(part))
	if _, err := io.ReadFull(blob, got); !allowed(err) || err == nil && !bytes.Equal(got, part) {
		w.t.Errorf("seed %d: first %d bytes: %v", w.seed, len(part), err)
	}
	switch rng.IntN(3) {
	case 0:
		return
	case 1:
		cancel()
	}
	var rest bytes.Buffer
	_, err = blob.ReadCloser.(io.WriterTo).WriteTo(&rest)
	if !allowed(err) || err == nil && !bytes.Equal(rest.Bytes(), want[len(part):]) {
		w.t.Errorf("seed %d: the rest, %d bytes: %v", w.seed, rest.Len(), err)
	}
}

func (w *world) damage(rng *rand.Rand, d cdn.Digest, size int64) {
	f, err := os.OpenFile(filepath.Join(w.c.cfg.Dir, fileName(d, size, false)), os.O_WRONLY, 0)
	if err != nil {
		return
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte{byte(rng.IntN(256))}, rng.Int64N(fileBytes(size))); err != nil {
		w.t.Error(err)
	}
}

// Under random use by many goroutines the bytes are right, both bounds hold at every moment, the
// counters match the disk, and no goroutine remains.
func TestTier_RandomUse_BoundsHold(t *testing.T) {
	before := runtime.NumGoroutine()
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			o := newOrigin()
			w := &world{t: t, o: o, seed: seed}
			for i, size := range []int{1, 10, 1000, 5000, chunk, chunk + 1, 2 * chunk, 3 * chunk, 5*chunk + 7, 6 * chunk, 9 * chunk} {
				d, b := o.add(byte(i), size)
				w.ds, w.bytes = append(w.ds, d), append(w.bytes, b)
			}
			w.c = cache(t, t.TempDir(), o, func(cfg *Config) {
				cfg.MaxBytes, cfg.MaxFiles, cfg.MemoryBytes, cfg.Local = 8*chunk, 5, 3*chunk, seed%2 == 1
			})
			if seed%3 == 2 {
				w.c.onDisk = func(f file) file { return &sick{f, rand.IntN(20 * chunk)} }
			}
			stop := running(t, w.c)
			var wg sync.WaitGroup
			for n := range uint64(8) {
				wg.Go(func() {
					rng := rand.New(rand.NewPCG(seed, n))
					for range 50 {
						w.act(rng)
					}
				})
			}
			wg.Wait()
			stop()
			bytes, files := w.onDisk()
			if s := w.c.Stats(); s.Bytes != bytes || s.Files != int64(files) || s.Filling != 0 {
				t.Errorf("%d bytes and %d files on the disk, %+v", bytes, files, s)
			}
			if w.c.PurgeAll(); w.c.Stats().Pending == 0 && w.c.Stats().Hot != 0 {
				t.Errorf("after the purge: %+v", w.c.Stats())
			}
		})
	}
	eventually.Nil(t, func() error {
		if n := runtime.NumGoroutine(); n > before {
			return fmt.Errorf("%d goroutines, before %d", n, before)
		}
		return nil
	})
}

// If more fills run at once than fit, some blobs are kept, the others are passed through, and all
// are read correctly.
func TestGet_FillsBeyondTheBounds_ArePassed(t *testing.T) {
	o := newOrigin()
	c := started(t, o, func(cfg *Config) { cfg.MaxBytes, cfg.MaxFiles = 4<<20, 3 })
	s := slow(o)
	w := &world{t: t, c: c, o: o}
	var blobs []cdn.Blob
	for i := range 6 {
		d, b := o.add(byte(i), 1<<20)
		w.bytes = append(w.bytes, b)
		if i == 3 { // the first three occupy all the space until they are read
			o.mu.Lock()
			o.spoil = nil
			o.mu.Unlock()
		}
		blob, err := c.Get(t.Context(), d, cdn.Whole)
		if err != nil {
			t.Fatal(err)
		}
		blobs = append(blobs, blob)
	}
	w.wantBounds()
	if st := c.Stats(); st.Passes != 3 || st.Filling != 3 {
		t.Errorf("%+v", st)
	}
	close(s.allow)
	for i, blob := range blobs {
		if got, err := io.ReadAll(blob); err != nil || !bytes.Equal(got, w.bytes[i]) {
			t.Errorf("blob %d: %d bytes, %v", i, len(got), err)
		}
		_ = blob.Close()
	}
	w.wantBounds()
}

// The space of a blob that a reader has open is not given away, and is free again when the reader
// closes it.
func TestGet_OpenBlob_KeepsItsRoom(t *testing.T) {
	o := newOrigin()
	c := started(t, o, func(cfg *Config) { cfg.MaxFiles, cfg.MemoryBytes = 1, -1 })
	d, b := o.add(1, 2*chunk)
	other, b2 := o.add(2, 1000)
	if err := c.Warm(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	blob, err := c.Get(t.Context(), d, cdn.Whole)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(blob, make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	for _, purge := range []bool{false, true} { // the blob is kept, or it is removed while it is open
		if purge {
			c.Purge(d)
		}
		wantKind(t, "warm", c.Warm(t.Context(), other), core.KindTooLarge)
		wantRead(t, c, other, b2)
		if s := c.Stats(); s.Files != 1 {
			t.Errorf("%+v", s)
		}
	}
	if rest, err := io.ReadAll(blob); err != nil || !bytes.Equal(rest, b[10:]) {
		t.Errorf("the rest: %d bytes, %v", len(rest), err)
	}
	_ = blob.Close()
	if err := c.Warm(t.Context(), other); err != nil {
		t.Error(err)
	}
}

// Reading a blob larger than the memory leaves the hot chunks in memory.
func TestGet_LargeStream_WashesNothingOut(t *testing.T) {
	o := newOrigin()
	c := started(t, o, func(cfg *Config) { cfg.MemoryBytes = 3 * chunk })
	hot, b := o.add(1, 2*chunk)
	large, b2 := o.add(2, 10*chunk)
	for range 4 {
		wantRead(t, c, hot, b)
		if err := c.Warm(t.Context(), hot); err != nil {
			t.Fatal(err)
		}
	}
	for range 4 {
		wantRead(t, c, large, b2)
	}
	before := c.Stats()
	wantRead(t, c, hot, b)
	if s := c.Stats(); s.MemoryBytes-before.MemoryBytes != 2*chunk || s.Hot > 3*chunk {
		t.Errorf("%d bytes from memory, %d hot", s.MemoryBytes-before.MemoryBytes, s.Hot)
	}
}
