package tier

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nearside/nearside/cdn"
	"github.com/nearside/nearside/cdn/cdntest"
	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/eventually"
)

func put(t *testing.T, c *Tier, d cdn.Digest, b []byte) error {
	t.Helper()
	return c.Put(t.Context(), d, int64(len(b)), bytes.NewReader(b))
}

func local(cfg *Config) { cfg.Local = true }

// After a Put, the blob is at the origin, and is read here without asking the origin.
func TestPut_IsAtTheOriginAndHere(t *testing.T) {
	o := newOrigin()
	c := started(t, o)
	for i, size := range []int{0, 1, chunk, 2*chunk + 1} {
		d, b := cdntest.Content(byte(i), size)
		for range 2 { // the second Put goes to the origin too, which may have removed the blob
			if err := put(t, c, d, b); err != nil {
				t.Fatal(err)
			}
		}
		if !o.has(d) {
			t.Error("it is not at the origin")
		}
		wantRead(t, c, d, b)
	}
	if s := c.Stats(); s.Misses != 0 || s.Files != 4 || o.puts != 8 || len(o.asked()) != 0 {
		t.Errorf("%+v, %d puts, %d gets", s, o.puts, len(o.asked()))
	}
}

// Bytes that do not match the digest, too few, too many or cut off, leave nothing at the edge or
// the origin.
func TestPut_WrongBytes_LeaveNothing(t *testing.T) {
	broken := errors.New("the client went away")
	for _, change := range []func(*Config){func(*Config) {}, local, func(cfg *Config) { cfg.MaxBytes = 10 }} {
		o := newOrigin()
		c := started(t, o, change)
		d, b := cdntest.Content(1, 1000)
		for name, r := range map[string]io.Reader{
			"other":    bytes.NewReader(make([]byte, 1000)),
			"too few":  bytes.NewReader(b[:999]),
			"too many": bytes.NewReader(append(bytes.Clone(b), 1)),
		} {
			wantKind(t, name, c.Put(t.Context(), d, 1000, r), core.KindInvalid)
		}
		if err := c.Put(t.Context(), d, 1000, io.MultiReader(bytes.NewReader(b[:500]), readFunc(func([]byte) (int, error) { return 0, broken }))); !errors.Is(err, broken) {
			t.Errorf("broken reader: %v", err)
		}
		if left, _ := os.ReadDir(c.cfg.Dir); len(left) != 0 || o.has(d) || c.Stats().Bytes != 0 {
			t.Errorf("%d files, %+v", len(left), c.Stats())
		}
	}
}

// If the origin is down, a Put that waits for it fails and leaves nothing.
func TestPut_OriginDown_KeepsNothing(t *testing.T) {
	o := newOrigin()
	o.down.Store(true)
	c := started(t, o)
	d, b := cdntest.Content(1, 1000)
	wantKind(t, "put", put(t, c, d, b), core.KindUnavailable)
	if left, _ := os.ReadDir(c.cfg.Dir); len(left) != 0 || c.Stats().Files != 0 {
		t.Errorf("%d files, %+v", len(left), c.Stats())
	}
}

// A blob that does not fit goes to the origin only.
func TestPut_TooLarge_GoesToTheOrigin(t *testing.T) {
	for _, change := range []func(*Config){func(*Config) {}, local} {
		o := newOrigin()
		c := started(t, o, change, func(cfg *Config) { cfg.MaxBytes = 500 })
		d, b := cdntest.Content(1, 1000)
		if err := put(t, c, d, b); err != nil {
			t.Fatal(err)
		}
		wantRead(t, c, d, b)
		if s := c.Stats(); s.Files != 0 || s.Passes != 1 || !o.has(d) {
			t.Errorf("%+v", s)
		}
	}
}

// A local Put succeeds while the origin is down. The blob can be read, survives a restart and
// pressure on the cache, and reaches the origin when it is back.
func TestPut_Local_FollowsToTheOrigin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, dir := newOrigin(), t.TempDir()
		o.down.Store(true)
		c := cache(t, dir, o, local)
		stop := running(t, c)
		d, b := cdntest.Content(1, 100_000)
		if err := put(t, c, d, b); err != nil {
			t.Fatal(err)
		}
		wantRead(t, c, d, b)
		time.Sleep(time.Hour) // in the bubble's time: many attempts
		if c.Purge(d) || c.PurgeAll() != 0 {
			t.Error("the only copy was purged")
		}
		stop()
		_ = c.Close()

		c = cache(t, dir, o, local, func(cfg *Config) { cfg.MaxFiles = 2 })
		stop = running(t, c)
		defer stop()
		if s := c.Stats(); s.Pending != 1 || s.Files != 1 {
			t.Errorf("after the restart: %+v", s)
		}
		o.down.Store(false)
		for i := range 10 { // fill the cache
			d2, b2 := o.add(byte(10+i), 1000)
			wantRead(t, c, d2, b2)
		}
		time.Sleep(2 * lastPause)
		if s := c.Stats(); !o.has(d) || s.Pending != 0 || s.Copied != 1 {
			t.Errorf("at the origin: %v, %+v", o.has(d), s)
		}
		if _, err := os.Stat(filepath.Join(dir, fileName(d, 100_000, true))); err == nil {
			t.Error("it is still marked as due")
		}
	})
}

// A blob that the origin lacks is never evicted, however many others come.
func TestPut_LocalAndDue_IsNotEvicted(t *testing.T) {
	o := newOrigin()
	c := started(t, &refusing{o}, local, func(cfg *Config) { cfg.MaxFiles = 3 })
	d, b := cdntest.Content(1, 1000)
	if err := put(t, c, d, b); err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		d2, b2 := o.add(byte(10+i), 1000)
		wantRead(t, c, d2, b2)
	}
	wantRead(t, c, d, b)
	if s := c.Stats(); s.Pending != 1 || s.Files > 3 {
		t.Errorf("%+v", s)
	}
}

// refusing is an origin that can be read but not written.
type refusing struct{ *origin }

func (*refusing) Put(context.Context, cdn.Digest, int64, io.Reader) error {
	return core.E(core.KindUnavailable, "read only")
}

// If blobs that the origin lacks occupy all the space, a local Put goes to the origin, and fails
// if the origin does.
func TestPut_LocalAndFull_GoesToTheOrigin(t *testing.T) {
	o := newOrigin()
	o.down.Store(true)
	c := started(t, o, local, func(cfg *Config) { cfg.MaxFiles = 2 })
	for i := range 3 {
		d, b := cdntest.Content(byte(i), 100)
		err := put(t, c, d, b)
		if i < 2 && err != nil {
			t.Fatal(err)
		}
		if i == 2 {
			wantKind(t, "put", err, core.KindUnavailable)
		}
	}
	if s := c.Stats(); s.Files != 2 || s.Pending != 2 {
		t.Errorf("%+v", s)
	}
}

// A damaged only copy is never given out and never dropped, and its readers get an error.
func TestGet_DamagedOnlyCopy_Diverges(t *testing.T) {
	o := newOrigin()
	o.down.Store(true)
	c := started(t, o, local)
	d, b := cdntest.Content(1, 2*chunk)
	if err := put(t, c, d, b); err != nil {
		t.Fatal(err)
	}
	flip(t, filepath.Join(c.cfg.Dir, fileName(d, 2*chunk, true)), chunk+1)
	got, err := read(t, c, d, cdn.Whole)
	wantKind(t, "read", err, core.KindDiverged)
	if len(got) > chunk || c.Stats().Pending != 1 {
		t.Errorf("%d bytes, %+v", len(got), c.Stats())
	}
}

// sick is a disk that accepts only so many bytes.
type sick struct {
	file
	left int
}

func (s *sick) Write(b []byte) (int, error) {
	n := min(len(b), s.left)
	n, err := s.file.Write(b[:n])
	s.left -= n
	if err == nil && n < len(b) {
		err = errors.New("no space left on device")
	}
	return n, err
}

// A full disk disables only the cache: reads pass through, and Puts reach the origin whole.
func TestDiskFull_PassesThrough(t *testing.T) {
	for _, left := range []int{0, 100, chunk + 1, 3*chunk + 5} {
		for _, change := range []func(*Config){func(*Config) {}, local} {
			o := newOrigin()
			c := cache(t, t.TempDir(), o, change)
			c.onDisk = func(f file) file { return &sick{f, left} }
			running(t, c)
			d, b := o.add(1, 3*chunk+5)
			wantRead(t, c, d, b)
			if got, err := read(t, c, d, cdn.Range{Offset: 2 * chunk, Length: 100}); err != nil || !bytes.Equal(got, b[2*chunk:2*chunk+100]) {
				t.Errorf("range: %v", err)
			}
			d2, b2 := cdntest.Content(2, 3*chunk+5)
			if err := put(t, c, d2, b2); err != nil || !o.has(d2) {
				t.Errorf("put: %v", err)
			}
			eventually.Nil(t, func() error {
				if s := c.Stats(); s.Filling != 0 || s.Bytes != 0 || s.Files != 0 {
					return errWait
				}
				return nil
			})
			if left, _ := os.ReadDir(c.cfg.Dir); len(left) != 0 {
				t.Errorf("%d files are left", len(left))
			}
		}
	}
}

// If the directory disappears, only the cache stops; it works again when the directory is back.
func TestDirectoryGone_PassesThrough(t *testing.T) {
	o := newOrigin()
	c := started(t, o)
	if err := os.RemoveAll(c.cfg.Dir); err != nil {
		t.Fatal(err)
	}
	d, b := o.add(1, 1000)
	wantRead(t, c, d, b)
	wantKind(t, "warm", c.Warm(t.Context(), d), core.KindUnavailable)
	d2, b2 := cdntest.Content(2, 1000)
	if err := put(t, c, d2, b2); err != nil || !o.has(d2) {
		t.Errorf("put: %v", err)
	}
	if err := os.Mkdir(c.cfg.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := c.Warm(t.Context(), d); err != nil {
		t.Error(err)
	}
}

// vanishing is a part whose file disappears after it was synced.
type vanishing struct{ *os.File }

func (v vanishing) Sync() error { return errors.Join(v.File.Sync(), os.Remove(v.Name())) }

// A Put of a blob whose only copy is here removes nothing before the new copy has the name. If
// that fails and the origin is down, the acknowledged blob can still be read, also after a
// restart.
func TestPut_LocalAgainAndFailing_KeepsTheOnlyCopy(t *testing.T) {
	o, dir := newOrigin(), t.TempDir()
	o.down.Store(true)
	c := cache(t, dir, o, local)
	stop := running(t, c)
	d, b := cdntest.Content(1, 1000)
	if err := put(t, c, d, b); err != nil {
		t.Fatal(err)
	}
	c.onDisk = func(f file) file { return vanishing{f.(*os.File)} }
	wantKind(t, "put", put(t, c, d, b), core.KindUnavailable)
	wantRead(t, c, d, b)
	c.onDisk = nil
	for range 2 { // now it replaces the first copy
		if err := put(t, c, d, b); err != nil {
			t.Fatal(err)
		}
	}
	wantRead(t, c, d, b)
	if s := c.Stats(); s.Pending != 1 || s.Files != 1 {
		t.Errorf("%+v", s)
	}
	stop()
	_ = c.Close()
	c = cache(t, dir, o, local)
	running(t, c)
	wantRead(t, c, d, b)
}
