package disk

import (
	"bytes"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/nearside/nearside/cdn"
	"github.com/nearside/nearside/cdn/cdntest"
	"github.com/nearside/nearside/core"
)

func openIn(t *testing.T, cfg Config) *Store {
	t.Helper()
	s, err := Open(cfg)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func stored(t *testing.T, dir string) (*Store, cdn.Digest, string) {
	t.Helper()
	s := openIn(t, Config{Dir: dir})
	d, b := cdntest.Content(1, 100_000)
	if err := s.Put(t.Context(), d, int64(len(b)), bytes.NewReader(b)); err != nil {
		t.Fatalf("put: %v", err)
	}
	return s, d, filepath.Join(dir, d.String()[:2], d.String()[2:4], d.String())
}

// A directory keeps every promise of a store, and no upload remains in it.
func TestStore_KeepsThePromises(t *testing.T) {
	cdntest.Run(t, func(t *testing.T) cdn.Store {
		dir := t.TempDir()
		t.Cleanup(func() {
			if left, err := os.ReadDir(filepath.Join(dir, incoming)); err != nil || len(left) != 0 {
				t.Errorf("uploads left: %v, %v", left, err)
			}
		})
		return openIn(t, Config{Dir: dir})
	})
}

// Whatever happens to a blob's file, it never reads as whole, and a Put repairs it.
func TestStore_SpoiledFiles_AreFoundAndHealed(t *testing.T) {
	cdntest.RunSpoiled(t, func(t *testing.T) (cdn.Store, func(cdn.Digest) string) {
		dir := t.TempDir()
		return openIn(t, Config{Dir: dir}), func(d cdn.Digest) string { return filepath.Join(dir, filepath.FromSlash(place(d))) }
	})
}

// A blob that changed on the disk never reads as whole, whichever way it is read.
func TestGet_RottenBlob_EndsDiverged(t *testing.T) {
	for name, spoil := range map[string]func(path string) error{
		"other bytes": func(p string) error { return os.WriteFile(p, make([]byte, 100_000), fileMode) },
		"cut short":   func(p string) error { return os.Truncate(p, 50_000) },
		"emptied":     func(p string) error { return os.Truncate(p, 0) },
		"longer":      func(p string) error { return os.Truncate(p, 200_000) },
	} {
		t.Run(name, func(t *testing.T) {
			s, d, path := stored(t, t.TempDir())
			if err := spoil(path); err != nil {
				t.Fatal(err)
			}
			blob, err := s.Get(t.Context(), d, cdn.Whole)
			if err != nil {
				t.Fatalf("get: %v", err)
			}
			defer func() { _ = blob.Close() }()
			n, err := io.ReadFull(blob, make([]byte, max(blob.Size, 1)))
			if core.KindOf(err) != core.KindDiverged {
				t.Errorf("read %d bytes: %v, want diverged", n, err)
			}
		})
	}
}

// Putting a damaged blob again repairs it.
func TestPut_RottenBlob_IsHealed(t *testing.T) {
	dir := t.TempDir()
	s, d, path := stored(t, dir)
	if err := os.Truncate(path, 7); err != nil {
		t.Fatal(err)
	}
	stored(t, dir)
	blob, err := s.Get(t.Context(), d, cdn.Whole)
	if err != nil {
		t.Fatalf("get: %v", err)
	}
	defer func() { _ = blob.Close() }()
	if n, err := io.Copy(io.Discard, blob); err != nil || n != 100_000 {
		t.Errorf("read %d bytes: %v", n, err)
	}
}

// Only the owner may read blobs or list them.
func TestPut_Modes_AreTheOwners(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "blobs")
	stored(t, dir)
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// If the disk has too little space, the blob is refused before a byte of it is read.
func TestPut_DiskFull_IsUnavailable(t *testing.T) {
	s := openIn(t, Config{Dir: t.TempDir(), MinFree: math.MaxInt64})
	d, b := cdntest.Content(1, 10)
	r := bytes.NewReader(b)
	if err := s.Put(t.Context(), d, 10, r); core.KindOf(err) != core.KindUnavailable {
		t.Errorf("put: %v, want unavailable", err)
	}
	if r.Len() != 10 {
		t.Errorf("%d bytes were read", 10-r.Len())
	}
}

// gated gives nothing until it is opened, and then io.EOF.
type gated struct{ asked, open chan struct{} }

func (g gated) Read([]byte) (int, error) {
	close(g.asked)
	<-g.open
	return 0, io.EOF
}

// Space that is reserved for one Put is not given to another; it is free again when the first has
// ended.
func TestPut_Together_ShareTheRoom(t *testing.T) {
	var st syscall.Statfs_t
	dir := t.TempDir()
	if err := syscall.Statfs(dir, &st); err != nil {
		t.Fatal(err)
	}
	s := openIn(t, Config{Dir: dir})
	most := int64(st.Bavail) / 5 * 3 * int64(st.Bsize) //nolint:unconvert // other widths on other systems
	d, b := cdntest.Content(1, 10)
	g, first := gated{make(chan struct{}), make(chan struct{})}, make(chan error)
	go func() { first <- s.Put(t.Context(), d, most, g) }()
	<-g.asked
	if err := s.Put(t.Context(), d, most, bytes.NewReader(b)); core.KindOf(err) != core.KindUnavailable {
		t.Errorf("the same space again: %v, want unavailable", err)
	}
	if err := s.Put(t.Context(), d, 10, bytes.NewReader(b)); err != nil {
		t.Errorf("enough free space: %v", err)
	}
	close(g.open)
	if err := <-first; core.KindOf(err) != core.KindInvalid {
		t.Errorf("it ended early: %v, want invalid", err)
	}
	if err := s.Put(t.Context(), d, most, bytes.NewReader(b)); core.KindOf(err) != core.KindInvalid || s.reserved.Load() != 0 {
		t.Errorf("free space again: %v, %d bytes still reserved", err, s.reserved.Load())
	}
}

// Open removes what a crash left, and keeps what another process may be writing.
func TestOpen_Leftovers_AreSweptOnceOld(t *testing.T) {
	dir := t.TempDir()
	_, d, _ := stored(t, dir)
	old, young := filepath.Join(dir, incoming, "OLD"), filepath.Join(dir, incoming, "YOUNG")
	for _, name := range []string{old, young} {
		if err := os.WriteFile(name, []byte("half"), fileMode); err != nil {
			t.Fatal(err)
		}
	}
	past := time.Now().Add(-2 * leftoverAge)
	if err := os.Chtimes(old, past, past); err != nil {
		t.Fatal(err)
	}
	s := openIn(t, Config{Dir: dir})
	if _, err := os.Stat(old); !os.IsNotExist(err) {
		t.Errorf("the old leftover: %v, want it gone", err)
	}
	if _, err := os.Stat(young); err != nil {
		t.Errorf("the young upload: %v", err)
	}
	if _, err := s.Stat(t.Context(), d); err != nil {
		t.Errorf("the blob: %v", err)
	}
}

// Other files in the directory are not blobs, and no link leads out of it.
func TestStore_ForeignFiles_AreNotBlobs(t *testing.T) {
	dir := t.TempDir()
	s, d, path := stored(t, dir)
	outside := filepath.Join(t.TempDir(), "secret")
	linked, _ := cdntest.Content(2, 6)
	linkedAt := filepath.Join(dir, filepath.FromSlash(place(linked)))
	for _, err := range []error{
		os.WriteFile(outside, []byte("secret"), fileMode),
		os.WriteFile(filepath.Join(filepath.Dir(path), "README"), nil, fileMode),
		os.WriteFile(filepath.Join(dir, d.String()), nil, fileMode),
		os.MkdirAll(filepath.Dir(linkedAt), dirMode),
		os.Symlink(outside, linkedAt),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Get(t.Context(), linked, cdn.Whole); err == nil {
		t.Error("a link led out of the directory")
	}
	n := 0
	if err := s.List(t.Context(), cdn.Digest{}, func(cdn.Info) error { n++; return nil }); err != nil || n != 1 {
		t.Errorf("list: %d blobs, %v, want 1", n, err)
	}
}

// If the directory disappears, the store is unavailable; its blobs are not reported as missing.
func TestPut_DirectoryGone_IsUnavailable(t *testing.T) {
	dir := t.TempDir()
	s, d, _ := stored(t, dir)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	_, b := cdntest.Content(1, 100_000)
	if err := s.Put(t.Context(), d, int64(len(b)), bytes.NewReader(b)); core.KindOf(err) != core.KindUnavailable {
		t.Errorf("put: %v, want unavailable", err)
	}
}

// A store without a directory is refused.
func TestOpen_NoDirectory_IsInvalid(t *testing.T) {
	if _, err := Open(Config{}); core.KindOf(err) != core.KindInvalid {
		t.Errorf("open: %v, want invalid", err)
	}
}
