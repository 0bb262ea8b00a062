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
	freshLimit  = 30 * time.Second // time for the replica to catch up with the leader
	repairEvery = 5 * time.Minute
)

// RepairConfig configures a Repair.
type RepairConfig struct {
	Disks  *Disks                      // required
	Ledger Ledger                      // required
	Fresh  func(context.Context) error // required: returns when the replica has applied what home has
	Every  time.Duration               // default 5 min
	Jobs   *Jobs                       // default: not counted
	Logger *slog.Logger                // required
}

// Repair fetches blobs that this home node should have and does not: it was away when they were
// put, or its disk is new. It fetches one blob at a time, so that clients do not notice.
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

// Missing returns the number of blobs that this node should have and could not fetch at the last
// walk.
func (r *Repair) Missing() int64 { return r.missing.Load() }

// Run repairs at the start and then every RepairConfig.Every, until ctx ends.
func (r *Repair) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		r.catchUp(ctx)
		began := time.Now()
		err := r.walk(ctx)
		if ctx.Err() == nil {
			r.cfg.Jobs.done(jobRepair, began, err)
		}
		if err != nil && ctx.Err() == nil {
			r.cfg.Logger.Warn("the the check for missing blobs failed", "error", err)
		}
		backoff.Pause(ctx, r.cfg.Every)
	}
	return nil
}

// catchUp waits for the replica, but only for freshLimit: blobs that an older replica refers to
// are worth having too.
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
		r.cfg.Logger.Error("blobs are missing at this home node and could not be fetched; nearside files verify names the posts that use them", "blobs", missing)
	}
	r.missing.Store(missing)
	return nil
}
