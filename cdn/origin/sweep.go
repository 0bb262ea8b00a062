package origin

import (
	"bytes"
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nearside/nearside/cdn"
	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/backoff"
)

// The bounds of a sweep.
const (
	maxSwept   = 100_000 // in one sweep; the next one takes the rest
	fuseBlobs  = 100     // a sweep that would take more that the log has never known, and
	fuseShare  = 2       // more than one in so many of all, is refused: this is another deployment's store
	sweepEvery = time.Hour
)

// SweeperConfig configures a Sweeper.
type SweeperConfig struct {
	Store  Sweepable // required
	Ledger Ledger    // required
	// Fresh returns once the replica has what home has; required. Without that, a replica that is
	// behind, or is being rebuilt, would take files for orphans that it has not heard of yet.
	Fresh  func(context.Context) error
	Mine   func() bool   // this node is the one that sweeps the store; default: it is
	Grace  time.Duration // since the last Put; required
	Keep   time.Duration // since the last reference, for what was referred to once
	Every  time.Duration // default 1 h
	Jobs   *Jobs         // default: not counted
	Logger *slog.Logger  // required
}

// Sweeper removes blobs that nothing refers to. A blob goes when it was last put before the
// grace period, and the log refers to it no more since the time for which deleted files are
// kept, or never did: then somebody uploaded it and went away.
type Sweeper struct {
	cfg   SweeperConfig
	turn  sync.Mutex // one sweep at a time
	swept atomic.Int64
}

// NewSweeper starts nothing.
func NewSweeper(cfg SweeperConfig) *Sweeper {
	if cfg.Mine == nil {
		cfg.Mine = func() bool { return true }
	}
	if cfg.Every <= 0 {
		cfg.Every = sweepEvery
	}
	return &Sweeper{cfg: cfg}
}

// Swept is how many blobs were removed since the start.
func (s *Sweeper) Swept() int64 { return s.swept.Load() }

// Sweepable is a store that can be walked and swept.
type Sweepable interface {
	cdn.Deleter
	cdn.Lister
}

// tidier is a store that can be left with half-made blobs.
type tidier interface {
	Sweep(ctx context.Context, before time.Time) (dropped int, err error)
}

// Sweep is what a sweep did.
type Sweep struct {
	Blobs      int64  `json:"blobs"` // in the store
	Bytes      int64  `json:"bytes"`
	Orphans    int64  `json:"orphans"`  // old enough to go that the log never knew
	Released   int64  `json:"released"` // old enough to go whose files were deleted
	Swept      int64  `json:"swept"`
	SweptBytes int64  `json:"swept_bytes"`
	Unfinished int    `json:"unfinished,omitempty"` // half-made blobs that were dropped
	Skipped    string `json:"skipped,omitempty"`    // why nothing was swept
}

// Run sweeps now and again until ctx ends.
func (s *Sweeper) Run(ctx context.Context) error {
	for backoff.Pause(ctx, s.cfg.Every) {
		began := time.Now()
		done, err := s.Sweep(ctx, false)
		if ctx.Err() == nil {
			s.cfg.Jobs.done(jobSweep, began, err)
		}
		switch {
		case ctx.Err() != nil:
		case err != nil:
			s.cfg.Logger.Warn("blobs could not be swept", "error", err)
		case done.Skipped != "" && s.cfg.Mine():
			s.cfg.Logger.Error("blobs are not swept", "why", done.Skipped, "blobs", done.Blobs, "orphans", done.Orphans)
		case done.Swept > 0:
			s.cfg.Logger.Info("swept blobs", "blobs", done.Swept, "bytes", done.SweptBytes)
		}
	}
	return nil
}

// Sweep sweeps once. force is for an operator who knows why so many go.
func (s *Sweeper) Sweep(ctx context.Context, force bool) (Sweep, error) {
	if !s.turn.TryLock() {
		return Sweep{}, core.E(core.KindConflict, "a sweep is under way already")
	}
	defer s.turn.Unlock()
	if !s.cfg.Mine() {
		return Sweep{Skipped: "the leader sweeps the bucket"}, nil
	}
	if err := s.CaughtUp(ctx); err != nil {
		return Sweep{}, err
	}
	before := time.Now().Add(-s.cfg.Grace)
	done, victims, err := s.look(ctx, before)
	if err != nil {
		return done, err
	}
	if done.Orphans > fuseBlobs && done.Orphans*fuseShare > done.Blobs && !force {
		done.Skipped = "most of the stored blobs are unknown to the log; is this the store of another deployment? nearside files sweep --force removes them"
		return done, nil
	}
	if err := s.CaughtUp(ctx); err != nil {
		return done, err
	}
	for _, v := range victims {
		if err := s.expire(ctx, v, before, &done); err != nil {
			return done, err
		}
	}
	if t, ok := s.cfg.Store.(tidier); ok {
		if done.Unfinished, err = t.Sweep(ctx, before); err != nil {
			return done, err
		}
	}
	return done, nil
}

// CaughtUp waits a while until the replica has what home has.
func (s *Sweeper) CaughtUp(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, freshLimit)
	defer cancel()
	return s.cfg.Fresh(ctx)
}

// look finds what may go by walking the store and the log's references side by side.
func (s *Sweeper) look(ctx context.Context, before time.Time) (done Sweep, victims []cdn.Info, err error) {
	refs := &references{ledger: s.cfg.Ledger}
	err = s.cfg.Store.List(ctx, cdn.Digest{}, func(i cdn.Info) error {
		done.Blobs++
		done.Bytes += i.Size
		held, err := refs.hold(ctx, i.Digest)
		if err != nil || held || !i.PutAt.Before(before) {
			return err
		}
		old, known, err := s.forgotten(ctx, i.Digest)
		if err != nil || !old {
			return err
		}
		if known {
			done.Released++
		} else {
			done.Orphans++
		}
		if len(victims) < maxSwept { // the others are counted all the same: the fuse goes by it
			victims = append(victims, i)
		}
		return nil
	})
	return done, victims, err
}

// forgotten reports whether nothing refers to a blob for long enough, and whether the log has
// ever known it.
func (s *Sweeper) forgotten(ctx context.Context, d cdn.Digest) (old, known bool, err error) {
	refs, releasedAt, known, err := s.cfg.Ledger.BlobRefs(ctx, core.BlobID(d))
	if err != nil || refs > 0 {
		return false, known, err
	}
	return !known || releasedAt < time.Now().Add(-s.cfg.Keep).UnixMilli(), known, nil
}

// expire removes one blob, if it may still go: a file may have come to refer to it meanwhile.
func (s *Sweeper) expire(ctx context.Context, v cdn.Info, before time.Time, done *Sweep) error {
	old, _, err := s.forgotten(ctx, v.Digest)
	if err != nil || !old {
		return err
	}
	gone, err := s.cfg.Store.Expire(ctx, v.Digest, before)
	if err == nil && gone {
		s.swept.Add(1)
		done.Swept++
		done.SweptBytes += v.Size
	}
	return err
}

// references walks the blobs that the log refers to, beside a walk over a store in the same
// order.
type references struct {
	ledger Ledger
	page   []core.Blob
	after  core.BlobID
	end    bool
}

// hold reports whether the log refers to a blob; digests grow from call to call.
func (r *references) hold(ctx context.Context, d cdn.Digest) (bool, error) {
	for {
		for len(r.page) > 0 && bytes.Compare(r.page[0].ID[:], d[:]) < 0 {
			r.page = r.page[1:]
		}
		if len(r.page) > 0 || r.end {
			return len(r.page) > 0 && r.page[0].ID == core.BlobID(d), nil
		}
		page, err := r.ledger.Blobs(ctx, r.after, pageOfBlobs)
		if err != nil {
			return false, err
		}
		r.page, r.end = page, len(page) < pageOfBlobs
		if len(page) > 0 {
			r.after = page[len(page)-1].ID
		}
	}
}
