package admin

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"sync"

	"github.com/nearside/nearside/cdn"
	"github.com/nearside/nearside/cdn/origin"
	"github.com/nearside/nearside/cdn/tier"
	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/read"
)

// FilesStatus is the state of the files at a node: the answer of /v1/files.
type FilesStatus struct {
	Node  string `json:"node"`
	Store string `json:"store"`           // disk: the home nodes' disks; s3: a bucket; home: over the link
	Where string `json:"where,omitempty"` // directory or bucket
	Blobs int64  `json:"blobs"`           // that the log refers to
	Bytes int64  `json:"bytes"`           // of them
	// At a home node with a disk: blobs that it should have and could not get, copies that wait
	// for other home nodes, and what was done since the start.
	Missing  int64 `json:"missing"`
	Pending  int64 `json:"pending"`
	Repaired int64 `json:"repaired"`
	Swept    int64 `json:"swept"`
	// At an edge: requests to the origin that failed because of the origin, since the start.
	OriginErrors int64  `json:"origin_errors"`
	Trouble      string `json:"trouble,omitempty"` // why the store cannot be used
}

// VerifyLine is one line of the answer of /v1/files/verify: one of its fields.
type VerifyLine struct {
	Progress *Verified `json:"progress,omitempty"`
	Bad      *BadBlob  `json:"bad,omitempty"`
	Summary  *Verified `json:"summary,omitempty"` // the last line, if everything was read
	Error    string    `json:"error,omitempty"`   // the last line, if it was not
}

// Verified counts the blobs that a node has read.
type Verified struct {
	Node  string `json:"node"`
	Store string `json:"store"`
	origin.Verified
}

// BadBlob is a damaged or missing blob, and what needs it.
type BadBlob struct {
	origin.BadBlob
	Files   []BadFile       `json:"files"`
	Users   []core.UserID   `json:"users"`   // whose picture it is
	Uploads []core.UploadID `json:"uploads"` // under way, of which it is a part
}

// BadFile is a file that needs a bad blob.
type BadFile struct {
	ID        core.FileID    `json:"id"`
	Name      string         `json:"name"`
	PostID    core.PostID    `json:"post_id"`
	ChannelID core.ChannelID `json:"channel_id"`
	UserID    core.UserID    `json:"user_id"`
}

// Sweep is the result of a sweep at a node: the answer of /v1/files/sweep.
type Sweep struct {
	Node string `json:"node"`
	origin.Sweep
}

// Files has the parts of a node that keep files; nil fields are parts that it does not have.
type Files struct {
	Store   string          // disk, s3 or home, as in FilesStatus
	Where   string          // directory or bucket
	Trouble func() string   // why the origin cannot be used; nil: not known
	Tier    *tier.Tier      // of an edge
	Counted *origin.Counted // the tier's requests to the origin
	Blobs   cdn.Getter      // what is verified; at home only
	Disks   *origin.Disks   // of the home nodes
	Ledger  *read.Store
	Repair  *origin.Repair
	Sweeper *origin.Sweeper // at home only
}

// FilesHandler answers the requests of operators about files and caches.
type FilesHandler struct {
	Node   string
	Files  func() *Files // nil while the node is starting
	Logger *slog.Logger

	verifying sync.Mutex // one verification at a time
}

// Register adds the handler's paths.
func (h *FilesHandler) Register(mux *http.ServeMux) {
	mux.HandleFunc("GET /v1/files", h.status)
	mux.HandleFunc("GET /v1/files/verify", func(w http.ResponseWriter, r *http.Request) { h.verify(w, r, false) })
	mux.HandleFunc("POST /v1/files/verify", func(w http.ResponseWriter, r *http.Request) { h.verify(w, r, true) })
	mux.HandleFunc("POST /v1/files/sweep", h.sweep)
	mux.HandleFunc("GET /v1/cdn", h.cacheStatus)
	mux.HandleFunc("POST /v1/cdn/warm", h.warm)
	mux.HandleFunc("POST /v1/cdn/purge", h.purge)
}

// files gives the parts that keep files, once they are started.
func (h *FilesHandler) files() (*Files, error) {
	if f := h.Files(); f != nil {
		return f, nil
	}
	return nil, core.E(core.KindUnavailable, "the node is still starting")
}

func (h *FilesHandler) status(w http.ResponseWriter, r *http.Request) {
	f, err := h.files()
	if err != nil {
		Fail(w, err)
		return
	}
	st := f.Counts()
	st.Node = h.Node
	if f.Ledger != nil {
		err = origin.Referenced(r.Context(), f.Ledger, func(b core.Blob) error {
			st.Blobs++
			st.Bytes += b.Size
			return nil
		})
	}
	if err != nil {
		Fail(w, core.E(core.KindUnavailable, "the blobs cannot be counted now").WithCause(err))
		return
	}
	Answer(w, http.StatusOK, st)
}

// Counts gives the numbers that can be read without work.
func (f *Files) Counts() FilesStatus {
	st := FilesStatus{Store: f.Store, Where: f.Where}
	if f.Trouble != nil {
		st.Trouble = f.Trouble()
	}
	if f.Counted != nil {
		st.OriginErrors = f.Counted.Failed()
	}
	if f.Disks != nil {
		st.Pending, st.Repaired = int64(f.Disks.Pending()), f.Disks.Repaired()
	}
	if f.Repair != nil {
		st.Missing = f.Repair.Missing()
	}
	if f.Sweeper != nil {
		st.Swept = f.Sweeper.Swept()
	}
	return st
}

// verify answers with a line of JSON for every bad blob, and with lines about its progress.
func (h *FilesHandler) verify(w http.ResponseWriter, r *http.Request, repair bool) {
	f, err := h.files()
	if err == nil && f.Sweeper == nil {
		err = core.E(core.KindInvalid, "files are verified at home; ask a home node")
	}
	if err == nil && !h.verifying.TryLock() {
		err = core.E(core.KindConflict, "the files are being verified already")
	}
	if err != nil {
		Fail(w, err)
		return
	}
	defer h.verifying.Unlock()
	w.Header().Set("Content-Type", "application/x-ndjson")
	flush, enc := http.NewResponseController(w), json.NewEncoder(w)
	say := func(line VerifyLine) error {
		if err := enc.Encode(line); err != nil {
			return err
		}
		return flush.Flush()
	}
	if err := f.Sweeper.CaughtUp(r.Context()); err != nil { // the blobs that are known here can be verified nevertheless
		h.Logger.Warn("verifying only the files that this node knows: it is behind the leader", "error", err)
	}
	ofHere := func(v origin.Verified) *Verified { return &Verified{h.Node, f.Store, v} }
	v := &origin.Verifier{
		Store: f.Blobs, Disks: f.Disks, Ledger: f.Ledger, Repair: repair,
		Progress: func(v origin.Verified) error { return say(VerifyLine{Progress: ofHere(v)}) },
		Bad: func(id core.BlobID, b origin.BadBlob) error {
			bad, err := f.named(r.Context(), id, b)
			if err != nil {
				return err
			}
			return say(VerifyLine{Bad: &bad})
		},
	}
	sum, err := v.Run(r.Context())
	line := VerifyLine{Summary: ofHere(sum)}
	if err != nil {
		h.Logger.Warn("the files were not verified to the end", "error", err)
		line = VerifyLine{Error: core.AsError(err).Error()}
	}
	_ = say(line) // the client may have disconnected
}

// named gives what needs a bad blob.
func (f *Files) named(ctx context.Context, id core.BlobID, b origin.BadBlob) (BadBlob, error) {
	uses, err := f.Ledger.BlobUses(ctx, id)
	if err != nil {
		return BadBlob{}, err
	}
	bad := BadBlob{
		BadBlob: b, Files: []BadFile{}, Users: append([]core.UserID{}, uses.Users...), Uploads: append([]core.UploadID{}, uses.Uploads...),
	}
	for _, u := range uses.Files {
		bad.Files = append(bad.Files, BadFile{u.ID, u.Name, u.PostID, u.ChannelID, u.UserID})
	}
	return bad, nil
}

func (h *FilesHandler) sweep(w http.ResponseWriter, r *http.Request) {
	var how struct {
		Force bool `json:"force"`
	}
	if r.ContentLength != 0 {
		if err := Decode(w, r, `{"force":false}`, &how); err != nil {
			Fail(w, err)
			return
		}
	}
	f, err := h.files()
	if err == nil && f.Sweeper == nil {
		err = core.E(core.KindInvalid, "files are swept at home; ask a home node")
	}
	var done origin.Sweep
	if err == nil {
		done, err = f.Sweeper.Sweep(r.Context(), how.Force)
	}
	if err != nil {
		Fail(w, err)
		return
	}
	Answer(w, http.StatusOK, Sweep{h.Node, done})
}
