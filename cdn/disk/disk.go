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
	incoming    = "incoming" // no fan-out folder has this name: theirs are two digits long
	leftoverAge = time.Hour  // younger files may be another process's upload to the same NAS
	fileMode    = 0o600
	dirMode     = 0o700
)

// Config says where blobs are kept.
type Config struct {
	Dir     string // made when it is not there
	MinFree int64  // bytes that Put leaves free on the file system
}

// Store is a cdn.Store in a directory. It is safe for concurrent use, also by several
// processes with the same directory.
type Store struct {
	cfg  Config
	root *os.Root // no name and no symbolic link leads out of it

	promised atomic.Int64 // bytes that Puts under way have still to write

	naming sync.Mutex // held to give a blob its name and to expire one, so that a new Put is seen
}

var _ cdn.Store = (*Store)(nil)

// Open makes the directory if need be and removes what crashed uploads left in it.
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

// Close lets go of the directory. Blobs that are open stay readable.
func (s *Store) Close() error { return s.root.Close() }

// sweep removes uploads that nobody has written to since before.
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
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // another process sweeps, or finishes
			return err
		}
	}
	return nil
}

// Put implements cdn.Putter. It writes the bytes even when the blob is there: they have to be
// read to be checked, and writing them heals a blob that has rotted.
func (s *Store) Put(ctx context.Context, d cdn.Digest, size int64, r io.Reader) (err error) {
	if size < 0 {
		return core.E(core.KindInvalid, "a blob has no size below zero")
	}
	room := s.promise(size)
	defer room.end()
	if err := s.room(); err != nil {
		return err
	}
	name := path.Join(incoming, rand.Text())
	f, err := s.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fileMode)
	if err != nil {
		return failed("create blob", err)
	}
	defer func() {
		if err != nil {
			_ = s.root.Remove(name) // what stays is swept at the next Open
		}
	}()
	err = fill(ctx, f, room, d, size, r)
	if closeErr := f.Close(); err == nil && closeErr != nil {
		err = failed("close blob", closeErr)
	}
	if err != nil {
		return err
	}
	return s.publish(name, d)
}

// fill writes what r gives to f and makes it durable, if it is what d and size promise.
func fill(ctx context.Context, f *os.File, room *promise, d cdn.Digest, size int64, r io.Reader) error {
	src, h := cdn.NewSource(ctx, r), sha256.New()
	n, err := io.Copy(io.MultiWriter(f, h, room), io.LimitReader(src, size))
	if err == nil && n == size {
		var extra int64
		extra, err = io.CopyN(io.Discard, src, 1) // one byte more than promised shows a lie
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
		return core.E(core.KindInvalid, "the blob does not have the %d bytes that were announced", size)
	case !bytes.Equal(h.Sum(nil), d[:]):
		return core.E(core.KindInvalid, "the blob's bytes are not what its digest says")
	}
	if err := f.Sync(); err != nil {
		return failed("sync blob", err)
	}
	return nil
}

// publish gives a finished upload its name. All folders above are synced each time: a
// concurrent Put may have made them and not synced them yet.
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

// promise is the bytes that a Put has still to write. Without it, Puts that begin together would
// all be given the same room.
type promise struct {
	of   *atomic.Int64
	left int64
}

func (s *Store) promise(size int64) *promise {
	s.promised.Add(size)
	return &promise{&s.promised, size}
}

// Write counts what is written.
func (p *promise) Write(b []byte) (int, error) {
	p.left -= int64(len(b))
	p.of.Add(-int64(len(b)))
	return len(b), nil
}

func (p *promise) end() { p.of.Add(-p.left) }

// room refuses a blob that would fill the disk, before a byte of it is written.
func (s *Store) room() error {
	promised := s.promised.Load() // first: what is written in between then counts twice, not never
	var st syscall.Statfs_t
	if err := syscall.Statfs(s.cfg.Dir, &st); err != nil {
		return failed("ask free space", err)
	}
	if int64(st.Bavail)*int64(st.Bsize)-s.cfg.MinFree < promised { //nolint:unconvert // other widths on other systems
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

// Delete implements cdn.Deleter. Emptied folders stay: a Put may be about to use them.
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

// Expire implements cdn.Deleter. Only Puts of this process are held off meanwhile: of processes
// that share a directory, one expires.
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

// place is where a blob lies under the root: made of the digest's digits and nothing else.
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

// absent is failed for who looks for a blob: only there does a missing file mean a missing blob.
func absent(doing string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return core.E(core.KindNotFound, "no such blob").WithCause(fmt.Errorf("%s: %w", doing, err))
	}
	return failed(doing, err)
}
