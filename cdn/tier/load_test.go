package tier

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nearside/nearside/cdn"
)

// A new process serves the blobs that the old one kept, without asking the origin.
func TestLoad_TakesUpWhatWasKept(t *testing.T) {
	o, dir := newOrigin(), t.TempDir()
	c := cache(t, dir, o)
	stop := running(t, c)
	var ds []cdn.Digest
	var bs [][]byte
	for i := range 5 {
		d, b := o.add(byte(i), 100_000*i)
		if err := c.Warm(t.Context(), d); err != nil {
			t.Fatal(err)
		}
		ds, bs = append(ds, d), append(bs, b)
	}
	was := c.Stats()
	stop()
	_ = c.Close()
	o.down.Store(true)
	c = cache(t, dir, o)
	running(t, c)
	if s := c.Stats(); s.Bytes != was.Bytes || s.Files != 5 {
		t.Errorf("%d bytes, %d files", s.Bytes, s.Files)
	}
	for i, d := range ds {
		wantRead(t, c, d, bs[i])
	}
	if s := c.Stats(); s.HitRatio() != 1 {
		t.Errorf("hit ratio %v", s.HitRatio())
	}
}

// Files that a killed process left unfinished are not trusted, and files of others stay.
func TestLoad_Leftovers_AreRemoved(t *testing.T) {
	o, dir := newOrigin(), t.TempDir()
	short, b := o.add(1, 1000)
	long, _ := o.add(2, 1000)
	write := func(name string, b []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("123"+partExt, b)
	write(fileName(short, 1000, false), b) // without its hashes
	write(fileName(long, 1000, true), make([]byte, fileBytes(1000)+1))
	write("README", nil)
	write(strings.ToUpper(fileName(short, 1000, false)), make([]byte, fileBytes(1000)))
	c := cache(t, dir, o)
	running(t, c)
	if s := c.Stats(); s.Files != 0 || s.Pending != 0 {
		t.Errorf("%+v", s)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 2 {
		t.Errorf("%v, %v", left, err)
	}
	wantRead(t, c, short, b)
	if n := len(o.asked()); n != 1 {
		t.Errorf("the origin was asked %d times", n)
	}
}

// A file with the right length and wrong content is found when it is read.
func TestLoad_WrongContent_IsFoundByTheRead(t *testing.T) {
	o, dir := newOrigin(), t.TempDir()
	d, b := o.add(1, 1000)
	if err := os.WriteFile(filepath.Join(dir, fileName(d, 1000, false)), make([]byte, fileBytes(1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	c := cache(t, dir, o)
	running(t, c)
	wantRead(t, c, d, b)
	if c.Stats().Healed != 1 {
		t.Error("it was not found")
	}
}

// Another blob's file under a blob's name is not accepted, although all its hashes are right.
func TestLoad_OtherBlobsFile_IsNotTrusted(t *testing.T) {
	c, o, d, b, path := kept(t)
	other, b2 := o.add(2, len(b))
	if err := os.Rename(path, filepath.Join(c.cfg.Dir, fileName(other, int64(len(b)), false))); err != nil {
		t.Fatal(err)
	}
	c = cache(t, c.cfg.Dir, o)
	running(t, c)
	wantRead(t, c, other, b2)
	wantRead(t, c, d, b)
}

// Smaller bounds hold from the start, and the most recently used blobs stay.
func TestLoad_SmallerBounds_Hold(t *testing.T) {
	o, dir := newOrigin(), t.TempDir()
	c := cache(t, dir, o)
	stop := running(t, c)
	var last cdn.Digest
	var want []byte
	for i := range 6 {
		d, b := o.add(byte(i), 1000)
		if err := c.Warm(t.Context(), d); err != nil {
			t.Fatal(err)
		}
		at := time.Unix(int64(1000+i), 0)
		if err := os.Chtimes(filepath.Join(dir, fileName(d, 1000, false)), at, at); err != nil {
			t.Fatal(err)
		}
		last, want = d, b
	}
	stop()
	c = cache(t, dir, o, func(cfg *Config) { cfg.MaxFiles = 2 })
	if s := c.Stats(); s.Files != 2 {
		t.Errorf("%d files", s.Files)
	}
	if left, _ := os.ReadDir(dir); len(left) != 2 {
		t.Errorf("%d files are left", len(left))
	}
	o.down.Store(true)
	wantRead(t, c, last, want)
}

// parseName reads what fileName writes, and accepts nothing else.
func FuzzParseName(f *testing.F) {
	f.Add(fileName(cdn.Digest{1}, 0, false))
	f.Add(fileName(cdn.Digest{2}, 1<<62, true))
	f.Add("../" + fileName(cdn.Digest{3}, 7, false))
	f.Fuzz(func(t *testing.T, name string) {
		d, size, due, ok := parseName(name)
		if ok && fileName(d, size, due) != name {
			t.Errorf("%q is read as %v %d %v", name, d, size, due)
		}
	})
}

// Only a real footer is accepted as one.
func FuzzParseFooter(f *testing.F) {
	f.Add(footer(cdn.Digest{1}, chunk+1, []uint64{1, 2}), int64(chunk+1))
	f.Add([]byte{}, int64(0))
	f.Fuzz(func(t *testing.T, b []byte, size int64) {
		size = max(size, 0) % (1 << 40)
		if sums, ok := parseFooter(b, cdn.Digest{1}, size); ok && !bytes.Equal(footer(cdn.Digest{1}, size, sums), b) {
			t.Errorf("%x was taken for a footer", b)
		}
	})
}
