package api

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/edge"
	"github.com/nearside/nearside/edge/hot"
)

// Route is a row of the table, for tests that walk it.
type Route struct {
	Method, Path string
	Session      bool
}

// Routes gives the table.
func Routes() []Route {
	var out []Route
	for _, r := range table {
		out = append(out, Route{r.method, r.path, r.session})
	}
	return out
}

// Operations is the list of all operations.
func Operations() string { return operations }

// DecodeJSON is what decodes bodies.
func DecodeJSON(raw []byte, into any) error { return decodeJSON(raw, into) }

// ProblemOf is what makes error answers.
var ProblemOf = problemOf

// NewQuestions gives what lets requests share questions to home.
func NewQuestions() func(context.Context, func(context.Context) error) error {
	return newQuestions().ask
}

// PieceLimit is how long a piece of a download may take, and PieceBytes what a piece is.
const (
	PieceLimit = pieceLimit
	PieceBytes = pieceBytes
)

// SendBlob answers with a blob, as operations do once access was decided.
func SendBlob(blobs edge.Blobs, blob core.BlobRef, kind string, modified time.Time, w http.ResponseWriter, r *http.Request) error {
	a := &API{log: slog.New(slog.DiscardHandler), damaged: hot.NewMisses[core.BlobID](1, time.Minute)}
	a.cfg.Files.Blobs = blobs
	return a.sendBlob(w, r, &download{what: "test", blob: blob, modified: modified, etag: `"` + blob.ID.String() + `"`, mime: kind})
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

// NewServer is Server of an API that is not used.
func NewServer() *http.Server {
	return (&API{log: slog.New(slog.DiscardHandler)}).Server()
}
