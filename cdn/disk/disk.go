package disk

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/nearside/nearside/cdn"
	"github.com/nearside/nearside/core"
)

const (
	incoming    = "incoming" // cannot collide with a fan-out folder: those names have two digits
	leftoverAge = time.Hour  // a younger file may be the running upload of another process on the same NAS
	fileMode    = 0o600
	dirMode     = 0o700
)

// Config is where blobs are stored.
type Config struct {
	Dir     string // created if it does not exist
	MinFree int64  // bytes on the file system that Put leaves free
}

// Store is a cdn.Store in a directory. It is safe for concurrent use, also by several processes
// on the same directory.
type Store struct {
	cfg  Config
	root *os.Root // confines names and symbolic links to the directory

	reserved atomic.Int64 // bytes that running Puts have still to write

	naming sync.Mutex // held to rename a finished upload and to expire a blob, so that Expire sees a new Put
}

var _ cdn.Store = (*Store)(nil)

// Open creates the directory if necessary and removes what crashed uploads left in it.
func Open(cfg Config) (*Store, error) {
	if cfg.Dir == "" || cfg.MinFree < 0 {
		return nil, core.E(core.KindInvalid, "a blob store needs a directory and MinFree of 0 or more bytes")
	}
	if err := os.MkdirAll(cfg.Dir, dirMode); err != nil {
		return nil, failed("make blob folder", err)
	}
	root, err := os.OpenRoot(cfg.Dir)
	if err != nil {
		return nil, failed("open blob folder", err)
	}
	s := &Store{cfg: cfg, root: root}
	if err := s.sweep(time.Now().Add(-leftoverAge)); err != nil {
		return nil, errors.Join(failed("sweep blob folder", err), root.Close())
	}
	return s, nil
}

// Close releases the directory. Blobs that are open stay readable.
func (s *Store) Close() error { return s.root.Close() }

// sweep removes uploads that were last written to before a time.
func (s *Store) sweep(before time.Time) error {
	if err := s.root.MkdirAll(incoming, dirMode); err != nil {
		return err
	}
	entries, err := s.entries(incoming)
	if err != nil {
		return err
	}
	for _, e := range entries {
		info, err := e.Info()
		if err == nil && info.ModTime().Before(before) {
			err = s.root.Remove(path.Join(incoming, e.Name()))
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // another process sweeps too, or has finished its upload
			return err
		}
	}
	return nil
}

// Put implements cdn.Putter. It writes the bytes even if the blob is stored: they have to be read
// to be checked, and writing them repairs a damaged blob.
func (s *Store) Put(ctx context.Context, d cdn.Digest, size int64, r io.Reader) (err error) {
	if size < 0 {
		return core.E(core.KindInvalid, "a blob's size must not be negative")
	}
	space := s.reserve(size)
	defer space.end()
	if err := s.checkSpace(); err != nil {
		return err
	}
	name := path.Join(incoming, rand.Text())
	f, err := s.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fileMode)
	if err != nil {
		return failed("create blob", err)
	}
	defer func() {
		if err != nil {
			_ = s.root.Remove(name) // if this fails, the next Open removes it
		}
	}()
	err = fill(ctx, f, space, d, size, r)
	if closeErr := f.Close(); err == nil && closeErr != nil {
		err = failed("close blob", closeErr)
	}
	if err != nil {
		return err
	}
	return s.publish(name, d)
}

// fill writes the content of r to f and makes it durable. It fails if the content does not match
// d and size.
func fill(ctx context.Context, f *os.File, space *reservation, d cdn.Digest, size int64, r io.Reader) error {
	src, h := cdn.NewSource(ctx, r), sha256.New()
	n, err := io.Copy(io.MultiWriter(f, h, space), io.LimitReader(src, size))
	if err == nil && n == size {
		var extra int64
		extra, err = io.CopyN(io.Discard, src, 1) // r must end here: one more byte means that size is wrong
		if n += extra; errors.Is(err, io.EOF) {
			err = nil
		}
	}
	switch {
	case src.Err() != nil:
		return fmt.Errorf("read blob: %w", src.Err())
	case err != nil:
		return failed("write blob", err)
	case n != size:
		return core.E(core.KindInvalid, "the blob does not have the announced %d bytes", size)
	case !bytes.Equal(h.Sum(nil), d[:]):
		return core.E(core.KindInvalid, "the blob's bytes do not match its digest")
	}
	if err := f.Sync(); err != nil {
		return failed("sync blob", err)
	}
	return nil
}

// publish gives a finished upload its name. All folders above it are synced each time: a
// concurrent Put may have created them without having synced them yet.
func (s *Store) publish(tmp string, d cdn.Digest) error {
	name := place(d)
	if err := s.root.MkdirAll(path.Dir(name), dirMode); err != nil {
		return failed("make blob folder", err)
	}
	s.naming.Lock()
	err := s.root.Rename(tmp, name)
	s.naming.Unlock()
	if err != nil {
		return failed("rename blob", err)
	}
	for dir := path.Dir(name); ; dir = path.Dir(dir) {
		if err := s.syncDir(dir); err != nil {
			return failed("sync blob folder", err)
		}
		if dir == "." {
			return nil
		}
	}
}

func (s *Store) syncDir(name string) error {
	f, err := s.root.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// reservation is the space that a Put has still to fill. Without it, Puts that begin together
// would all see the same free space as theirs.
type reservation struct {
	of   *atomic.Int64
	left int64
}

func (s *Store) reserve(size int64) *reservation {
	s.reserved.Add(size)
	return &reservation{&s.reserved, size}
}

// Write releases what has now been written.
func (p *reservation) Write(b []byte) (int, error) {
	p.left -= int64(len(b))
	p.of.Add(-int64(len(b)))
	return len(b), nil
}

func (p *reservation) end() { p.of.Add(-p.left) }

// checkSpace refuses a blob that would fill the disk, before a byte of it is written.
func (s *Store) checkSpace() error {
	reserved := s.reserved.Load() // read first: bytes written in between are then counted twice, which is safe; the other order would not count them at all
	var st syscall.Statfs_t
	if err := syscall.Statfs(s.cfg.Dir, &st); err != nil {
		return failed("read free disk space", err)
	}
	if int64(st.Bavail)*int64(st.Bsize)-s.cfg.MinFree < reserved { //nolint:unconvert // other widths on other systems
		return core.E(core.KindUnavailable, "disk full")
	}
	return nil
}

// Stat implements cdn.Stater.
func (s *Store) Stat(ctx context.Context, d cdn.Digest) (int64, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	info, err := s.root.Stat(place(d))
	if err != nil {
		return 0, absent("stat blob", err)
	}
	return info.Size(), nil
}

// Delete implements cdn.Deleter. Empty folders stay: a Put may be about to use them.
func (s *Store) Delete(ctx context.Context, d cdn.Digest) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	err := s.root.Remove(place(d))
	if err == nil {
		err = s.syncDir(path.Dir(place(d)))
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return failed("delete blob", err)
	}
	return nil
}

// Expire implements cdn.Deleter. It excludes only Puts of this process, so of several processes
// that share a directory only one may expire.
func (s *Store) Expire(ctx context.Context, d cdn.Digest, before time.Time) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	s.naming.Lock()
	defer s.naming.Unlock()
	info, err := s.root.Stat(place(d))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, failed("stat blob", err)
	case !info.ModTime().Before(before):
		return false, nil
	}
	return true, s.Delete(ctx, d)
}

// place returns a blob's path under the root. It is made of the digest's digits only.
func place(d cdn.Digest) string {
	s := d.String()
	return path.Join(s[:2], s[2:4], s)
}

// failed gives a file system's error the kind that callers act on.
func failed(doing string, err error) error {
	err = fmt.Errorf("%s: %w", doing, err)
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return core.E(core.KindUnavailable, "disk full").WithCause(err)
	}
	return core.E(core.KindUnavailable, "the blob store is unavailable").WithCause(err)
}

// absent is failed for code that looks for a blob: only there does a missing file mean a missing
// blob.
func absent(doing string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return core.E(core.KindNotFound, "no such blob").WithCause(fmt.Errorf("%s: %w", doing, err))
	}
	return failed(doing, err)
}
