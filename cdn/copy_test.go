package cdn_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/nearside/nearside/cdn"
	"github.com/nearside/nearside/cdn/cdntest"
	"github.com/nearside/nearside/cdn/disk"
	"github.com/nearside/nearside/core"
)

// faulty is a store in which a test may replace single calls.
type faulty struct {
	cdn.Store
	get  func(cdn.Digest) error
	put  func(cdn.Digest) error
	list error
}

func (f *faulty) Get(ctx context.Context, d cdn.Digest, r cdn.Range) (cdn.Blob, error) {
	if f.get != nil {
		if err := f.get(d); err != nil {
			return cdn.Blob{}, err
		}
	}
	return f.Store.Get(ctx, d, r)
}

func (f *faulty) Put(ctx context.Context, d cdn.Digest, size int64, r io.Reader) error {
	if f.put != nil {
		if err := f.put(d); err != nil {
			return err
		}
	}
	return f.Store.Put(ctx, d, size, r)
}

func (f *faulty) List(ctx context.Context, after cdn.Digest, each func(cdn.Info) error) error {
	if f.list != nil {
		return f.list
	}
	return f.Store.List(ctx, after, each)
}

func store(t *testing.T) (*faulty, string) {
	t.Helper()
	dir := t.TempDir()
	s, err := disk.Open(disk.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return &faulty{Store: s}, dir
}

// filled returns a source of n blobs; the last one is large.
func filled(t *testing.T, n int) (s *faulty, dir string, ds []cdn.Digest, size int64) {
	t.Helper()
	s, dir = store(t)
	for i := range n {
		length := 100 + i
		if i == n-1 {
			length = 3<<20 + 7
		}
		d, b := cdntest.Content(byte(i), length)
		if err := s.Put(t.Context(), d, int64(length), bytes.NewReader(b)); err != nil {
			t.Fatal(err)
		}
		ds, size = append(ds, d), size+int64(length)
	}
	return s, dir, ds, size
}

func file(dir string, d cdn.Digest) string {
	x := d.String()
	return filepath.Join(dir, x[:2], x[2:4], x)
}

func flip(t *testing.T, path string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func wantWhole(t *testing.T, s cdn.Getter, ds ...cdn.Digest) {
	t.Helper()
	for _, d := range ds {
		blob, err := s.Get(t.Context(), d, cdn.Whole)
		if err != nil {
			t.Errorf("get %v: %v", d, err)
			continue
		}
		if _, err := io.Copy(io.Discard, blob); err != nil {
			t.Errorf("read %v: %v", d, err)
		}
		_ = blob.Close()
	}
}

func wantStats(t *testing.T, got, want cdn.CopyStats) {
	t.Helper()
	if got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// A copy copies every blob, and a second one copies nothing.
func TestCopy_Twice_CopiesOnce(t *testing.T) {
	from, _, ds, size := filled(t, 20)
	to, _ := store(t)
	got, err := cdn.Copy(t.Context(), from, to, cdn.CopyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	wantStats(t, got, cdn.CopyStats{Blobs: 20, Bytes: size, Copied: 20, CopiedBytes: size})
	wantWhole(t, to, ds...)
	to.put = func(d cdn.Digest) error { t.Errorf("%v was put again", d); return nil }
	got, err = cdn.Copy(t.Context(), from, to, cdn.CopyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	wantStats(t, got, cdn.CopyStats{Blobs: 20, Bytes: size, Skipped: 20})
}

// An interrupted copy copies only the rest when it is run again.
func TestCopy_Interrupted_GoesOn(t *testing.T) {
	from, _, ds, _ := filled(t, 40)
	to, _ := store(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var puts atomic.Int64
	to.put = func(cdn.Digest) error {
		if puts.Add(1) == 15 {
			cancel()
		}
		return nil
	}
	first, err := cdn.Copy(ctx, from, to, cdn.CopyOptions{Workers: 2})
	if core.KindOf(err) != core.KindCanceled || first.Copied == 0 || first.Copied >= 40 || first.Bad != 0 {
		t.Fatalf("interrupted: %v, %+v", err, first)
	}
	to.put = nil
	second, err := cdn.Copy(t.Context(), from, to, cdn.CopyOptions{Workers: 2})
	if err != nil || first.Copied+second.Copied != 40 || second.Skipped != first.Copied {
		t.Fatalf("again: %v, %+v after %+v", err, second, first)
	}
	wantWhole(t, to, ds...)
}

// A blob that is damaged at the source is reported and skipped; it does not end the copy and does
// not reach the target.
func TestCopy_SpoiledSource_IsReported(t *testing.T) {
	from, dir, ds, _ := filled(t, 10)
	to, _ := store(t)
	bad := map[cdn.Digest]bool{ds[3]: true, ds[9]: true}
	for d := range bad {
		flip(t, file(dir, d))
	}
	from.get = func(d cdn.Digest) error {
		if d == ds[5] {
			return core.E(core.KindUnavailable, "a bad sector")
		}
		return nil
	}
	bad[ds[5]] = true
	var named []cdn.Digest
	got, err := cdn.Copy(t.Context(), from, to, cdn.CopyOptions{Bad: func(d cdn.Digest, err error) {
		if named = append(named, d); !bad[d] {
			t.Errorf("%v is called bad: %v", d, err)
		}
	}})
	if err != nil || got.Bad != 3 || got.Copied != 7 || got.Blobs != 10 || len(named) != 3 {
		t.Fatalf("%v, %+v, bad %v", err, got, named)
	}
	for _, d := range ds {
		if _, err := to.Stat(t.Context(), d); (core.KindOf(err) == core.KindNotFound) != bad[d] {
			t.Errorf("%v at the target: %v", d, err)
		}
	}
}

// A blob of the target is put again if its size differs and, with Verify, if its bytes are
// damaged.
func TestCopy_SpoiledTarget_IsHealed(t *testing.T) {
	from, _, ds, _ := filled(t, 10)
	to, dir := store(t)
	if _, err := cdn.Copy(t.Context(), from, to, cdn.CopyOptions{}); err != nil {
		t.Fatal(err)
	}
	flip(t, file(dir, ds[2]))
	if err := os.Truncate(file(dir, ds[4]), 5); err != nil {
		t.Fatal(err)
	}
	if got, err := cdn.Copy(t.Context(), from, to, cdn.CopyOptions{}); err != nil || got.Copied != 1 {
		t.Fatalf("without Verify: %v, %+v, want the short one copied", err, got)
	}
	if got, err := cdn.Copy(t.Context(), from, to, cdn.CopyOptions{Verify: true}); err != nil || got.Copied != 1 {
		t.Fatalf("with Verify: %v, %+v, want the spoiled one copied", err, got)
	}
	wantWhole(t, to, ds...)
}

// If either back end fails in any call, the copy ends with that error.
func TestCopy_BackEndDown_Ends(t *testing.T) {
	down := core.E(core.KindUnavailable, "down")
	for name, spoil := range map[string]func(from, to *faulty){
		"put":         func(_, to *faulty) { to.put = func(cdn.Digest) error { return down } },
		"list target": func(_, to *faulty) { to.list = down },
		"list source": func(from, _ *faulty) { from.list = down },
		"get":         func(from, _ *faulty) { from.get = func(cdn.Digest) error { return down } },
	} {
		t.Run(name, func(t *testing.T) {
			from, _, _, _ := filled(t, 60)
			to, _ := store(t)
			spoil(from, to)
			got, err := cdn.Copy(t.Context(), from, to, cdn.CopyOptions{})
			if !errors.Is(err, down) || got.Copied != 0 {
				t.Errorf("copy: %v, %+v, want %v", err, got, down)
			}
		})
	}
}

// Progress never decreases, is also reported within a large blob, and ends at the totals that
// were counted.
func TestCopy_Progress_EndsAtTheTotals(t *testing.T) {
	from, dir, ds, size := filled(t, 12)
	to, _ := store(t)
	flip(t, file(dir, ds[11])) // the large one: bytes that were counted while they moved must not be counted twice
	var last cdn.CopyStats
	calls := 0
	got, err := cdn.Copy(t.Context(), from, to, cdn.CopyOptions{Count: true, Progress: func(s cdn.CopyStats) {
		if s.Blobs < last.Blobs || s.Bytes < last.Bytes || s.TotalBlobs != 12 || s.TotalBytes != size {
			t.Errorf("%+v after %+v", s, last)
		}
		last, calls = s, calls+1
	}})
	if err != nil || got != last || got.Blobs != got.TotalBlobs || got.Bytes != got.TotalBytes || calls <= 12 {
		t.Errorf("%v, %+v, told last %+v in %d calls", err, got, last, calls)
	}
}

// No more blobs are open at once than there are workers, and a copy can begin after any blob.
func TestCopy_WorkersAndAfter_Bound(t *testing.T) {
	from, _, ds, _ := filled(t, 30)
	to, _ := store(t)
	var open, most atomic.Int64
	to.put = func(cdn.Digest) error {
		n := open.Add(1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		open.Add(-1)
		return nil
	}
	var all []cdn.Digest
	if err := from.List(t.Context(), cdn.Digest{}, func(i cdn.Info) error { all = append(all, i.Digest); return nil }); err != nil {
		t.Fatal(err)
	}
	got, err := cdn.Copy(t.Context(), from, to, cdn.CopyOptions{Workers: 3, After: all[9]})
	if err != nil || got.Copied != int64(len(ds)-10) || most.Load() > 3 {
		t.Errorf("%v, %+v, %d at once", err, got, most.Load())
	}
}
