package api

import (
	"errors"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/nearside/nearside/core"
)

// SetPace has uploads send so many bytes in each window.
func (a *API) SetPace(window time.Duration, bytes int64) { a.gate.window, a.gate.pace = window, bytes }

// SetPartBytes has uploads of several requests stored in smaller parts.
func (a *API) SetPartBytes(n int64) { a.transfers.part = n }

// SetFree has the disk say how much room it has.
func (a *API) SetFree(free func(string) (int64, error)) { a.spools.free = free }

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
