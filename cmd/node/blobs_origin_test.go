package node

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nearside/nearside/cdn"
	"github.com/nearside/nearside/cdn/cdntest"
	"github.com/nearside/nearside/cdn/disk"
	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/edge"
	"github.com/nearside/nearside/replication/link"
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

// file is where a blob lies.
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

// homeDisks makes an origin over its own disk and those of others, running.
func homeDisks(t *testing.T, others int) (*origin, []*testDisk) {
	t.Helper()
	disks := []*testDisk{newTestDisk(t)}
	peers := map[string]edge.Blobs{}
	for i := range others {
		d := newTestDisk(t)
		disks = append(disks, d)
		peers[fmt.Sprint("home-", i+2)] = d
	}
	o := newOrigin(disks[0], peers, slog.New(slog.DiscardHandler))
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

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for limit := time.After(20 * time.Second); !ok(); {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("no %s", what)
		}
	}
}

// A blob that was put is on a majority of the disks when Put returns, and on all soon after.
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
			until(t, fmt.Sprint("copy on disk ", i), func() bool { return x.has(d) })
		}
	}
}

// With a minority of the disks away a Put succeeds; with a majority away it says that it did not.
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

// A Put that nobody answers ends by itself.
func TestOrigin_SilentDisks_PutEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		own := newTestDisk(t)
		o := newOrigin(own, map[string]edge.Blobs{"home-2": newTestDisk(t)}, slog.New(slog.DiscardHandler)) // nothing runs
		began := time.Now()
		_, err := putTest(t, o, 1)
		if took := time.Since(began); core.KindOf(err) != core.KindUnavailable || took != copyStart {
			t.Errorf("after %v: %v", took, err)
		}
	})
}

// What is put again and again while a disk is away does not pile up without bound.
func TestOrigin_QueueFull_CountsAsFailed(t *testing.T) {
	own := newTestDisk(t)
	o := newOrigin(own, map[string]edge.Blobs{"home-2": own, "home-3": own}, slog.New(slog.DiscardHandler))
	for range maxCopies {
		for _, p := range o.peers {
			p.queue <- copying{done: make(chan error, 1)}
		}
	}
	if _, err := putTest(t, o, 1); core.KindOf(err) != core.KindUnavailable {
		t.Errorf("got %v, want unavailable", err)
	}
	if got := o.pending(); got != 2*maxCopies {
		t.Errorf("%d pending", got)
	}
}

// A blob that is not here is read from another disk, and kept here from then on.
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
	until(t, "copy here", func() bool { return disks[0].has(d) })
}

// A blob that has rotted here never reads as whole, and is replaced from another disk.
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
	until(t, "healthy copy", func() bool { return disks[0].has(d) })
	if _, err := cdn.ReadWhole(t.Context(), o, d); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// That a blob is nowhere is said only when every disk has said so.
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
	until(t, "copy", func() bool { return disks[1].has(d) })
	disks[0].off.Store(true)
	if _, err := cdn.ReadWhole(t.Context(), o, d); err != nil {
		t.Error(err)
	}
}

// A part of a blob that is elsewhere is given as asked for, and a part that is not inside it refused.
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

// books is what a log refers to.
type books struct {
	refs map[cdn.Digest]core.Blob
	err  error
}

func (b *books) Blobs(_ context.Context, after core.BlobID, limit int) (page []core.Blob, err error) {
	for _, x := range b.refs {
		if bytes.Compare(x.ID[:], after[:]) > 0 && x.Refs > 0 {
			page = append(page, x)
		}
	}
	sortBlobs(page)
	return page[:min(limit, len(page))], b.err
}

func (b *books) BlobRefs(_ context.Context, id core.BlobID) (refs, releasedAt int64, known bool, err error) {
	x, known := b.refs[cdn.Digest(id)]
	return x.Refs, x.ReleasedAt, known, b.err
}

func (b *books) hold(d cdn.Digest, refs, releasedAt int64) {
	b.refs[d] = core.Blob{BlobRef: core.BlobRef{ID: core.BlobID(d), Size: 100_000}, Refs: refs, ReleasedAt: releasedAt}
}

// A home node that lacks blobs which the log refers to fetches them, and counts those that
// nobody has.
func TestRepair_Missing_IsFetched(t *testing.T) {
	o, disks := homeDisks(t, 1)
	b := &books{refs: map[cdn.Digest]core.Blob{}}
	there, err := putTest(t, disks[1], 1)
	if err != nil {
		t.Fatal(err)
	}
	short, err := putTest(t, o, 2)
	if err != nil {
		t.Fatal(err)
	}
	until(t, "copy", func() bool { return disks[1].has(short) })
	if err := os.Truncate(disks[0].file(short), 10); err != nil {
		t.Fatal(err)
	}
	nowhere, _ := cdntest.Content(3, 10)
	for _, d := range []cdn.Digest{there, short, nowhere} {
		b.hold(d, 1, 0)
	}
	r := &repair{origin: o, ledger: b, log: slog.New(slog.DiscardHandler)}
	if err := r.walk(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !disks[0].has(there) || !disks[0].has(short) || r.missing.Load() != 1 || o.repaired.Load() != 2 {
		t.Errorf("there %v, short %v, %d missing, %d repaired", disks[0].has(there), disks[0].has(short), r.missing.Load(), o.repaired.Load())
	}
}

// sweeping makes a sweeper over a disk.
func sweeping(t *testing.T) (*sweeper, *testDisk, *books) {
	t.Helper()
	d, b := newTestDisk(t), &books{refs: map[cdn.Digest]core.Blob{}}
	return &sweeper{
		store: d, ledger: b, fresh: func(context.Context) error { return nil }, mine: func() bool { return true },
		grace: time.Hour, keep: 24 * time.Hour, log: slog.New(slog.DiscardHandler),
	}, d, b
}

func (d *testDisk) age(t *testing.T, x cdn.Digest, by time.Duration) {
	t.Helper()
	at := time.Now().Add(-by)
	if err := os.Chtimes(d.file(x), at, at); err != nil {
		t.Fatal(err)
	}
}

// A sweep removes what is old and unused, and nothing else.
func TestSweep_RemovesOldOrphansOnly(t *testing.T) {
	s, store, b := sweeping(t)
	day := 24 * time.Hour
	released := func(ago time.Duration) int64 { return time.Now().Add(-ago).UnixMilli() }
	cases := []struct {
		name        string
		age         time.Duration
		known       bool
		refs, since int64
		stays       bool
	}{
		{"young orphan", time.Minute, false, 0, 0, true},
		{"old orphan", 2 * time.Hour, false, 0, 0, false},
		{"old and referenced", 100 * day, true, 1, 0, true},
		{"often referenced", 100 * day, true, 3, 0, true},
		{"released lately", 100 * day, true, 0, released(time.Hour), true},
		{"released long ago", 100 * day, true, 0, released(2 * day), false},
		{"released long ago, put again", time.Minute, true, 0, released(2 * day), true},
	}
	digests := map[string]cdn.Digest{}
	for i, c := range cases {
		d, err := putTest(t, store, byte(i))
		if err != nil {
			t.Fatal(err)
		}
		store.age(t, d, c.age)
		if c.known {
			b.hold(d, c.refs, c.since)
		}
		digests[c.name] = d
	}
	done, err := s.sweep(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		if got := store.has(digests[c.name]); got != c.stays {
			t.Errorf("%s: is there: %v, want %v", c.name, got, c.stays)
		}
	}
	want := Sweep{Blobs: 7, Bytes: 700_000, Orphans: 1, Released: 1, Swept: 2, SweptBytes: 200_000}
	if done != want {
		t.Errorf("got %+v, want %+v", done, want)
	}
}

// Nothing is swept by a node that is behind, or whose log cannot be read.
func TestSweep_StaleKnowledge_RemovesNothing(t *testing.T) {
	s, store, b := sweeping(t)
	d, err := putTest(t, store, 1)
	if err != nil {
		t.Fatal(err)
	}
	store.age(t, d, 100*time.Hour)
	s.fresh = func(context.Context) error { return core.E(core.KindUnavailable, "behind") }
	if _, err := s.sweep(t.Context(), true); core.KindOf(err) != core.KindUnavailable {
		t.Errorf("behind: %v", err)
	}
	s.fresh = func(context.Context) error { return nil }
	b.err = errors.New("no database")
	if _, err := s.sweep(t.Context(), true); !errors.Is(err, b.err) {
		t.Errorf("no database: %v", err)
	}
	b.err, s.mine = nil, func() bool { return false }
	if done, err := s.sweep(t.Context(), true); err != nil || done.Skipped == "" {
		t.Errorf("not ours: %+v, %v", done, err)
	}
	if !store.has(d) {
		t.Error("it is gone")
	}
}

// elect is a node at a position that may be ready to lead.
type elect struct {
	at    core.Position
	ready bool
}

func (e *elect) Position() core.Position { return e.at }
func (e *elect) IsLeader() bool          { return e.ready }

// Who was elected but is still applying what was before it does not say how far home is: a sweep
// that went by it would take for orphans what it has not come to yet.
func TestAnswerPosition_OnlyOfAReadyLeader(t *testing.T) {
	e := &elect{at: core.Position{Epoch: 1, Index: 7}}
	ask := answerPosition(e, e)
	if got, err := ask(t.Context(), link.Identity{}, nil); core.KindOf(err) != core.KindUnavailable {
		t.Errorf("not ready: %q, %v", got, err)
	}
	e.ready = true
	if got, err := ask(t.Context(), link.Identity{}, nil); err != nil || string(got) != e.at.String() {
		t.Errorf("ready: %q, %v", got, err)
	}
}

// A sweep that would empty a store of which the log knows next to nothing is refused, unless
// somebody insists.
func TestSweep_StrangeStore_NeedsForce(t *testing.T) {
	s, store, _ := sweeping(t)
	for i := range byte(fuseBlobs + 1) {
		d, c := cdntest.Content(i, 10)
		if err := store.Put(t.Context(), d, 10, bytes.NewReader(c)); err != nil {
			t.Fatal(err)
		}
		store.age(t, d, 2*time.Hour)
	}
	done, err := s.sweep(t.Context(), false)
	if err != nil || done.Skipped == "" || done.Swept != 0 {
		t.Errorf("without force: %+v, %v", done, err)
	}
	if done, err = s.sweep(t.Context(), true); err != nil || done.Swept != fuseBlobs+1 {
		t.Errorf("with force: %+v, %v", done, err)
	}
}

func sortBlobs(page []core.Blob) {
	slices.SortFunc(page, func(a, b core.Blob) int { return bytes.Compare(a.ID[:], b.ID[:]) })
}

// vast is a store of many old blobs.
type vast struct{ blobs, expired int }

func (v *vast) List(_ context.Context, _ cdn.Digest, each func(cdn.Info) error) error {
	for i := range v.blobs {
		var d cdn.Digest
		binary.BigEndian.PutUint64(d[:], uint64(i))
		if err := each(cdn.Info{Digest: d, Size: 1}); err != nil {
			return err
		}
	}
	return nil
}

func (v *vast) Expire(context.Context, cdn.Digest, time.Time) (bool, error) {
	v.expired++
	return true, nil
}

func (v *vast) Delete(context.Context, cdn.Digest) error { return nil }

// The store of another deployment is left alone also when it holds far more than one sweep takes;
// who insists gets one sweep's worth.
func TestSweep_VastForeignStore_IsRefused(t *testing.T) {
	s, _, _ := sweeping(t)
	store := &vast{blobs: 3 * maxSwept}
	s.store = store
	done, err := s.sweep(t.Context(), false)
	if err != nil || done.Skipped == "" || store.expired != 0 || done.Orphans != int64(store.blobs) {
		t.Errorf("%+v, %d expired: %v", done, store.expired, err)
	}
	if done, err = s.sweep(t.Context(), true); err != nil || done.Swept != maxSwept || store.expired != maxSwept {
		t.Errorf("%+v, %d expired: %v", done, store.expired, err)
	}
}
