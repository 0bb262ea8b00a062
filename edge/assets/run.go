package assets

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"path"
)

const (
	maxFiles     = 20_000
	maxAhead     = 8 << 20 // bytes of a file whose forms are made before they are requested
	worthPercent = 95      // of the plain file's size; a form that is larger is not kept
)

// job asks Run for a form.
type job struct {
	e    *entry
	i    int // index in codings
	form *form
}

// Run makes compressed forms until ctx ends: requested ones first, and those of the whole build
// when there are no requests. Without Run every file is served plain, and caches store nothing.
func (h *Handler) Run(ctx context.Context) error {
	ahead := h.build()
	live := map[string]bool{}
	for ctx.Err() == nil {
		select {
		case j := <-h.jobs:
			h.do(j)
			continue
		default:
		}
		if len(ahead) == 0 {
			break
		}
		h.ahead(ahead[0], live)
		if ahead = ahead[1:]; len(ahead) == 0 {
			h.store.keep(live)
		}
	}
	for {
		select {
		case j := <-h.jobs:
			h.do(j)
		case <-ctx.Done():
			return nil
		}
	}
}

// build lists the files of the build.
func (h *Handler) build() (names []string) {
	_ = fs.WalkDir(h.fsys, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case len(names) >= maxFiles:
			return fs.SkipAll
		case err != nil, name == ".":
			return nil
		case !visible(name):
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		case d.Type().IsRegular():
			names = append(names, name)
		}
		return nil
	})
	return names
}

// ahead makes all forms of a file, and records which stored forms belong to it.
func (h *Handler) ahead(name string, live map[string]bool) {
	f, e, err := h.open(name)
	if err != nil {
		return
	}
	_ = f.Close()
	for i := range codings {
		live[formName(e, i)] = true
		if !e.packable() || e.size > maxAhead || path.Ext(name) == ".map" { // source maps are for developers
			continue
		}
		h.mu.Lock()
		v := e.forms[i]
		if v == nil {
			v = &form{done: make(chan struct{})}
			e.forms[i] = v
			h.mu.Unlock()
			h.do(job{e, i, v})
			continue
		}
		h.mu.Unlock()
	}
}

// do makes one form, or finds it in the store or in the build.
func (h *Handler) do(j job) {
	defer close(j.form.done)
	if b, err := h.store.get(formName(j.e, j.i)); err == nil && h.standsFor(b, j) {
		j.form.body = b
		return
	}
	b, err := h.beside(j)
	if err != nil {
		b, err = h.pack(j)
	}
	if err == nil && int64(len(b)) > j.e.size*worthPercent/100 {
		return
	}
	if err == nil {
		j.form.body, err = h.store.put(formName(j.e, j.i), b)
	}
	if err != nil {
		h.log.Warn("a file is served uncompressed", "file", j.e.name, "coding", codings[j.i].name, "error", err)
	}
}

// standsFor checks a stored form: the disk may have damaged it.
func (h *Handler) standsFor(b *body, j job) bool {
	r, err := b.open()
	if err != nil {
		return false
	}
	defer func() { _ = r.Close() }()
	return j.gives(r) == nil
}

// gives checks that a form decompresses to the file. It reads no more than the file's size.
func (j job) gives(r io.Reader) error {
	u, err := codings[j.i].unpack(r)
	if err != nil {
		return err
	}
	defer func() { _ = u.Close() }()
	sum := sha256.New()
	n, err := io.Copy(sum, io.LimitReader(u, j.e.size+1))
	if err != nil {
		return err
	}
	if n != j.e.size || [sha256.Size]byte(sum.Sum(nil)) != j.e.digest {
		return fmt.Errorf("%s%s is not of this %s", j.e.name, codings[j.i].suffix, j.e.name)
	}
	return nil
}

// beside reads the form that the build itself contains.
func (h *Handler) beside(j job) ([]byte, error) {
	f, e, err := h.open(j.e.name + codings[j.i].suffix)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	if e.size > maxForm {
		return nil, fs.ErrInvalid
	}
	if err := j.gives(f); err != nil {
		return nil, err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(f, maxForm))
}

func (h *Handler) pack(j job) ([]byte, error) {
	f, e, err := h.open(j.e.name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	plain, err := io.ReadAll(io.LimitReader(f, maxForm))
	if err != nil {
		return nil, err
	}
	if e.digest != j.e.digest || sha256.Sum256(plain) != j.e.digest {
		return nil, fmt.Errorf("%s changed: %w", j.e.name, fs.ErrNotExist)
	}
	return codings[j.i].packed(plain)
}
