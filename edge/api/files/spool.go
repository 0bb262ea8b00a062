package files

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"sync"
	"syscall"

	"github.com/nearside/nearside/core"
)

const (
	spoolReserve = 256 << 20 // bytes that arriving files leave free on the disk, which may also be the database's
	// The free space is checked again after this many bytes. All uploads of an edge together,
	// which do not know of each other, then leave half of the reserve.
	spoolCheck = spoolReserve / 2 / uploadsOfEdge
	copyBytes  = 64 << 10
	typeBytes  = 512 // bytes at a file's beginning from which its type can be detected
)

// spooler stores arriving files on disk, so that a large file needs no memory.
type spooler struct {
	dir  string // "": the system's temporary directory
	free func(dir string) (int64, error)
}

// spool is an arriving file with the hash of what has arrived. It has no name in its directory,
// so it disappears when it is closed or the process ends.
type spool struct {
	from    *spooler
	file    *os.File
	hash    hash.Hash
	size    int64
	checkAt int64 // size at which the free space is checked again
}

// The reasons why no file can be received now.
var (
	spoolBroken = core.Refusal{Kind: core.KindUnavailable, ID: "api.nearside.spool.app_error"}
	noRoom      = core.Refusal{Kind: core.KindUnavailable, ID: "api.nearside.disk_full.app_error"}
)

// open makes a spool file, after a check of the free space for the expected size. A negative
// size is not known.
func (s *spooler) open(expected int64) (*spool, error) {
	dir := s.dir
	if dir == "" {
		dir = os.TempDir()
	}
	f, err := os.CreateTemp(dir, "upload-*")
	if errors.Is(err, fs.ErrNotExist) {
		if err = os.MkdirAll(dir, 0o700); err == nil {
			f, err = os.CreateTemp(dir, "upload-*")
		}
	}
	if err != nil {
		return nil, spoolFailed("make a spool file", err)
	}
	if err := os.Remove(f.Name()); err != nil {
		_ = f.Close()
		return nil, spoolFailed("unlink a spool file", err)
	}
	p := &spool{from: s, file: f, hash: sha256.New()}
	if err := p.check(max(expected, 0)); err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

// check refuses if the disk does not have space for this many more bytes.
func (p *spool) check(more int64) error {
	dir := p.from.dir
	if dir == "" {
		dir = os.TempDir()
	}
	free, err := p.from.free(dir)
	if err != nil {
		return spoolFailed("read the free space", err)
	}
	if free-spoolReserve < more {
		return noRoom
	}
	p.checkAt = p.size + spoolCheck
	return nil
}

// Write implements io.Writer. Its errors are for the client.
func (p *spool) Write(b []byte) (int, error) {
	if p.size >= p.checkAt {
		if err := p.check(int64(len(b))); err != nil {
			return 0, err
		}
	}
	n, err := p.file.Write(b)
	p.hash.Write(b[:n])
	p.size += int64(n)
	if err != nil {
		return n, spoolFailed("write a spool file", err)
	}
	return n, nil
}

var copyBuffers = sync.Pool{New: func() any { return new([copyBytes]byte) }}

// take reads up to limit bytes from r, and reports whether that was everything.
func (p *spool) take(r io.Reader, limit int64) (all bool, err error) {
	buf := copyBuffers.Get().(*[copyBytes]byte)
	defer copyBuffers.Put(buf)
	n, err := io.CopyBuffer(onlyWriter{p}, io.LimitReader(r, limit), buf[:])
	return err == nil && n < limit, err
}

// takeFile reads a whole file. If it has more than limit bytes, the error is tooLarge. Its errors
// are for the client.
func (p *spool) takeFile(r io.Reader, limit int64, tooLarge error) error {
	all, err := p.take(r, limit)
	if err == nil && !all {
		all, err = atEnd(r)
	}
	switch {
	case err != nil:
		return bodyError(err)
	case !all:
		return tooLarge
	}
	return nil
}

// atEnd reports whether r is at its end; if not, one byte is lost.
func atEnd(r io.Reader) (bool, error) {
	var b [1]byte
	for { // a reader may return nothing without being at its end
		n, err := r.Read(b[:])
		switch {
		case n > 0:
			return false, nil
		case errors.Is(err, io.EOF):
			return true, nil
		case err != nil:
			return false, err
		}
	}
}

// cut removes the last bytes.
func (p *spool) cut(bytes int64) error {
	p.size = max(0, p.size-bytes)
	p.hash.Reset()
	if _, err := io.Copy(p.hash, p.reader()); err != nil {
		return spoolFailed("read a spool file", err)
	}
	return nil
}

// onlyWriter hides other methods, so that io.Copy uses Write.
type onlyWriter struct{ io.Writer }

// ref is the reference to what has arrived.
func (p *spool) ref() core.BlobRef {
	return core.BlobRef{ID: core.BlobID(p.hash.Sum(nil)), Size: p.size}
}

// reader returns a new reader of what has arrived; several may be used at once.
func (p *spool) reader() *io.SectionReader { return io.NewSectionReader(p.file, 0, p.size) }

// head returns the beginning of what has arrived.
func (p *spool) head() ([]byte, error) {
	b := make([]byte, min(p.size, typeBytes))
	if _, err := p.file.ReadAt(b, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, spoolFailed("read a spool file", err)
	}
	return b, nil
}

// close removes the file. It may be called more than once.
func (p *spool) close() { _ = p.file.Close() }

// freeBytes returns the free space for us in the file system of a directory.
func freeBytes(dir string) (int64, error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return 0, err
	}
	return int64(st.Bavail) * int64(st.Bsize), nil //nolint:unconvert // other widths on other systems
}

// spoolFailed is an error of this node's disk: another edge, or a later attempt, may succeed.
func spoolFailed(doing string, err error) error {
	err = fmt.Errorf("%s: %w", doing, err)
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return noRoom.WithCause(err)
	}
	return spoolBroken.WithCause(err)
}
