// Package cdntest has tests of what every cdn.Store promises. Every back end runs them.
package cdntest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"slices"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nearside/nearside/cdn"
	"github.com/nearside/nearside/core"
)

// Run tests all promises, each on an empty store that open makes.
func Run(t *testing.T, open func(t *testing.T) cdn.Store) {
	for _, promise := range []struct {
		name string
		test func(*testing.T, cdn.Store)
	}{
		{"PutThenGet/SameBytesOfEverySize", sizes},
		{"Get/GivesTheRange", ranges},
		{"Get/RangePastTheEndIsInvalid", badRanges},
		{"Get/RangesOfALargeBlob", largeRanges},
		{"Get/HalfReadThenClosed", halfRead},
		{"NotThere/IsNotFound", notThere},
		{"Put/WrongBytesLeaveNothing", wrongBytes},
		{"Put/BrokenReaderLeavesNothing", brokenReader},
		{"Put/TwiceSucceeds", putTwice},
		{"Put/SameBlobAtOnceSucceeds", putAtOnce},
		{"Delete/TakesAwayAndMayRepeat", deletes},
		{"Expire/TakesTheOldAndKeepsTheNew", expires},
		{"List/InOrderFromAfter", lists},
		{"List/StopsAtTheCallersError", listStops},
		{"All/AtOnceNeverGiveOtherBytes", atOnce},
		{"Canceled/EndsEveryCall", canceled},
		{"Canceled/MidwayPutLeavesNothing", canceledMidway},
	} {
		t.Run(promise.name, func(t *testing.T) { promise.test(t, open(t)) })
	}
}

// RunSpoiled tests the promises about bytes that changed inside the store, behind its API. open
// returns a store and a function that gives the path of the file in which a blob is stored.
func RunSpoiled(t *testing.T, open func(t *testing.T) (s cdn.Store, file func(cdn.Digest) string)) {
	const size = 6<<20 + 11
	for name, spoil := range map[string]func([]byte) []byte{
		"a bit flipped":     func(b []byte) []byte { b[len(b)/3] ^= 4; return b },
		"last byte flipped": func(b []byte) []byte { b[len(b)-1] ^= 1; return b },
		"cut short":         func(b []byte) []byte { return b[:len(b)/2] },
		"one more byte":     func(b []byte) []byte { return append(b, 0) },
		"emptied":           func([]byte) []byte { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			s, file := open(t)
			d, b := put(t, s, 1, size)
			if err := os.WriteFile(file(d), spoil(bytes.Clone(b)), 0o600); err != nil {
				t.Fatal(err)
			}
			blob, err := s.Get(t.Context(), d, cdn.Whole)
			if err == nil {
				_, err = io.ReadFull(blob, make([]byte, max(blob.Size, 1))) // a caller that stops at Size gets the error too
				_ = blob.Close()
			}
			wantKind(t, "read", err, core.KindDiverged)
			put(t, s, 1, size)
			wantBytes(t, s, d, cdn.Whole, b, size) // putting it again repairs it
		})
	}
}

// Content returns n bytes that depend on seed, and their digest.
func Content(seed byte, n int) (cdn.Digest, []byte) {
	b := make([]byte, n)
	x := uint32(seed) + 1
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	return sha256.Sum256(b), b
}

func put(t *testing.T, s cdn.Store, seed byte, n int) (cdn.Digest, []byte) {
	t.Helper()
	d, b := Content(seed, n)
	if err := s.Put(t.Context(), d, int64(n), bytes.NewReader(b)); err != nil {
		t.Fatalf("put %d bytes: %v", n, err)
	}
	return d, b
}

func wantBytes(t *testing.T, s cdn.Store, d cdn.Digest, r cdn.Range, want []byte, size int) {
	t.Helper()
	blob, err := s.Get(t.Context(), d, r)
	if err != nil {
		t.Fatalf("get %+v: %v", r, err)
	}
	got, err := io.ReadAll(blob)
	if err = errors.Join(err, blob.Close()); err != nil {
		t.Fatalf("read %+v: %v", r, err)
	}
	if !bytes.Equal(got, want) || blob.Size != int64(size) {
		t.Fatalf("get %+v: %d bytes of a blob of %d, want %d of %d (or they differ)", r, len(got), blob.Size, len(want), size)
	}
}

func wantKind(t *testing.T, what string, err error, want core.Kind) {
	t.Helper()
	if err == nil || core.KindOf(err) != want {
		t.Errorf("%s: %v, want kind %v", what, err, want)
	}
}

func wantNothing(t *testing.T, s cdn.Store) {
	t.Helper()
	if got := list(t, s, cdn.Digest{}); len(got) != 0 {
		t.Errorf("the store holds %v, want nothing", got)
	}
}

func list(t *testing.T, s cdn.Store, after cdn.Digest) (ds []cdn.Digest) {
	t.Helper()
	err := s.List(t.Context(), after, func(i cdn.Info) error {
		n, err := s.Stat(t.Context(), i.Digest)
		if err == nil && n != i.Size {
			t.Errorf("%v: listed with %d bytes, has %d", i.Digest, i.Size, n)
		}
		if age := time.Since(i.PutAt); age < -time.Minute || age > time.Hour {
			t.Errorf("%v: listed as put %v ago", i.Digest, age)
		}
		ds = append(ds, i.Digest)
		return err
	})
	if err != nil {
		t.Fatalf("list: %v", err)
	}
	return ds
}

func sizes(t *testing.T, s cdn.Store) {
	for i, n := range []int{0, 1, 4096, 8<<20 + 3, 17 << 20} { // the last two are uploaded in several parts
		d, b := put(t, s, byte(i), n)
		wantBytes(t, s, d, cdn.Whole, b, n)
		if got, err := s.Stat(t.Context(), d); err != nil || got != int64(n) {
			t.Errorf("stat: %d, %v, want %d", got, err, n)
		}
	}
}

func ranges(t *testing.T, s cdn.Store) {
	d, b := put(t, s, 1, 1000)
	for _, r := range []cdn.Range{
		{Offset: 0, Length: 1}, {Offset: 0, Length: 1000}, {Offset: 999, Length: 1}, {Offset: 10, Length: 20},
		{Offset: 0, Length: 0}, {Offset: 5, Length: 0}, {Offset: 1000, Length: 0},
	} {
		wantBytes(t, s, d, r, b[r.Offset:r.Offset+r.Length], 1000)
	}
	wantBytes(t, s, d, cdn.Range{Offset: 400, Length: -1}, b[400:], 1000)
	wantBytes(t, s, d, cdn.Range{Offset: 1000, Length: -1}, nil, 1000)
}

func badRanges(t *testing.T, s cdn.Store) {
	d, _ := put(t, s, 1, 1000)
	const most = 1<<63 - 1
	for _, r := range []cdn.Range{
		{Offset: 0, Length: 1001}, {Offset: 1000, Length: 1}, {Offset: 1001, Length: 0}, {Offset: 1001, Length: -1},
		{Offset: -1, Length: 5}, {Offset: 1, Length: most}, {Offset: most, Length: most},
	} {
		blob, err := s.Get(t.Context(), d, r)
		if err == nil {
			_ = blob.Close()
		}
		wantKind(t, "get past the end", err, core.KindInvalid)
	}
}

func largeRanges(t *testing.T, s cdn.Store) {
	const size, part = 12<<20 + 5, 5 << 20
	d, b := put(t, s, 1, size)
	for _, r := range []cdn.Range{
		{Offset: part - 1, Length: 2}, {Offset: part, Length: part}, {Offset: 2*part - 7, Length: 100}, {Offset: 1, Length: size - 1},
		{Offset: size - 1, Length: 1}, {Offset: 0, Length: size},
	} {
		wantBytes(t, s, d, r, b[r.Offset:r.Offset+r.Length], size)
	}
	wantBytes(t, s, d, cdn.Range{Offset: 2*part + 1, Length: -1}, b[2*part+1:], size)
}

func halfRead(t *testing.T, s cdn.Store) {
	d, b := put(t, s, 1, 3<<20)
	for range 20 { // a store that leaked unread answers would run out of connections
		blob, err := s.Get(t.Context(), d, cdn.Whole)
		if err != nil {
			t.Fatalf("get: %v", err)
		}
		if _, err := io.ReadFull(blob, make([]byte, 1000)); err != nil {
			t.Fatalf("read: %v", err)
		}
		if err := blob.Close(); err != nil {
			t.Fatalf("close: %v", err)
		}
	}
	wantBytes(t, s, d, cdn.Whole, b, len(b))
}

// atOnce puts, reads and deletes a few blobs concurrently. A reader may find a blob missing, but
// never gets wrong bytes.
func atOnce(t *testing.T, s cdn.Store) {
	const blobs, rounds, size = 3, 15, 100_000
	var wg sync.WaitGroup
	for i := range blobs {
		d, b := Content(byte(i), size)
		wg.Go(func() {
			for range rounds {
				if err := s.Put(t.Context(), d, size, bytes.NewReader(b)); err != nil {
					t.Errorf("put: %v", err)
				}
			}
		})
		wg.Go(func() {
			for range rounds {
				if err := s.Delete(t.Context(), d); err != nil {
					t.Errorf("delete: %v", err)
				}
			}
		})
		wg.Go(func() {
			for range 2 * rounds {
				readOrMiss(t, s, d, b)
			}
		})
	}
	wg.Wait()
	for i := range blobs {
		d, b := put(t, s, byte(i), size)
		wantBytes(t, s, d, cdn.Whole, b, size)
	}
}

func readOrMiss(t *testing.T, s cdn.Store, d cdn.Digest, want []byte) {
	blob, err := s.Get(t.Context(), d, cdn.Whole)
	if err == nil {
		var got []byte
		got, err = io.ReadAll(blob)
		_ = blob.Close()
		if err == nil && !bytes.Equal(got, want) {
			t.Errorf("read %d other bytes", len(got))
		}
	}
	if err != nil && core.KindOf(err) != core.KindNotFound {
		t.Errorf("get: %v", err)
	}
}

func notThere(t *testing.T, s cdn.Store) {
	d, _ := Content(1, 10)
	for _, d := range []cdn.Digest{d, {}} {
		_, err := s.Get(t.Context(), d, cdn.Whole)
		wantKind(t, "get", err, core.KindNotFound)
		_, err = s.Stat(t.Context(), d)
		wantKind(t, "stat", err, core.KindNotFound)
	}
}

func wrongBytes(t *testing.T, s cdn.Store) {
	for _, n := range []int{10, 9 << 20} {
		d, b := Content(1, n)
		other, _ := Content(2, n)
		for what, err := range map[string]error{
			"other digest": s.Put(t.Context(), other, int64(n), bytes.NewReader(b)),
			"too short":    s.Put(t.Context(), d, int64(n)+1, bytes.NewReader(b)),
			"too long":     s.Put(t.Context(), d, int64(n)-1, bytes.NewReader(b)),
			"cut":          s.Put(t.Context(), d, int64(n), bytes.NewReader(b[:n-1])),
			"one more":     s.Put(t.Context(), d, int64(n), io.MultiReader(bytes.NewReader(b), bytes.NewReader(b[:1]))),
			"no size":      s.Put(t.Context(), d, -1, bytes.NewReader(b)),
		} {
			wantKind(t, what, err, core.KindInvalid)
		}
	}
	wantNothing(t, s)
}

func brokenReader(t *testing.T, s cdn.Store) {
	broken := core.E(core.KindTooLarge, "the sender exceeded a limit")
	for _, n := range []int{10, 9 << 20} {
		d, b := Content(1, n)
		err := s.Put(t.Context(), d, int64(n), io.MultiReader(bytes.NewReader(b[:n/2]), iotest.ErrReader(broken)))
		wantKind(t, "put", err, core.KindTooLarge)
	}
	wantNothing(t, s)
}

func putTwice(t *testing.T, s cdn.Store) {
	d, b := put(t, s, 1, 5000)
	put(t, s, 1, 5000)
	other, _ := Content(2, 5000)
	wantKind(t, "wrong bytes for a blob that is there",
		s.Put(t.Context(), d, 5000, bytes.NewReader(other[:])), core.KindInvalid)
	wantBytes(t, s, d, cdn.Whole, b, 5000)
}

func putAtOnce(t *testing.T, s cdn.Store) {
	d, b := Content(1, 1<<20)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if err := s.Put(t.Context(), d, int64(len(b)), bytes.NewReader(b)); err != nil {
				t.Errorf("put: %v", err)
			}
		})
	}
	wg.Wait()
	wantBytes(t, s, d, cdn.Whole, b, len(b))
	if got := list(t, s, cdn.Digest{}); len(got) != 1 {
		t.Errorf("the store holds %v, want one blob", got)
	}
}

func deletes(t *testing.T, s cdn.Store) {
	d, _ := put(t, s, 1, 10)
	kept, b := put(t, s, 2, 10)
	for range 2 {
		if err := s.Delete(t.Context(), d); err != nil {
			t.Fatalf("delete: %v", err)
		}
	}
	_, err := s.Stat(t.Context(), d)
	wantKind(t, "stat of a deleted blob", err, core.KindNotFound)
	wantBytes(t, s, kept, cdn.Whole, b, 10)
}

func expires(t *testing.T, s cdn.Store) {
	d, b := put(t, s, 1, 10)
	expire := func(d cdn.Digest, before time.Time, want bool) {
		t.Helper()
		if gone, err := s.Expire(t.Context(), d, before); err != nil || gone != want {
			t.Errorf("expire before %v: %v, %v, want %v", before, gone, err, want)
		}
	}
	expire(d, time.Now().Add(-time.Hour), false)
	wantBytes(t, s, d, cdn.Whole, b, 10)
	expire(d, time.Now().Add(time.Hour), true)
	wantNothing(t, s)
	expire(d, time.Now().Add(time.Hour), false)
}

func lists(t *testing.T, s cdn.Store) {
	wantNothing(t, s)
	var want []cdn.Digest
	for seed := range 40 {
		d, _ := put(t, s, byte(seed), seed+1)
		want = append(want, d)
	}
	slices.SortFunc(want, func(a, b cdn.Digest) int { return bytes.Compare(a[:], b[:]) })
	if diff := cmp.Diff(want, list(t, s, cdn.Digest{})); diff != "" {
		t.Errorf("all (-want +got):\n%s", diff)
	}
	for i, after := range want { // a page may begin after any blob
		if got := list(t, s, after); !slices.Equal(got, want[i+1:]) {
			t.Errorf("after %v: %d blobs, want %d", after, len(got), len(want)-i-1)
		}
	}
}

func listStops(t *testing.T, s cdn.Store) {
	put(t, s, 1, 10)
	put(t, s, 2, 10)
	enough, calls := errors.New("enough"), 0
	err := s.List(t.Context(), cdn.Digest{}, func(cdn.Info) error { calls++; return enough })
	if !errors.Is(err, enough) || calls != 1 {
		t.Errorf("list: %v after %d calls, want the caller's error after one", err, calls)
	}
}

func canceled(t *testing.T, s cdn.Store) {
	there, _ := put(t, s, 1, 10)
	d, b := Content(2, 10)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	wantKind(t, "put", s.Put(ctx, d, 10, bytes.NewReader(b)), core.KindCanceled)
	_, err := s.Get(ctx, there, cdn.Whole)
	wantKind(t, "get", err, core.KindCanceled)
	_, err = s.Stat(ctx, there)
	wantKind(t, "stat", err, core.KindCanceled)
	wantKind(t, "list", s.List(ctx, cdn.Digest{}, func(cdn.Info) error { return nil }), core.KindCanceled)
	wantKind(t, "delete", s.Delete(ctx, there), core.KindCanceled)
	if got := list(t, s, cdn.Digest{}); !slices.Equal(got, []cdn.Digest{there}) {
		t.Errorf("the store holds %v, want only what was there", got)
	}
}

func canceledMidway(t *testing.T, s cdn.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	d, b := Content(1, 9<<20)
	half := bytes.NewReader(b[:len(b)/2])
	r := io.MultiReader(half, readerFunc(func([]byte) (int, error) { cancel(); return 0, io.EOF }), bytes.NewReader(b[len(b)/2:]))
	wantKind(t, "put", s.Put(ctx, d, int64(len(b)), r), core.KindCanceled)
	wantNothing(t, s)
}

type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
