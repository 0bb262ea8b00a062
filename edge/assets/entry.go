package assets

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"strconv"
	"time"
)

const (
	minForm  = 1 << 10  // bytes; smaller files are not compressed
	maxForm  = 32 << 20 // bytes; larger ones are not compressed
	formWait = 3 * time.Second
)

// entry is one version of a file.
type entry struct {
	name    string
	size    int64
	modTime time.Time
	digest  [sha256.Size]byte
	kind    kind

	forms [len(codings)]*form // guarded by Handler.mu; nil until requested
}

// form is a file in one content coding.
type form struct {
	done chan struct{} // closed by Run when body is known
	body *body         // nil if the form saves too little or could not be made
}

// body is the stored bytes of a form.
type body struct {
	size int64
	open func() (io.ReadSeekCloser, error)
}

// tag is the entity tag of the entry in a coding; "" means the plain file.
func (e *entry) tag(coding string) string {
	if coding != "" {
		coding = "-" + coding
	}
	return `"` + base64.RawURLEncoding.EncodeToString(e.digest[:18]) + coding + `"`
}

// packable reports whether the file may have compressed forms.
func (e *entry) packable() bool { return e.kind.packs && e.size >= minForm && e.size <= maxForm }

// open returns a file and the entry of this version of it.
func (h *Handler) open(name string) (io.ReadSeekCloser, *entry, error) {
	if !visible(name) {
		return nil, nil, fs.ErrNotExist
	}
	// Opening other files could block for ever, as a pipe does.
	if info, err := fs.Stat(h.fsys, name); err != nil || !info.Mode().IsRegular() {
		return nil, nil, fs.ErrNotExist
	}
	opened, err := h.fsys.Open(name)
	if err != nil {
		return nil, nil, err
	}
	f, err := seekable(opened)
	if err != nil {
		_ = opened.Close()
		return nil, nil, err
	}
	e, err := h.entry(name, opened, f)
	if err != nil {
		_ = f.Close()
		return nil, nil, err
	}
	return f, e, nil
}

// entry finds or makes the entry of an open file.
func (h *Handler) entry(name string, opened fs.File, f io.ReadSeeker) (*entry, error) {
	info, err := opened.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return nil, fs.ErrNotExist
	}
	h.mu.Lock()
	e := h.entries[name]
	h.mu.Unlock()
	if e != nil && e.size == info.Size() && e.modTime.Equal(info.ModTime()) {
		return e, nil
	}
	e = &entry{name: name, size: info.Size(), modTime: info.ModTime(), kind: kindOf(name)}
	sum := sha256.New()
	n, err := io.Copy(sum, f)
	if err != nil || n != e.size {
		return nil, fmt.Errorf("%s changed while it was read: %w", name, fs.ErrNotExist)
	}
	sum.Sum(e.digest[:0])
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.entries) >= maxEntries {
		clear(h.entries)
	}
	h.entries[name] = e
	return e, nil
}

// seekable reads a file into memory if it cannot seek.
func seekable(f fs.File) (io.ReadSeekCloser, error) {
	if s, ok := f.(io.ReadSeekCloser); ok {
		return s, nil
	}
	b, err := io.ReadAll(io.LimitReader(f, maxForm))
	return struct {
		io.ReadSeeker
		io.Closer
	}{bytes.NewReader(b), f}, err
}

func (h *Handler) serve(w http.ResponseWriter, r *http.Request, name, cache string) {
	f, e, err := h.open(name)
	if err != nil {
		notFound(w)
		return
	}
	defer func() { _ = f.Close() }()
	header := w.Header()
	header.Set("Content-Type", e.kind.mime)
	header.Set("Cache-Control", cache)
	if e.packable() {
		header.Set("Vary", "Accept-Encoding") // on every answer, otherwise a cache would use one coding for all clients
		if c, ok := h.best(r, e); c.body != nil {
			packed, err := c.body.open()
			if err == nil {
				defer func() { _ = packed.Close() }()
				header.Set("Content-Encoding", c.coding)
				header.Set("Content-Length", strconv.FormatInt(c.body.size, 10))
				header.Set("ETag", e.tag(c.coding))
				http.ServeContent(w, r, "", time.Time{}, packed)
				return
			}
			h.log.Warn("a compressed form cannot be opened", "file", name, "error", err)
			header.Set("Cache-Control", cacheNever)
		} else if !ok {
			header.Set("Cache-Control", cacheNever)
		}
	}
	header.Set("ETag", e.tag(""))
	http.ServeContent(w, r, "", time.Time{}, f)
}

// chosen is a form and its coding's name.
type chosen struct {
	coding string
	body   *body
}

// best returns the form that the client prefers; without a body, the plain file is meant. ok is
// false if a better form is still being made. Ranges and conditions on writing refer to the plain
// file.
func (h *Handler) best(r *http.Request, e *entry) (c chosen, ok bool) {
	for _, exact := range []string{"Range", "If-Match", "If-Unmodified-Since"} {
		if r.Header.Get(exact) != "" {
			return chosen{}, true
		}
	}
	for _, i := range accepted(r.Header["Accept-Encoding"]) {
		v, queued := h.form(e, i)
		if !queued {
			return chosen{}, false
		}
		timer := time.NewTimer(formWait)
		defer timer.Stop()
		select {
		case <-v.done:
		case <-timer.C:
			return chosen{}, false
		case <-r.Context().Done():
			return chosen{}, false
		}
		if v.body != nil {
			return chosen{codings[i].name, v.body}, true
		}
	}
	return chosen{}, true
}

// form returns a form; the first call requests it from Run.
func (h *Handler) form(e *entry, i int) (v *form, queued bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if v := e.forms[i]; v != nil {
		return v, true
	}
	v = &form{done: make(chan struct{})}
	select {
	case h.jobs <- job{e, i, v}:
		e.forms[i] = v
		return v, true
	default: // Run is busy, or does not run
		return nil, false
	}
}
