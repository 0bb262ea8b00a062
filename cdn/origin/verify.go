package origin

import (
	"context"
	"sync"
	"time"

	"github.com/nearside/nearside/cdn"
	"github.com/nearside/nearside/core"
)

const (
	readsAtOnce   = 4
	progressEvery = time.Second
	// maxUnreadable is how many blobs in a row may be unreadable; more mean that the store itself
	// is unreadable.
	maxUnreadable = 20
)

// The problems that a blob can have.
const (
	problemMissing    = "missing"
	problemCorrupt    = "corrupt"
	problemSize       = "wrong size"
	problemUnreadable = "unreadable"
)

// Verified counts the blobs that were read.
type Verified struct {
	Blobs     int64 `json:"blobs"`
	Bytes     int64 `json:"bytes"`
	Bad       int64 `json:"bad"`
	Repaired  int64 `json:"repaired"`
	Elsewhere int64 `json:"elsewhere"` // not here yet, but at another home node
}

// BadBlob is a blob that the log refers to and that cannot be read as it was put.
type BadBlob struct {
	Digest   string `json:"digest"`
	Size     int64  `json:"size"`
	Problem  string `json:"problem"` // missing, corrupt, wrong size or unreadable
	Cause    string `json:"cause"`
	Repaired bool   `json:"repaired,omitempty"` // fetched from another home node
}

// Verifier reads every blob that the log refers to.
type Verifier struct {
	Store  cdn.Getter // required
	Disks  *Disks     // nil if the store is not a disk of a home node
	Ledger Ledger     // required
	Repair bool       // fetch damaged blobs from another home node

	// Progress is called at intervals, Bad for every bad blob; both are required. An error from
	// either ends the walk. Calls do not overlap.
	Progress func(Verified) error
	Bad      func(core.BlobID, BadBlob) error
}

// found is the result of reading one blob.
type found struct {
	blob      core.Blob
	problem   string // empty if there is none
	cause     error
	repaired  bool
	elsewhere bool
}

// Run reads every blob. It fails if it could not read all of them.
func (v *Verifier) Run(ctx context.Context) (Verified, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	jobs, results := make(chan core.Blob), make(chan found)
	var wg sync.WaitGroup
	wg.Go(func() {
		defer close(jobs)
		cancelIf(cancel, Referenced(ctx, v.Ledger, func(b core.Blob) error { return send(ctx, jobs, b) }))
	})
	for range readsAtOnce {
		wg.Go(func() {
			for b := range jobs {
				_ = send(ctx, results, v.check(ctx, b))
			}
		})
	}
	go func() { // ends with the readers, and those with ctx
		wg.Wait()
		close(results)
	}()
	sum, err := v.report(results)
	cancelIf(cancel, err)
	wg.Wait()
	return sum, context.Cause(ctx)
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

// report counts the results and passes them to Progress and Bad.
func (v *Verifier) report(results <-chan found) (sum Verified, err error) {
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
			if inARow == maxUnreadable {
				return sum, core.E(core.KindUnavailable, "the store cannot be read").WithCause(f.cause)
			}
			sum.count(f)
			if f.problem != "" && !f.elsewhere {
				err = v.Bad(f.blob.ID, BadBlob{
					Digest: f.blob.ID.String(), Size: f.blob.Size, Problem: f.problem, Cause: f.cause.Error(), Repaired: f.repaired,
				})
			}
		case <-tick.C:
			err = v.Progress(sum)
		}
		if err != nil {
			return sum, err
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

// check reads one blob and names its problem.
func (v *Verifier) check(ctx context.Context, b core.Blob) found {
	f := v.read(ctx, b)
	if f.problem == "" {
		return f
	}
	if refs, _, known, err := v.Ledger.BlobRefs(ctx, b.ID); err == nil && (!known || refs == 0) {
		return found{blob: b} // its last file was deleted in the meantime
	}
	if v.Disks == nil {
		return f
	}
	if v.Repair {
		f.repaired = v.Disks.fetch(ctx, cdn.Digest(b.ID)) == nil && v.read(ctx, b).problem == ""
		return f
	}
	if f.problem == problemMissing {
		at, _, _ := v.Disks.askPeers(nil, func(p *peerDisk) (cdn.Blob, error) {
			size, err := p.blobs.Stat(ctx, cdn.Digest(b.ID))
			return cdn.Blob{Size: size}, err
		})
		f.elsewhere = at != nil
	}
	return f
}

func (v *Verifier) read(ctx context.Context, b core.Blob) found {
	size, err := cdn.ReadWhole(ctx, v.Store, cdn.Digest(b.ID))
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
