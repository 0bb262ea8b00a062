package tier

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/nearside/nearside/cdn"
	"github.com/nearside/nearside/core"
)

// kept returns a tier without memory that keeps a blob of more than four chunks, and that blob's
// file.
func kept(t *testing.T, change ...func(*Config)) (*Tier, *origin, cdn.Digest, []byte, string) {
	t.Helper()
	o := newOrigin()
	c := started(t, o, append([]func(*Config){func(cfg *Config) { cfg.MemoryBytes = -1 }}, change...)...)
	d, b := o.add(1, 4*chunk+100)
	if err := c.Warm(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	return c, o, d, b, filepath.Join(c.cfg.Dir, fileName(d, int64(len(b)), false))
}

// flip changes one bit of a file.
func flip(t *testing.T, path string, at int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := make([]byte, 1)
	if _, err := f.ReadAt(b, at); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 0x10
	if _, err := f.WriteAt(b, at); err != nil {
		t.Fatal(err)
	}
}

var damages = map[string]func(t *testing.T, path string, size int64){
	"a bit of the first chunk": func(t *testing.T, p string, _ int64) { flip(t, p, 0) },
	"a bit of the last chunk":  func(t *testing.T, p string, size int64) { flip(t, p, size-1) },
	"a bit of the hashes":      func(t *testing.T, p string, size int64) { flip(t, p, size+3) },
	"a bit of the footer":      func(t *testing.T, p string, size int64) { flip(t, p, fileBytes(size)-1) },
	"cut in the content":       func(t *testing.T, p string, _ int64) { cut(t, p, 2*chunk+1) },
	"cut in the hashes":        func(t *testing.T, p string, size int64) { cut(t, p, size+1) },
	"deleted": func(t *testing.T, p string, _ int64) {
		if err := os.Remove(p); err != nil {
			t.Fatal(err)
		}
	},
}

func cut(t *testing.T, path string, at int64) {
	t.Helper()
	if err := os.Truncate(path, at); err != nil {
		t.Fatal(err)
	}
}

// However a kept file is damaged, its readers get the right bytes, and the blob is fetched once
// more.
func TestGet_DamagedFile_Heals(t *testing.T) {
	for name, damage := range damages {
		t.Run(name, func(t *testing.T) {
			c, o, d, b, path := kept(t)
			damage(t, path, int64(len(b)))
			wantRead(t, c, d, b)
			if s := c.Stats(); s.Healed != 1 || len(o.asked()) != 2 {
				t.Errorf("healed %d, the origin was asked %d times", s.Healed, len(o.asked()))
			}
			if err := c.Warm(t.Context(), d); err != nil {
				t.Fatal(err)
			}
			wantRead(t, c, d, b)
			if n := len(o.asked()); n != 2 {
				t.Errorf("it was fetched again: %d", n)
			}
		})
	}
}

// A reader in the middle of a blob reads on over the damage without an error.
func TestGet_DamagedWhileRead_GoesOn(t *testing.T) {
	c, _, d, b, path := kept(t)
	for _, r := range []cdn.Range{cdn.Whole, {Offset: 100, Length: 3 * chunk}} {
		blob, err := c.Get(t.Context(), d, r)
		if err != nil {
			t.Fatal(err)
		}
		first := make([]byte, chunk)
		if _, err := io.ReadFull(blob, first); err != nil {
			t.Fatal(err)
		}
		flip(t, path, 2*chunk+5)
		rest, err := io.ReadAll(blob)
		end := int64(len(b))
		if r.Length >= 0 {
			end = r.Offset + r.Length
		}
		if got := append(first, rest...); err != nil || !bytes.Equal(got, b[r.Offset:end]) {
			t.Errorf("%v: %d bytes, %v", r, len(got), err)
		}
		_ = blob.Close()
		if err := c.Warm(t.Context(), d); err != nil {
			t.Fatal(err)
		}
	}
}

// Readers that find the damage at the same time cause one fetch.
func TestGet_DamageFoundByMany_OneFetch(t *testing.T) {
	c, o, d, b, path := kept(t)
	var blobs []cdn.Blob
	for range 8 {
		blob, err := c.Get(t.Context(), d, cdn.Whole)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(blob, make([]byte, chunk)); err != nil {
			t.Fatal(err)
		}
		blobs = append(blobs, blob)
	}
	flip(t, path, chunk+5)
	s := slow(o)
	var wg sync.WaitGroup
	for _, blob := range blobs {
		wg.Go(func() {
			defer blob.Close()
			if got, err := io.ReadAll(blob); err != nil || !bytes.Equal(got, b[chunk:]) {
				t.Errorf("%d bytes: %v", len(got), err)
			}
		})
	}
	close(s.allow)
	wg.Wait()
	if s := c.Stats(); s.Healed != 1 || len(o.asked()) != 2 {
		t.Errorf("healed %d, the origin was asked %d times", s.Healed, len(o.asked()))
	}
}

// If the origin is down, a damaged blob is unavailable and its damaged bytes are not given; other
// blobs are served.
func TestGet_DamagedAndOriginDown_IsUnavailable(t *testing.T) {
	c, o, d, b, path := kept(t)
	other, b2 := o.add(2, 1000)
	if err := c.Warm(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	o.down.Store(true)
	flip(t, path, chunk+5)
	got, err := read(t, c, d, cdn.Whole)
	wantKind(t, "read", err, core.KindUnavailable)
	if !bytes.Equal(got, b[:chunk]) {
		t.Errorf("%d bytes came before the damage", len(got))
	}
	wantRead(t, c, other, b2)
	o.down.Store(false)
	wantRead(t, c, d, b)
}

// A chunk in memory is read without its file; a chunk that is not in memory is still checked.
func TestGet_HotChunks_NeedNoFile(t *testing.T) {
	c, o, d, b, path := kept(t, func(cfg *Config) { cfg.MemoryBytes = 2 << 20 })
	for range 3 {
		wantRead(t, c, d, b)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	before := c.Stats()
	wantRead(t, c, d, b)
	after := c.Stats()
	if after.MemoryBytes-before.MemoryBytes != int64(len(b)) || len(o.asked()) != 1 {
		t.Errorf("%d bytes from memory, the origin was asked %d times", after.MemoryBytes-before.MemoryBytes, len(o.asked()))
	}
}
