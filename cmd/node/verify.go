package node

import (
	"context"
	"sync"
	"time"

	"github.com/nearside/nearside/cdn"
	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/read"
)

const (
	readsAtOnce   = 4
	progressEvery = time.Second
	// lostTouch is how many blobs in a row may be unreadable before it is the store that is
	// unreadable.
	lostTouch = 20
)

// What can be wrong with a blob.
const (
	problemMissing    = "missing"
	problemCorrupt    = "corrupt"
	problemSize       = "wrong size"
	problemUnreadable = "unreadable"
)

// VerifyLine is one line of the answer of /v1/files/verify: one of its fields.
type VerifyLine struct {
	Progress *Verified `json:"progress,omitempty"`
	Bad      *BadBlob  `json:"bad,omitempty"`
	Summary  *Verified `json:"summary,omitempty"` // the last line of a walk that came to its end
	Error    string    `json:"error,omitempty"`   // why it did not
}

// Verified counts the blobs that were read.
type Verified struct {
	Node      string `json:"node"`
	Store     string `json:"store"`
	Blobs     int64  `json:"blobs"`
	Bytes     int64  `json:"bytes"`
	Bad       int64  `json:"bad"`
	Repaired  int64  `json:"repaired"`
	Elsewhere int64  `json:"elsewhere"` // not here yet, but at another home node
}

// BadBlob is a blob that the log refers to and that cannot be read as it was put.
type BadBlob struct {
	Digest   string          `json:"digest"`
	Size     int64           `json:"size"`
	Problem  string          `json:"problem"` // missing, corrupt, wrong size, unreadable
	Cause    string          `json:"cause"`
	Repaired bool            `json:"repaired,omitempty"` // from another home node
	Files    []BadFile       `json:"files"`
	Users    []core.UserID   `json:"users"`   // whose picture it is
	Uploads  []core.UploadID `json:"uploads"` // under way, of which it is a part
}

// BadFile is a file that needs a bad blob.
type BadFile struct {
	ID        core.FileID    `json:"id"`
	Name      string         `json:"name"`
	PostID    core.PostID    `json:"post_id"`
	ChannelID core.ChannelID `json:"channel_id"`
	UserID    core.UserID    `json:"user_id"`
}

// verifier reads every blob that the log refers to.
type verifier struct {
	node, kind string
	store      cdn.Getter
	origin     *origin // of the home nodes' disks; else nil
	ledger     interface {
		ledger
		BlobUses(ctx context.Context, id core.BlobID) (read.BlobUses, error)
	}
	repair bool // fetch what is bad from another home node
}

// found is what reading one blob gave.
type found struct {
	blob      core.Blob
	problem   string // "": none
	cause     error
	repaired  bool
	elsewhere bool
}

// run reads all and says what it finds. It ends early with the error of say.
func (v *verifier) run(ctx context.Context, say func(VerifyLine) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	jobs, results := make(chan core.Blob), make(chan found)
	var wg sync.WaitGroup
	wg.Go(func() {
		defer close(jobs)
		cancelIf(cancel, referenced(ctx, v.ledger, func(b core.Blob) error { return send(ctx, jobs, b) }))
	})
	for range readsAtOnce {
		wg.Go(func() {
			for b := range jobs {
				_ = send(ctx, results, v.look(ctx, b))
			}
		})
	}
	go func() { // ends with the readers, and those with ctx
		wg.Wait()
		close(results)
	}()
	sum, err := v.tell(ctx, results, say)
	cancelIf(cancel, err)
	wg.Wait()
	if err := context.Cause(ctx); err != nil {
		return err
	}
	return say(VerifyLine{Summary: &sum})
}

func cancelIf(cancel context.CancelCauseFunc, err error) {
	if err != nil {
		cancel(err)
	}
}

func send[T any](ctx context.Context, to chan<- T, v T) error {
	select {
	case to <- v:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// tell counts what was found and says it.
func (v *verifier) tell(ctx context.Context, results <-chan found, say func(VerifyLine) error) (Verified, error) {
	sum := Verified{Node: v.node, Store: v.kind}
	tick := time.NewTicker(progressEvery)
	defer tick.Stop()
	inARow := 0
	for {
		select {
		case f, ok := <-results:
			if !ok {
				return sum, nil
			}
			if inARow++; f.problem != problemUnreadable {
				inARow = 0
			}
			if inARow == lostTouch {
				return sum, core.E(core.KindUnavailable, "the store cannot be read").WithCause(f.cause)
			}
			sum.count(f)
			if err := v.tellBad(ctx, f, say); err != nil {
				return sum, err
			}
		case <-tick.C:
			now := sum
			if err := say(VerifyLine{Progress: &now}); err != nil {
				return sum, err
			}
		}
	}
}

func (s *Verified) count(f found) {
	s.Blobs++
	s.Bytes += f.blob.Size
	switch {
	case f.elsewhere:
		s.Elsewhere++
	case f.repaired:
		s.Repaired++
	case f.problem != "":
		s.Bad++
	}
}

func (v *verifier) tellBad(ctx context.Context, f found, say func(VerifyLine) error) error {
	if f.problem == "" || f.elsewhere {
		return nil
	}
	uses, err := v.ledger.BlobUses(ctx, f.blob.ID)
	if err != nil {
		return err
	}
	bad := &BadBlob{
		Digest: f.blob.ID.String(), Size: f.blob.Size, Problem: f.problem, Cause: f.cause.Error(), Repaired: f.repaired,
		Files: []BadFile{}, Users: append([]core.UserID{}, uses.Users...), Uploads: append([]core.UploadID{}, uses.Uploads...),
	}
	for _, u := range uses.Files {
		bad.Files = append(bad.Files, BadFile{u.ID, u.Name, u.PostID, u.ChannelID, u.UserID})
	}
	return say(VerifyLine{Bad: bad})
}

// look reads one blob and judges it.
func (v *verifier) look(ctx context.Context, b core.Blob) found {
	f := v.read(ctx, b)
	if f.problem == "" {
		return f
	}
	if refs, _, known, err := v.ledger.BlobRefs(ctx, b.ID); err == nil && (!known || refs == 0) {
		return found{blob: b} // its last file was deleted meanwhile
	}
	if v.origin == nil {
		return f
	}
	if v.repair {
		f.repaired = v.origin.fetch(ctx, cdn.Digest(b.ID)) == nil && v.read(ctx, b).problem == ""
		return f
	}
	if f.problem == problemMissing {
		at, _, _ := v.origin.ask(nil, func(p *peerDisk) (cdn.Blob, error) {
			size, err := p.blobs.Stat(ctx, cdn.Digest(b.ID))
			return cdn.Blob{Size: size}, err
		})
		f.elsewhere = at != nil
	}
	return f
}

func (v *verifier) read(ctx context.Context, b core.Blob) found {
	size, err := cdn.ReadWhole(ctx, v.store, cdn.Digest(b.ID))
	f := found{blob: b, cause: err}
	switch k := core.KindOf(err); {
	case err == nil && size == b.Size:
	case err == nil || k == core.KindDiverged && size != b.Size:
		f.problem, f.cause = problemSize, core.E(core.KindDiverged, "it has %d bytes", size).WithCause(err)
	case k == core.KindDiverged:
		f.problem = problemCorrupt
	case k == core.KindNotFound:
		f.problem = problemMissing
	default:
		f.problem = problemUnreadable
	}
	return f
}
