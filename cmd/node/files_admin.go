package node

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"github.com/nearside/nearside/core"
)

// FilesStatus is what a node says of the files it keeps: the answer of /v1/files.
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
	// At an edge: requests to the origin that failed for the origin's sake, since the start.
	OriginErrors int64  `json:"origin_errors"`
	Trouble      string `json:"trouble,omitempty"` // why the store cannot be used
}

// handleFiles adds what operators ask about files.
func (n *Node) handleFiles(mux *http.ServeMux) {
	mux.HandleFunc("GET /v1/files", n.getFiles)
	mux.HandleFunc("GET /v1/files/verify", func(w http.ResponseWriter, r *http.Request) { n.verify(w, r, false) })
	mux.HandleFunc("POST /v1/files/verify", func(w http.ResponseWriter, r *http.Request) { n.verify(w, r, true) })
	mux.HandleFunc("POST /v1/files/sweep", n.postSweep)
}

// kept gives what this node does with files, once it does.
func (n *Node) kept() (*keeping, error) {
	if k := n.parts.Load().keeping; k != nil {
		return k, nil
	}
	return nil, core.E(core.KindUnavailable, "the node is still starting")
}

func (n *Node) getFiles(w http.ResponseWriter, r *http.Request) {
	k, err := n.kept()
	if err != nil {
		fail(w, err)
		return
	}
	st := FilesStatus{Node: n.cfg.Name, Store: k.kind, Where: k.where}
	k.counts(&st)
	if k.ledger != nil {
		err = referenced(r.Context(), k.ledger, func(b core.Blob) error {
			st.Blobs++
			st.Bytes += b.Size
			return nil
		})
	}
	if err != nil {
		fail(w, core.E(core.KindUnavailable, "the blobs cannot be counted now").WithCause(err))
		return
	}
	answer(w, http.StatusOK, st)
}

// counts fills in what costs nothing to know.
func (k *keeping) counts(st *FilesStatus) {
	if k.trouble != nil {
		st.Trouble = k.trouble()
	}
	if k.counted != nil {
		st.OriginErrors = k.counted.errors.Load()
	}
	if k.origin != nil {
		st.Pending, st.Repaired = int64(k.origin.pending()), k.origin.repaired.Load()
	}
	if k.repair != nil {
		st.Missing = k.repair.missing.Load()
	}
	if k.sweeper != nil {
		st.Swept = k.sweeper.swept.Load()
	}
}

// verify answers with a line of JSON for every bad blob, and others on the way.
func (n *Node) verify(w http.ResponseWriter, r *http.Request, repair bool) {
	k, err := n.kept()
	if err == nil && k.sweeper == nil {
		err = core.E(core.KindInvalid, "files are verified at home; ask a home node")
	}
	if err == nil && !k.verifying.TryLock() {
		err = core.E(core.KindConflict, "the files are being verified already")
	}
	if err != nil {
		fail(w, err)
		return
	}
	defer k.verifying.Unlock()
	w.Header().Set("Content-Type", "application/x-ndjson")
	flush, enc := http.NewResponseController(w), json.NewEncoder(w)
	say := func(line VerifyLine) error {
		if err := enc.Encode(line); err != nil {
			return err
		}
		return flush.Flush()
	}
	if err := k.sweeper.caughtUp(r.Context()); err != nil { // what is known here can be verified all the same
		n.log.Warn("verifying files as far as this node knows them", "error", err)
	}
	v := &verifier{node: n.cfg.Name, kind: k.kind, store: k.store, origin: k.origin, ledger: k.ledger, repair: repair}
	if err := v.run(r.Context(), say); err != nil {
		n.log.Warn("the files were not verified to the end", "error", err)
		_ = say(VerifyLine{Error: core.AsError(err).Error()}) // the asker may have gone
	}
}

func (n *Node) postSweep(w http.ResponseWriter, r *http.Request) {
	var how struct {
		Force bool `json:"force"`
	}
	if r.ContentLength != 0 {
		if err := decode(w, r, `{"force":false}`, &how); err != nil {
			fail(w, err)
			return
		}
	}
	k, err := n.kept()
	if err == nil && k.sweeper == nil {
		err = core.E(core.KindInvalid, "files are swept at home; ask a home node")
	}
	var done Sweep
	if err == nil {
		done, err = k.sweeper.sweep(r.Context(), how.Force)
	}
	if err != nil {
		fail(w, err)
		return
	}
	done.Node = n.cfg.Name
	answer(w, http.StatusOK, done)
}

// decode reads the one JSON value of a request's body.
func decode(w http.ResponseWriter, r *http.Request, example string, into any) error {
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxAdminBody))
	dec.DisallowUnknownFields()
	err := dec.Decode(into)
	if err == nil {
		if _, more := dec.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("more than one value")
		}
	}
	if err != nil {
		return core.E(core.KindInvalid, "the body looks like %s: %v", example, err)
	}
	return nil
}
