package origin

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/nearside/nearside/cdn"
	"github.com/nearside/nearside/cdn/cdntest"
	"github.com/nearside/nearside/core"
)

// newTestSweeper returns a sweeper over a disk.
func newTestSweeper(t *testing.T) (*Sweeper, *testDisk, *fakeLedger) {
	t.Helper()
	d, b := newTestDisk(t), &fakeLedger{refs: map[cdn.Digest]core.Blob{}}
	return NewSweeper(SweeperConfig{
		Store: d, Ledger: b, Fresh: func(context.Context) error { return nil },
		Grace: time.Hour, Keep: 24 * time.Hour, Logger: slog.New(slog.DiscardHandler),
	}), d, b
}

func (d *testDisk) age(t *testing.T, x cdn.Digest, by time.Duration) {
	t.Helper()
	at := time.Now().Add(-by)
	if err := os.Chtimes(d.file(x), at, at); err != nil {
		t.Fatal(err)
	}
}

// A sweep removes blobs that are old and unused, and no others.
func TestSweep_RemovesOldOrphansOnly(t *testing.T) {
	s, store, b := newTestSweeper(t)
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
	done, err := s.Sweep(t.Context(), false)
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

// A node that is behind, or cannot read its log, sweeps nothing.
func TestSweep_StaleKnowledge_RemovesNothing(t *testing.T) {
	s, store, b := newTestSweeper(t)
	d, err := putTest(t, store, 1)
	if err != nil {
		t.Fatal(err)
	}
	store.age(t, d, 100*time.Hour)
	s.cfg.Fresh = func(context.Context) error { return core.E(core.KindUnavailable, "behind") }
	if _, err := s.Sweep(t.Context(), true); core.KindOf(err) != core.KindUnavailable {
		t.Errorf("behind: %v", err)
	}
	s.cfg.Fresh = func(context.Context) error { return nil }
	b.err = errors.New("no database")
	if _, err := s.Sweep(t.Context(), true); !errors.Is(err, b.err) {
		t.Errorf("no database: %v", err)
	}
	b.err, s.cfg.Mine = nil, func() bool { return false }
	if done, err := s.Sweep(t.Context(), true); err != nil || done.Skipped == "" {
		t.Errorf("not ours: %+v, %v", done, err)
	}
	if !store.has(d) {
		t.Error("it is gone")
	}
}

// A sweep that would remove most of a store, unknown to the log, is refused unless it is forced.
func TestSweep_StrangeStore_NeedsForce(t *testing.T) {
	s, store, _ := newTestSweeper(t)
	for i := range byte(maxOrphans + 1) {
		d, c := cdntest.Content(i, 10)
		if err := store.Put(t.Context(), d, 10, bytes.NewReader(c)); err != nil {
			t.Fatal(err)
		}
		store.age(t, d, 2*time.Hour)
	}
	done, err := s.Sweep(t.Context(), false)
	if err != nil || done.Skipped == "" || done.Swept != 0 {
		t.Errorf("without force: %+v, %v", done, err)
	}
	if done, err = s.Sweep(t.Context(), true); err != nil || done.Swept != maxOrphans+1 {
		t.Errorf("with force: %+v, %v", done, err)
	}
}

// hugeStore is a store of many old blobs.
type hugeStore struct{ blobs, expired int }

func (v *hugeStore) List(_ context.Context, _ cdn.Digest, each func(cdn.Info) error) error {
	for i := range v.blobs {
		var d cdn.Digest
		binary.BigEndian.PutUint64(d[:], uint64(i))
		if err := each(cdn.Info{Digest: d, Size: 1}); err != nil {
			return err
		}
	}
	return nil
}

func (v *hugeStore) Expire(context.Context, cdn.Digest, time.Time) (bool, error) {
	v.expired++
	return true, nil
}

func (v *hugeStore) Delete(context.Context, cdn.Digest) error { return nil }

// The store of another deployment is also refused if it holds far more than one sweep removes;
// with force, one sweep removes its maximum.
func TestSweep_VastForeignStore_IsRefused(t *testing.T) {
	s, _, _ := newTestSweeper(t)
	store := &hugeStore{blobs: 3 * maxSwept}
	s.cfg.Store = store
	done, err := s.Sweep(t.Context(), false)
	if err != nil || done.Skipped == "" || store.expired != 0 || done.Orphans != int64(store.blobs) {
		t.Errorf("%+v, %d expired: %v", done, store.expired, err)
	}
	if done, err = s.Sweep(t.Context(), true); err != nil || done.Swept != maxSwept || store.expired != maxSwept {
		t.Errorf("%+v, %d expired: %v", done, store.expired, err)
	}
}
