package origin

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nearside/nearside/cdn"
	"github.com/nearside/nearside/cdn/cdntest"
	"github.com/nearside/nearside/cdn/disk"
	"github.com/nearside/nearside/core"

	"github.com/nearside/nearside/core/eventually"
)

// testDisk is a home node's disk that can be switched off.
type testDisk struct {
	*disk.Store
	dir string
	off atomic.Bool
}

func newTestDisk(t *testing.T) *testDisk {
	t.Helper()
	dir := t.TempDir()
	s, err := disk.Open(disk.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return &testDisk{Store: s, dir: dir}
}

func (d *testDisk) fault() error {
	if d.off.Load() {
		return core.E(core.KindUnavailable, "switched off")
	}
	return nil
}

func (d *testDisk) Get(ctx context.Context, x cdn.Digest, r cdn.Range) (cdn.Blob, error) {
	if err := d.fault(); err != nil {
		return cdn.Blob{}, err
	}
	return d.Store.Get(ctx, x, r)
}

func (d *testDisk) Put(ctx context.Context, x cdn.Digest, size int64, r io.Reader) error {
	if err := d.fault(); err != nil {
		return err
	}
	return d.Store.Put(ctx, x, size, r)
}

func (d *testDisk) Stat(ctx context.Context, x cdn.Digest) (int64, error) {
	if err := d.fault(); err != nil {
		return 0, err
	}
	return d.Store.Stat(ctx, x)
}

// file returns the path of a blob.
func (d *testDisk) file(x cdn.Digest) string {
	return filepath.Join(d.dir, x.String()[:2], x.String()[2:4], x.String())
}

// flip changes one bit of a stored blob.
func (d *testDisk) flip(t *testing.T, x cdn.Digest) {
	t.Helper()
	b, err := os.ReadFile(d.file(x))
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	if err := os.WriteFile(d.file(x), b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func (d *testDisk) has(x cdn.Digest) bool {
	_, err := cdn.ReadWhole(context.Background(), d.Store, x)
	return err == nil
}

// homeDisks returns a running origin over its own disk and those of others.
func homeDisks(t *testing.T, others int) (*Disks, []*testDisk) {
	t.Helper()
	disks := []*testDisk{newTestDisk(t)}
	peers := map[string]Blobs{}
	for i := range others {
		d := newTestDisk(t)
		disks = append(disks, d)
		peers[fmt.Sprint("home-", i+2)] = d
	}
	o := NewDisks(disks[0], peers, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- o.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return o, disks
}

func putTest(t *testing.T, to cdn.Putter, seed byte) (cdn.Digest, error) {
	t.Helper()
	d, b := cdntest.Content(seed, 100_000)
	return d, to.Put(t.Context(), d, int64(len(b)), bytes.NewReader(b))
}

// When Put returns, a majority of the disks has the blob, and soon after all have it.
func TestOrigin_Put_ReachesAMajority(t *testing.T) {
	for others := range 5 {
		o, disks := homeDisks(t, others)
		d, err := putTest(t, o, 1)
		if err != nil {
			t.Fatalf("%d disks: %v", others+1, err)
		}
		n := 0
		for _, x := range disks {
			if x.has(d) {
				n++
			}
		}
		if n <= len(disks)/2 {
			t.Errorf("%d of %d disks have it", n, len(disks))
		}
		for i, x := range disks {
			eventually.True(t, fmt.Sprint("copy on disk ", i), func() bool { return x.has(d) })
		}
	}
}

// With a minority of the disks unavailable a Put succeeds; with a majority unavailable it fails.
func TestOrigin_DisksAway_PutNeedsAMajority(t *testing.T) {
	o, disks := homeDisks(t, 2)
	disks[1].off.Store(true)
	if _, err := putTest(t, o, 1); err != nil {
		t.Errorf("one of three is away: %v", err)
	}
	disks[2].off.Store(true)
	if _, err := putTest(t, o, 2); core.KindOf(err) != core.KindUnavailable {
		t.Errorf("two of three are away: %v, want unavailable", err)
	}
}

// A Put that no disk answers ends by itself.
func TestOrigin_SilentDisks_PutEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		own := newTestDisk(t)
		o := NewDisks(own, map[string]Blobs{"home-2": newTestDisk(t)}, slog.New(slog.DiscardHandler)) // Run is not called, so nobody answers
		began := time.Now()
		_, err := putTest(t, o, 1)
		if took := time.Since(began); core.KindOf(err) != core.KindUnavailable || took != copyStart {
			t.Errorf("after %v: %v", took, err)
		}
	})
}

// Copies for a disk that is away do not pile up without bound.
func TestOrigin_QueueFull_CountsAsFailed(t *testing.T) {
	own := newTestDisk(t)
	o := NewDisks(own, map[string]Blobs{"home-2": own, "home-3": own}, slog.New(slog.DiscardHandler))
	for range maxCopies {
		for _, p := range o.peers {
			p.queue <- copying{done: make(chan error, 1)}
		}
	}
	if _, err := putTest(t, o, 1); core.KindOf(err) != core.KindUnavailable {
		t.Errorf("got %v, want unavailable", err)
	}
	if got := o.Pending(); got != 2*maxCopies {
		t.Errorf("%d pending", got)
	}
}

// A blob that is missing here is read from another disk, and stored here from then on.
func TestOrigin_NotHere_ReadsElsewhereAndKeeps(t *testing.T) {
	o, disks := homeDisks(t, 2)
	d, err := putTest(t, disks[2], 1)
	if err != nil {
		t.Fatal(err)
	}
	if size, err := o.Stat(t.Context(), d); err != nil || size != 100_000 {
		t.Errorf("stat: %d, %v", size, err)
	}
	if size, err := cdn.ReadWhole(t.Context(), o, d); err != nil || size != 100_000 {
		t.Errorf("read: %d, %v", size, err)
	}
	eventually.True(t, "copy here", func() bool { return disks[0].has(d) })
}

// A blob that is damaged here never reads as whole, and is replaced from another disk.
func TestOrigin_RottenHere_IsReplaced(t *testing.T) {
	o, disks := homeDisks(t, 2)
	d, err := putTest(t, o, 1)
	if err != nil {
		t.Fatal(err)
	}
	disks[0].flip(t, d)
	if _, err := cdn.ReadWhole(t.Context(), o, d); core.KindOf(err) != core.KindDiverged {
		t.Errorf("the rotten blob reads with %v", err)
	}
	eventually.True(t, "healthy copy", func() bool { return disks[0].has(d) })
	if _, err := cdn.ReadWhole(t.Context(), o, d); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// A blob is reported as not found only if every disk has said so.
func TestOrigin_NotFound_NeedsEveryDisk(t *testing.T) {
	o, disks := homeDisks(t, 2)
	d, _ := cdntest.Content(1, 10)
	if _, err := o.Stat(t.Context(), d); core.KindOf(err) != core.KindNotFound {
		t.Errorf("all answer: %v", err)
	}
	disks[1].off.Store(true)
	if _, err := o.Get(t.Context(), d, cdn.Whole); core.KindOf(err) != core.KindUnavailable {
		t.Errorf("one is away: %v", err)
	}
}

// A home node whose own disk fails still reads from the others.
func TestOrigin_OwnDiskFails_ReadsElsewhere(t *testing.T) {
	o, disks := homeDisks(t, 1)
	d, err := putTest(t, o, 1)
	if err != nil {
		t.Fatal(err)
	}
	eventually.True(t, "copy", func() bool { return disks[1].has(d) })
	disks[0].off.Store(true)
	if _, err := cdn.ReadWhole(t.Context(), o, d); err != nil {
		t.Error(err)
	}
}

// A part of a blob on another disk is given as requested; a part that is not inside the blob is
// refused.
func TestOrigin_Range_IsGiven(t *testing.T) {
	o, disks := homeDisks(t, 1)
	d, b := cdntest.Content(1, 100_000)
	if err := disks[1].Put(t.Context(), d, int64(len(b)), bytes.NewReader(b)); err != nil {
		t.Fatal(err)
	}
	blob, err := o.Get(t.Context(), d, cdn.Range{Offset: 70, Length: 1000})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = blob.Close() }()
	got, err := io.ReadAll(blob)
	if err != nil || !bytes.Equal(got, b[70:1070]) || blob.Size != 100_000 {
		t.Errorf("%d bytes of %d, %v", len(got), blob.Size, err)
	}
	if _, err := o.Get(t.Context(), d, cdn.Range{Offset: 100_001, Length: 1}); core.KindOf(err) != core.KindInvalid {
		t.Errorf("past the end: %v", err)
	}
}
