package assets

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"
	"sync"

	"github.com/nearside/nearside/core"
)

const (
	maxMemory = 64 << 20  // bytes of forms without a directory
	maxKept   = 512 << 20 // bytes of forms in a directory
)

// errFull means that the store is full; then the plain file is served.
var errFull = errors.New("no room for more compressed forms")

// store keeps forms by name.
type store interface {
	get(name string) (*body, error)
	put(name string, b []byte) (*body, error)
	keep(live map[string]bool) // removes all others
	close()
}

// formName is the name of an entry's form in the store.
func formName(e *entry, i int) string { return hex.EncodeToString(e.digest[:]) + codings[i].suffix }

func openStore(dir string) (store, error) {
	if dir == "" {
		return &memory{forms: map[string][]byte{}}, nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, core.E(core.KindUnavailable, "the directory for compressed files cannot be made").WithCause(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, core.E(core.KindUnavailable, "the directory for compressed files cannot be opened").WithCause(err)
	}
	return &directory{root: root}, nil
}

// memory is a store in memory.
type memory struct {
	mu    sync.Mutex // guards everything below
	forms map[string][]byte
	size  int
}

func bodyOf(b []byte) *body {
	return &body{int64(len(b)), func() (io.ReadSeekCloser, error) {
		return struct {
			io.ReadSeeker
			io.Closer
		}{bytes.NewReader(b), io.NopCloser(nil)}, nil
	}}
}

func (m *memory) get(name string) (*body, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if b, ok := m.forms[name]; ok {
		return bodyOf(b), nil
	}
	return nil, fs.ErrNotExist
}

func (m *memory) put(name string, b []byte) (*body, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.size+len(b) > maxMemory {
		return nil, errFull
	}
	m.size += len(b) - len(m.forms[name])
	m.forms[name] = b
	return bodyOf(b), nil
}

func (m *memory) keep(live map[string]bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for name, b := range m.forms {
		if !live[name] {
			m.size -= len(b)
			delete(m.forms, name)
		}
	}
}

func (m *memory) close() {}

// directory is a store of files. Only Run calls put and keep.
type directory struct {
	root *os.Root
	size int64
}

func (d *directory) get(name string) (*body, error) {
	info, err := d.root.Stat(name)
	if err != nil {
		return nil, err
	}
	return &body{info.Size(), func() (io.ReadSeekCloser, error) { return d.root.Open(name) }}, nil
}

// put writes a whole file and renames it into place, so that a crash leaves no partial one.
func (d *directory) put(name string, b []byte) (*body, error) {
	if d.size += int64(len(b)); d.size > maxKept {
		return nil, errFull
	}
	if err := d.root.WriteFile(name+".part", b, 0o600); err != nil {
		return nil, err
	}
	if err := d.root.Rename(name+".part", name); err != nil {
		return nil, err
	}
	return d.get(name)
}

// keep removes the forms that no file of the build needs. It leaves files that it did not write.
func (d *directory) keep(live map[string]bool) {
	names, err := fs.ReadDir(d.root.FS(), ".")
	if err != nil {
		return
	}
	d.size = 0
	for _, entry := range names {
		info, err := entry.Info()
		switch {
		case err != nil || !ours(entry.Name()):
		case live[entry.Name()]:
			d.size += info.Size()
		default:
			_ = d.root.Remove(entry.Name())
		}
	}
}

// ours reports whether a name has the form that put gives.
func ours(name string) bool {
	digest, rest, ok := strings.Cut(name, ".")
	_, err := hex.DecodeString(digest)
	return ok && err == nil && len(digest) == 64 && rest != ""
}

func (d *directory) close() { _ = d.root.Close() }
