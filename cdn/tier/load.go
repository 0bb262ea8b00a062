package tier

import (
	"cmp"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Load adopts the files that an earlier run kept, by their names and lengths: the content is
// checked when it is read. It removes unfinished files and files with a wrong length.
func (t *Tier) Load() error {
	if err := os.MkdirAll(t.cfg.Dir, 0o700); err != nil {
		return fault(err)
	}
	files, err := os.ReadDir(t.cfg.Dir)
	if err != nil {
		return fault(err)
	}
	found := t.sift(files)
	slices.SortFunc(found, func(a, b aged) int { return cmp.Or(a.at.Compare(b.at), strings.Compare(a.name, b.name)) })
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, a := range found {
		if t.index[a.e.d] != nil { // a crash came between two names of the same content
			t.drop(t.index[a.e.d])
		}
		t.index[a.e.d] = a.e
		t.policy.AddProven(a.e.d, fileBytes(a.e.size))
		if a.e.due {
			t.policy.Pin(a.e.d, true)
			t.owe(a.e)
		}
	}
	t.shrink()
	return nil
}

// aged is a file of an earlier run, with the time of its last use.
type aged struct {
	e    *entry
	name string
	at   time.Time
}

// sift removes files that cannot be used. Files with other names are left alone.
func (t *Tier) sift(files []os.DirEntry) (found []aged) {
	for _, f := range files {
		d, size, due, ok := parseName(f.Name())
		info, err := f.Info()
		switch {
		case err != nil || !info.Mode().IsRegular():
		case ok && info.Size() == fileBytes(size):
			found = append(found, aged{&entry{d: d, size: size, due: due}, f.Name(), info.ModTime()})
		case ok || strings.HasSuffix(f.Name(), partExt):
			_ = os.Remove(filepath.Join(t.cfg.Dir, f.Name()))
		}
	}
	return found
}

// shrink evicts until the bounds hold, which may be smaller than those of the earlier run. The
// caller holds mu.
func (t *Tier) shrink() {
	for t.policy.Bytes() > t.cfg.MaxBytes || t.policy.Len() > t.cfg.MaxFiles {
		d, ok := t.policy.Evict()
		if !ok {
			return // the others must first be copied to the origin
		}
		t.remove(t.index[d])
	}
}
