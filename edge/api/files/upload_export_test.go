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

// SetPace sets the minimum number of bytes in each window of an upload.
func (s *Service) SetPace(window time.Duration, bytes int64) {
	s.gate.window, s.gate.pace = window, bytes
}

// SetPartBytes sets the size of the parts of uploads of several requests.
func (s *Service) SetPartBytes(n int64) { s.transfers.part = n }

// SetFree replaces the function that reads the disk's free space.
func (s *Service) SetFree(free func(string) (int64, error)) { s.spools.free = free }

// Searching occupies all places for searches until done is called.
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

// DownloadsOfUser is the number of large downloads that a user may have at once.
const DownloadsOfUser = sendsOfUser

// Downloading occupies n places of a user's downloads until done is called.
func (s *Service) Downloading(u core.UserID, n int) (done func()) {
	for range n {
		_ = s.downloads.enter(u) // there are free places in a new world
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

// ReadForm reads a body like an upload does.
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

// SpoolTogether writes this many files of unknown size at once to a disk with this much space
// above the reserve, and returns what is left of it when all were refused.
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

// PieceLimit is the time limit of a piece of a download, and PieceBytes its size.
const (
	PieceLimit = pieceLimit
	PieceBytes = pieceBytes
)

// SendBlob answers with a blob, like operations do after the check of access.
func SendBlob(blobs edge.Blobs, blob core.BlobRef, kind string, modified time.Time, w http.ResponseWriter, r *http.Request) error {
	s := &Service{log: slog.New(slog.DiscardHandler), damaged: hot.NewMisses[core.BlobID](1, time.Minute)}
	s.cfg.Blobs = blobs
	return s.sendBlob(w, r, &download{what: "test", blob: blob, modified: modified, etag: `"` + blob.ID.String() + `"`, mime: kind})
}

// Terms is a parsed search.
type Terms struct {
	Words, Excluded, From, NotFrom, In, NotIn, Ext, NotExt []string
	After, Before                                          int64
	NotOn                                                  bool
}

// ParseTerms parses a text of the search box.
func ParseTerms(s string, zone int) Terms {
	t := parseTerms(s, zone)
	return Terms{t.words, t.excluded, t.from, t.notFrom, t.in, t.notIn, t.ext, t.notExt, t.after, t.before, t.notOn}
}
