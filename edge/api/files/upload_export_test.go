package files

import (
	"crypto/sha256"
	"errors"
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"time"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/edge"
	"github.com/nearside/nearside/edge/hot"
)

// SetPace has uploads send so many bytes in each window.
func (s *Service) SetPace(window time.Duration, bytes int64) {
	s.gate.window, s.gate.pace = window, bytes
}

// SetPartBytes has uploads of several requests stored in smaller parts.
func (s *Service) SetPartBytes(n int64) { s.transfers.part = n }

// SetFree has the disk say how much room it has.
func (s *Service) SetFree(free func(string) (int64, error)) { s.spools.free = free }

// Searching takes the place of every search, until done is called.
func (s *Service) Searching() (done func()) {
	for range maxSearches {
		s.searching <- struct{}{}
	}
	return func() {
		for range maxSearches {
			<-s.searching
		}
	}
}

// DownloadsOfUser is how many large downloads of a user may be under way.
const DownloadsOfUser = sendsOfUser

// Downloading takes n places of a user's downloads, until done is called.
func (s *Service) Downloading(u core.UserID, n int) (done func()) {
	for range n {
		_ = s.downloads.enter(u) // there is room in a fresh world
	}
	return func() {
		for range n {
			s.downloads.leave(u)
		}
	}
}

// Uploading reports whether a request is adding to an upload.
func (s *Service) Uploading(id core.UploadID) bool {
	s.transfers.mu.Lock()
	defer s.transfers.mu.Unlock()
	return s.transfers.byID[id] != nil
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

// PieceLimit is how long a piece of a download may take, and PieceBytes what a piece is.
const (
	PieceLimit = pieceLimit
	PieceBytes = pieceBytes
)

// SendBlob answers with a blob, as operations do once access was decided.
func SendBlob(blobs edge.Blobs, blob core.BlobRef, kind string, modified time.Time, w http.ResponseWriter, r *http.Request) error {
	s := &Service{log: slog.New(slog.DiscardHandler), damaged: hot.NewMisses[core.BlobID](1, time.Minute)}
	s.cfg.Blobs = blobs
	return s.sendBlob(w, r, &download{what: "test", blob: blob, modified: modified, etag: `"` + blob.ID.String() + `"`, mime: kind})
}

// Terms is what a text of the search box means.
type Terms struct {
	Words, Excluded, From, NotFrom, In, NotIn, Ext, NotExt []string
	After, Before                                          int64
	NotOn                                                  bool
}

// ParseTerms reads a text of the search box.
func ParseTerms(s string, zone int) Terms {
	t := parseTerms(s, zone)
	return Terms{t.words, t.excluded, t.from, t.notFrom, t.in, t.notIn, t.ext, t.notExt, t.after, t.before, t.notOn}
}
