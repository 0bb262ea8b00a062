package api

import (
	"crypto/sha256"
	"errors"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"time"

	"github.com/nearside/nearside/core"
)

// SetPace has uploads send so many bytes in each window.
func (a *API) SetPace(window time.Duration, bytes int64) { a.gate.window, a.gate.pace = window, bytes }

// SetPartBytes has uploads of several requests stored in smaller parts.
func (a *API) SetPartBytes(n int64) { a.transfers.part = n }

// SetFree has the disk say how much room it has.
func (a *API) SetFree(free func(string) (int64, error)) { a.spools.free = free }

// Searching takes the place of every search, until done is called.
func (a *API) Searching() (done func()) {
	for range maxSearches {
		a.searching <- struct{}{}
	}
	return func() {
		for range maxSearches {
			<-a.searching
		}
	}
}

// DownloadsOfUser is how many large downloads of a user may be under way.
const DownloadsOfUser = sendsOfUser

// Downloading takes n places of a user's downloads, until done is called.
func (a *API) Downloading(u core.UserID, n int) (done func()) {
	for range n {
		_ = a.downloads.enter(u) // there is room in a fresh world
	}
	return func() {
		for range n {
			a.downloads.leave(u)
		}
	}
}

// Uploading reports whether a request is adding to an upload.
func (a *API) Uploading(id core.UploadID) bool {
	a.transfers.mu.Lock()
	defer a.transfers.mu.Unlock()
	return a.transfers.byID[id] != nil
}

// CleanName and TypeOf are the rules for names and types.
var (
	CleanName = cleanName
	TypeOf    = typeOf
)

// FormPart is a part of a form.
type FormPart struct {
	Field, Name string
	File        bool
	Content     string
}

// ReadForm reads a body as uploads read it.
func ReadForm(body io.Reader, boundary string) (parts []FormPart, err error) {
	in := &incoming{gate: newGate(), control: http.NewResponseController(httptest.NewRecorder()), body: body, room: math.MaxInt64}
	f := newForm(in, boundary)
	for {
		p, err := f.next()
		if errors.Is(err, io.EOF) {
			return parts, f.drain()
		}
		if err != nil {
			return nil, err
		}
		part := FormPart{Field: p.field, Name: p.name, File: p.file}
		var raw []byte
		if p.file {
			raw, err = io.ReadAll(p)
			part.Content = string(raw)
		} else {
			part.Content, err = p.text()
		}
		if err != nil {
			return nil, err
		}
		parts = append(parts, part)
	}
}

// SpoolTogether writes so many files at once, none of which says how long it will be, to a disk
// with so much room above what is kept free, and gives what is left of that when all were refused.
func SpoolTogether(files int, room int64) (left int64, err error) {
	free := spoolReserve + room
	s := &spooler{free: func(string) (int64, error) { return free, nil }}
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		return 0, err
	}
	defer func() { _ = null.Close() }()
	var list []*spool
	for range files {
		p := &spool{from: s, file: null, hash: sha256.New()}
		if err := p.check(0); err != nil {
			return free, err
		}
		list = append(list, p)
	}
	for b := make([]byte, copyBytes); len(list) > 0; {
		list = slices.DeleteFunc(list, func(p *spool) bool {
			n, err := p.Write(b)
			free -= int64(n)
			return err != nil
		})
	}
	return free, nil
}
