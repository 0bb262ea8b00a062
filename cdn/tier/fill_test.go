package tier

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/nearside/nearside/cdn"
	"github.com/nearside/nearside/cdn/cdntest"
	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/eventually"
)

// slow makes an origin deliver only the bytes that the test allows.
func slow(o *origin) *steps {
	s := newSteps()
	o.spoil = func(ctx context.Context, _ cdn.Range, r io.Reader) io.Reader { return s.over(ctx, r) }
	return s
}

// However many readers ask for a blob at once, it is fetched once.
func TestGet_ManyAtOnce_OneFill(t *testing.T) {
	o := newOrigin()
	c := started(t, o)
	d, b := o.add(1, 3*chunk+5)
	s := slow(o)
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			if got, err := read(t, c, d, cdn.Whole); err != nil || !bytes.Equal(got, b) {
				t.Errorf("%d bytes: %v", len(got), err)
			}
		})
	}
	eventually.Nil(t, func() error {
		if c.Stats().Misses < 32 {
			return errWait
		}
		return nil
	})
	close(s.allow)
	wg.Wait()
	if got := o.asked(); len(got) != 1 {
		t.Errorf("the origin was asked %d times", len(got))
	}
}

// A reader gets the bytes that have arrived while the rest is still on its way, except the last
// chunk.
func TestGet_DuringTheFill_GivesWhatIsThere(t *testing.T) {
	o := newOrigin()
	c := started(t, o)
	d, b := o.add(1, 4*chunk)
	s := slow(o)
	s.allow <- 1000
	blob, err := c.Get(t.Context(), d, cdn.Whole)
	if err != nil {
		t.Fatal(err)
	}
	defer blob.Close()
	got := make([]byte, 3*chunk)
	if _, err := io.ReadFull(blob, got[:1000]); err != nil {
		t.Fatalf("first bytes: %v", err)
	}
	s.allow <- 3*chunk - 1000
	part, err := c.Get(t.Context(), d, cdn.Range{Offset: chunk - 10, Length: chunk + 20})
	if err != nil {
		t.Fatal(err)
	}
	defer part.Close()
	if mid, err := io.ReadAll(part); err != nil || !bytes.Equal(mid, b[chunk-10:2*chunk+10]) {
		t.Fatalf("range: %d bytes, %v", len(mid), err)
	}
	if _, err := io.ReadFull(blob, got[1000:]); err != nil || !bytes.Equal(got, b[:3*chunk]) {
		t.Fatalf("the first three chunks: %v", err)
	}
	close(s.allow)
	if rest, err := io.ReadAll(blob); err != nil || !bytes.Equal(rest, b[3*chunk:]) {
		t.Fatalf("the rest: %d bytes, %v", len(rest), err)
	}
	if got := o.asked(); len(got) != 1 {
		t.Errorf("the origin was asked for %v", got)
	}
}

// A range far ahead of the fill is read from the origin at once, and the fill continues.
func TestGet_FarAheadOfTheFill_IsPassedToTheOrigin(t *testing.T) {
	o := newOrigin()
	c := started(t, o)
	d, b := o.add(1, 3<<20)
	s := newSteps()
	o.spoil = func(ctx context.Context, r cdn.Range, rd io.Reader) io.Reader {
		if r.Offset == 0 {
			return s.over(ctx, rd)
		}
		return rd
	}
	blob, err := c.Get(t.Context(), d, cdn.Range{Offset: 2 << 20, Length: 100})
	if err != nil {
		t.Fatal(err)
	}
	defer blob.Close()
	if got, err := io.ReadAll(blob); err != nil || !bytes.Equal(got, b[2<<20:2<<20+100]) {
		t.Fatalf("%d bytes: %v", len(got), err)
	}
	close(s.allow)
	if err := c.Warm(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	wantRead(t, c, d, b)
	if got := o.asked(); len(got) != 2 {
		t.Errorf("the origin was asked for %v", got)
	}
}

// If the first reader leaves, the others still get the whole blob.
func TestGet_FirstReaderLeaves_OthersGetAll(t *testing.T) {
	o := newOrigin()
	c := started(t, o)
	d, b := o.add(1, 4*chunk)
	s := slow(o)
	s.allow <- 10
	ctx, cancel := context.WithCancel(t.Context())
	first, err := c.Get(ctx, d, cdn.Whole)
	if err != nil {
		t.Fatal(err)
	}
	second, err := c.Get(t.Context(), d, cdn.Whole)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	cancel()
	_, err = io.ReadAll(first)
	wantKind(t, "who left", err, core.KindCanceled)
	_ = first.Close()
	close(s.allow)
	if got, err := io.ReadAll(second); err != nil || !bytes.Equal(got, b) {
		t.Fatalf("%d bytes: %v", len(got), err)
	}
	if n := len(o.asked()); n != 1 {
		t.Errorf("the origin was asked %d times", n)
	}
}

// A fill without readers ends if little has arrived, and continues if half has.
func TestGet_AllLeave_EndsOnlyBeforeHalf(t *testing.T) {
	for _, half := range []bool{false, true} {
		o := newOrigin()
		c := started(t, o)
		d, _ := o.add(1, 4*chunk)
		s := slow(o)
		s.allow <- chunk
		blob, err := c.Get(t.Context(), d, cdn.Whole)
		if err != nil {
			t.Fatal(err)
		}
		if half {
			s.allow <- chunk
			if _, err := io.ReadFull(blob, make([]byte, 2*chunk)); err != nil {
				t.Fatal(err)
			}
		}
		_ = blob.Close()
		if half {
			close(s.allow)
		}
		eventually.Nil(t, func() error {
			if st := c.Stats(); st.Filling != 0 || st.Files != int64(one(half)) {
				return errWait
			}
			return nil
		})
		if left, _ := os.ReadDir(c.cfg.Dir); len(left) != one(half) {
			t.Errorf("half %v: %d files are left", half, len(left))
		}
	}
}

func one(b bool) int {
	if b {
		return 1
	}
	return 0
}

// Bytes that do not match the digest never end cleanly and are never kept, even if their number
// is right.
func TestGet_LyingOrigin_Diverges(t *testing.T) {
	for _, size := range []int{1, chunk, 3*chunk + 1} {
		o := newOrigin()
		c := started(t, o)
		d, b := o.add(1, size)
		o.spoil = func(_ context.Context, r cdn.Range, _ io.Reader) io.Reader {
			lie := bytes.Clone(b)
			lie[0] ^= 1
			return bytes.NewReader(lie[r.Offset:])
		}
		got, err := read(t, c, d, cdn.Whole)
		wantKind(t, "read", err, core.KindDiverged)
		if len(got) == size {
			t.Errorf("all %d wrong bytes were delivered", size)
		}
		wantKind(t, "warm", c.Warm(t.Context(), d), core.KindDiverged)
		eventually.Nil(t, func() error {
			if s := c.Stats(); s.Files != 0 || s.Hot != 0 || s.Bytes != 0 {
				return errWait
			}
			return nil
		})
	}
}

// If the origin gives an empty answer for a blob that is not empty, the read ends with an error.
func TestGet_EmptyLie_Diverges(t *testing.T) {
	o := newOrigin()
	c := started(t, o)
	d, _ := cdntest.Content(1, 5)
	o.blobs[d] = nil
	_, err := read(t, c, d, cdn.Whole)
	wantKind(t, "read", err, core.KindDiverged)
}

// Wrong bytes that are passed through, because the blob does not fit, do not end cleanly either.
func TestGet_LieThatDoesNotFit_Diverges(t *testing.T) {
	o := newOrigin()
	c := started(t, o, func(cfg *Config) { cfg.MaxBytes = 1000 })
	d, b := o.add(1, 100_000)
	wantRead(t, c, d, b)
	o.spoil = func(context.Context, cdn.Range, io.Reader) io.Reader { return bytes.NewReader(make([]byte, 100_000)) }
	got, err := read(t, c, d, cdn.Whole)
	wantKind(t, "read", err, core.KindDiverged)
	if len(got) == len(b) {
		t.Error("all the wrong bytes were delivered")
	}
	wantKind(t, "warm", c.Warm(t.Context(), d), core.KindTooLarge)
}

// If the origin breaks off, reading continues there; if it delivers nothing more, the read ends
// with an error.
func TestGet_OriginBreaksOff_GoesOnOrFails(t *testing.T) {
	o := newOrigin()
	c := started(t, o)
	d, b := o.add(1, 5*chunk)
	o.spoil = func(_ context.Context, _ cdn.Range, r io.Reader) io.Reader { return io.LimitReader(r, 2*chunk) }
	wantRead(t, c, d, b)
	if got := o.asked(); len(got) != 3 || got[1].Offset != 2*chunk {
		t.Errorf("the origin was asked for %v", got)
	}
	d, _ = o.add(2, 5*chunk)
	o.spoil = func(_ context.Context, r cdn.Range, rd io.Reader) io.Reader {
		return io.LimitReader(rd, chunk-r.Offset)
	}
	_, err := read(t, c, d, cdn.Whole)
	wantKind(t, "read", err, core.KindUnavailable)
}

// An origin that neither delivers nor fails is abandoned after its limit.
func TestGet_OriginStalls_IsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOrigin()
		c := cache(t, t.TempDir(), o)
		stop := running(t, c)
		d, _ := o.add(1, 4*chunk)
		o.spoil = func(ctx context.Context, _ cdn.Range, _ io.Reader) io.Reader {
			return readFunc(func([]byte) (int, error) {
				<-ctx.Done()
				return 0, ctx.Err()
			})
		}
		_, err := read(t, c, d, cdn.Whole)
		wantKind(t, "read", err, core.KindUnavailable)
		stop()
		_, err = read(t, c, d, cdn.Whole) // passed through
		wantKind(t, "pass", err, core.KindUnavailable)
	})
}

// Without Run, a tier serves kept blobs and passes the others through.
func TestGet_NotRunning_ServesAndPasses(t *testing.T) {
	o, dir := newOrigin(), t.TempDir()
	kept, b := o.add(1, 1000)
	other, b2 := o.add(2, 1000)
	c := cache(t, dir, o)
	stop := running(t, c)
	wantRead(t, c, kept, b)
	stop()
	wantRead(t, c, kept, b)
	wantRead(t, c, other, b2)
	wantKind(t, "warm", c.Warm(t.Context(), other), core.KindUnavailable)
	never := cache(t, t.TempDir(), o)
	wantRead(t, never, other, b2)
	if s := never.Stats(); s.Passes != 1 || s.Files != 0 {
		t.Errorf("%+v", s)
	}
}

// Errors keep their kind: not found at the origin, refused by the origin, tier closed.
func TestGet_Errors_KeepTheirKind(t *testing.T) {
	o := newOrigin()
	c := started(t, o)
	missing, _ := cdntest.Content(9, 9)
	_, err := c.Get(t.Context(), missing, cdn.Whole)
	wantKind(t, "missing", err, core.KindNotFound)
	_, err = c.Stat(t.Context(), missing)
	wantKind(t, "stat", err, core.KindNotFound)
	d, b := o.add(1, 100)
	for range 2 {
		for _, r := range []cdn.Range{{Offset: -1, Length: -1}, {Offset: 101, Length: -1}, {Offset: 50, Length: 51}, {Offset: 1 << 62, Length: 1 << 62}} {
			_, err = c.Get(t.Context(), d, r)
			wantKind(t, "bad range", err, core.KindInvalid)
		}
		wantRead(t, c, d, b)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = c.Get(ctx, d, cdn.Whole)
	wantKind(t, "canceled", err, core.KindCanceled)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = c.Get(t.Context(), d, cdn.Whole)
	wantKind(t, "closed", err, core.KindUnavailable)
}

// If the origin is down, only blobs that are not kept fail.
func TestGet_OriginDown_KeptIsServed(t *testing.T) {
	o := newOrigin()
	c := started(t, o)
	d, b := o.add(1, 100_000)
	other, _ := o.add(2, 100)
	wantRead(t, c, d, b)
	if err := c.Warm(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	o.down.Store(true)
	wantRead(t, c, d, b)
	if size, err := c.Stat(t.Context(), d); err != nil || size != 100_000 {
		t.Errorf("stat: %d, %v", size, err)
	}
	_, err := read(t, c, other, cdn.Whole)
	wantKind(t, "not kept", err, core.KindUnavailable)
}

// A purged blob is fetched again; a fill that is purged while it runs serves its readers, but its
// result is not kept.
func TestPurge_ForgetsKeptAndFilling(t *testing.T) {
	o := newOrigin()
	c := started(t, o)
	d, b := o.add(1, 2*chunk)
	for range 3 {
		wantRead(t, c, d, b)
		if err := c.Warm(t.Context(), d); err != nil {
			t.Fatal(err)
		}
	}
	if !c.Purge(d) || c.Purge(d) {
		t.Error("purge reports the wrong result")
	}
	if s := c.Stats(); s.Files != 0 || s.Bytes != 0 || s.Hot != 0 {
		t.Errorf("after the purge: %+v", s)
	}
	s := slow(o)
	s.allow <- 10
	blob, err := c.Get(t.Context(), d, cdn.Whole)
	if err != nil {
		t.Fatal(err)
	}
	c.PurgeAll()
	close(s.allow)
	if got, err := io.ReadAll(blob); err != nil || !bytes.Equal(got, b) {
		t.Errorf("%d bytes: %v", len(got), err)
	}
	_ = blob.Close()
	eventually.Nil(t, func() error {
		if s := c.Stats(); s.Filling != 0 || s.Files != 0 || s.Bytes != 0 {
			return errWait
		}
		return nil
	})
}

// After a Seek, reading continues at that place, in a kept blob and during a fill.
func TestReader_Seek(t *testing.T) {
	o := newOrigin()
	c := started(t, o)
	d, b := o.add(1, 3*chunk)
	for range 2 {
		blob, err := c.Get(t.Context(), d, cdn.Range{Offset: 10, Length: 2*chunk + 7})
		if err != nil {
			t.Fatal(err)
		}
		rs := blob.ReadCloser.(io.ReadSeeker)
		for _, at := range []int64{0, 5, 2 * chunk, 2*chunk + 7, chunk - 10} {
			if n, err := rs.Seek(at, io.SeekStart); err != nil || n != at {
				t.Fatalf("seek %d: %d, %v", at, n, err)
			}
			if got, err := io.ReadAll(rs); err != nil || !bytes.Equal(got, b[10+at:10+2*chunk+7]) {
				t.Fatalf("from %d: %d bytes, %v", at, len(got), err)
			}
		}
		if n, err := rs.Seek(0, io.SeekEnd); err != nil || n != 2*chunk+7 {
			t.Errorf("end: %d, %v", n, err)
		}
		if _, err := rs.Seek(1, io.SeekCurrent); err == nil {
			t.Error("an offset past the range was accepted")
		}
		_ = blob.Close()
		if _, err := blob.Read(make([]byte, 1)); !errors.Is(err, os.ErrClosed) {
			t.Errorf("read after close: %v", err)
		}
	}
}
