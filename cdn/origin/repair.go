package origin

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/nearside/nearside/cdn"
	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/backoff"
)

const (
	freshLimit  = 30 * time.Second // for the replica to catch up with the leader
	repairEvery = 5 * time.Minute
)

// RepairConfig configures a Repair.
type RepairConfig struct {
	Disks  *Disks                      // required
	Ledger Ledger                      // required
	Fresh  func(context.Context) error // required: returns once the replica has what home has
	Every  time.Duration               // default 5 min
	Jobs   *Jobs                       // default: not counted
	Logger *slog.Logger                // required
}

// Repair brings to this home node what it should have and has not: it was away when that was
// put, or its disk is a new one. It takes one blob at a time, so that clients do not notice.
type Repair struct {
	cfg     RepairConfig
	missing atomic.Int64 // after the last walk
}

// NewRepair starts nothing.
func NewRepair(cfg RepairConfig) *Repair {
	if cfg.Every <= 0 {
		cfg.Every = repairEvery
	}
	return &Repair{cfg: cfg}
}

// Missing is how many blobs this node should have and could not get, at the last walk.
func (r *Repair) Missing() int64 { return r.missing.Load() }

// Run repairs at the start and then now and again until ctx ends.
func (r *Repair) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		r.catchUp(ctx)
		began := time.Now()
		err := r.walk(ctx)
		if ctx.Err() == nil {
			r.cfg.Jobs.done(jobRepair, began, err)
		}
		if err != nil && ctx.Err() == nil {
			r.cfg.Logger.Warn("the blobs could not be looked through", "error", err)
		}
		backoff.Pause(ctx, r.cfg.Every)
	}
	return nil
}

// catchUp waits a while for what home has; what an older replica refers to is worth having too.
func (r *Repair) catchUp(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, freshLimit)
	defer cancel()
	_ = r.cfg.Fresh(ctx)
}

func (r *Repair) walk(ctx context.Context) error {
	missing := int64(0)
	err := Referenced(ctx, r.cfg.Ledger, func(b core.Blob) error {
		d := cdn.Digest(b.ID)
		if size, err := r.cfg.Disks.own.Stat(ctx, d); err == nil && size == b.Size {
			return nil
		}
		if err := r.cfg.Disks.fetch(ctx, d); err != nil {
			missing++
			r.cfg.Logger.Debug("a blob is missing", "blob", d, "error", err)
		}
		return ctx.Err()
	})
	if err != nil {
		return err
	}
	if missing > 0 && missing != r.missing.Load() {
		r.cfg.Logger.Error("blobs are missing at this home node and could not be fetched; nearside files verify says whose they are", "blobs", missing)
	}
	r.missing.Store(missing)
	return nil
}
