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
	maxSwept    = 100_000 // removed by one sweep; the next one continues
	maxOrphans  = 100     // a sweep is refused if it would remove more than this many blobs that the log has never known,
	orphanShare = 2       // and they are more than one in so many of all blobs: it is then another deployment's store
	sweepEvery  = time.Hour
)

// SweeperConfig configures a Sweeper.
type SweeperConfig struct {
	Store  Sweepable // required
	Ledger Ledger    // required
	// Fresh returns when the replica has applied what home has; required. Without it, a replica
	// that is behind or being rebuilt would remove files that it does not know yet.
	Fresh  func(context.Context) error
	Mine   func() bool   // whether this node is the one that sweeps the store; default: it is
	Grace  time.Duration // since the last Put; required
	Keep   time.Duration // since the last reference, for blobs that once had one
	Every  time.Duration // default 1 h
	Jobs   *Jobs         // default: not counted
	Logger *slog.Logger  // required
}

// Sweeper removes blobs without references. A blob is removed if its last Put is longer ago than
// the grace period, and either its last reference is longer ago than Keep, or it never had one:
// then an upload was abandoned.
type Sweeper struct {
	cfg      SweeperConfig
	sweeping sync.Mutex // one sweep at a time
	swept    atomic.Int64
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

// Swept returns the number of blobs removed since the start.
func (s *Sweeper) Swept() int64 { return s.swept.Load() }

// Sweepable is a store that can be listed and swept.
type Sweepable interface {
	cdn.Deleter
	cdn.Lister
}

// tidier is a store in which uploads can remain unfinished.
type tidier interface {
	Sweep(ctx context.Context, before time.Time) (dropped int, err error)
}

// Sweep is the result of a sweep.
type Sweep struct {
	Blobs      int64  `json:"blobs"` // in the store
	Bytes      int64  `json:"bytes"`
	Orphans    int64  `json:"orphans"`  // old enough to be removed, and never known to the log
	Released   int64  `json:"released"` // old enough to be removed; their files were deleted
	Swept      int64  `json:"swept"`
	SweptBytes int64  `json:"swept_bytes"`
	Unfinished int    `json:"unfinished,omitempty"` // unfinished uploads that were dropped
	Skipped    string `json:"skipped,omitempty"`    // why nothing was swept
}

// Run sweeps every SweeperConfig.Every until ctx ends.
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

// Sweep sweeps once. force is for an operator who knows why so many blobs would be removed.
func (s *Sweeper) Sweep(ctx context.Context, force bool) (Sweep, error) {
	if !s.sweeping.TryLock() {
		return Sweep{}, core.E(core.KindConflict, "a sweep is under way already")
	}
	defer s.sweeping.Unlock()
	if !s.cfg.Mine() {
		return Sweep{Skipped: "the leader sweeps the bucket"}, nil
	}
	if err := s.CaughtUp(ctx); err != nil {
		return Sweep{}, err
	}
	before := time.Now().Add(-s.cfg.Grace)
	done, expired, err := s.find(ctx, before)
	if err != nil {
		return done, err
	}
	if done.Orphans > maxOrphans && done.Orphans*orphanShare > done.Blobs && !force {
		done.Skipped = "most of the stored blobs are unknown to the log; is this the store of another deployment? nearside files sweep --force removes them"
		return done, nil
	}
	if err := s.CaughtUp(ctx); err != nil {
		return done, err
	}
	for _, v := range expired {
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

// CaughtUp waits, for at most freshLimit, until the replica has applied what home has.
func (s *Sweeper) CaughtUp(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, freshLimit)
	defer cancel()
	return s.cfg.Fresh(ctx)
}

// find collects the blobs that may be removed. It walks the store and the log's references in
// parallel, in the same order.
func (s *Sweeper) find(ctx context.Context, before time.Time) (done Sweep, expired []cdn.Info, err error) {
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
		if len(expired) < maxSwept { // the others are still counted, for the limit on orphans
			expired = append(expired, i)
		}
		return nil
	})
	return done, expired, err
}

// forgotten reports whether nothing has referred to a blob for long enough, and whether the log
// has ever known it.
func (s *Sweeper) forgotten(ctx context.Context, d cdn.Digest) (old, known bool, err error) {
	refs, releasedAt, known, err := s.cfg.Ledger.BlobRefs(ctx, core.BlobID(d))
	if err != nil || refs > 0 {
		return false, known, err
	}
	return !known || releasedAt < time.Now().Add(-s.cfg.Keep).UnixMilli(), known, nil
}

// expire removes one blob, if it may still be removed: a file may have begun to refer to it.
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

// references reads the blobs that the log refers to, in step with a walk over a store in the same
// order.
type references struct {
	ledger Ledger
	page   []core.Blob
	after  core.BlobID
	end    bool
}

// hold reports whether the log refers to a blob; digests must grow from call to call.
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
