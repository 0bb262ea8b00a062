package node

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/nearside/nearside/cdn"
	"github.com/nearside/nearside/core"
)

// pageOfBlobs is how many blobs are asked for at a time.
const pageOfBlobs = 1000

// ledger is what the log knows of blobs, in the local replica.
type ledger interface {
	Blobs(ctx context.Context, after core.BlobID, limit int) ([]core.Blob, error)
	BlobRefs(ctx context.Context, id core.BlobID) (refs, releasedAt int64, known bool, err error)
}

// referenced calls each for every blob that the log refers to, in the order of their digests.
func referenced(ctx context.Context, l ledger, each func(core.Blob) error) error {
	var after core.BlobID
	for {
		page, err := l.Blobs(ctx, after, pageOfBlobs)
		if err != nil {
			return err
		}
		for _, b := range page {
			if err := each(b); err != nil {
				return err
			}
			after = b.ID
		}
		if len(page) < pageOfBlobs {
			return nil
		}
	}
}

// repair brings to this home node what it should have and has not: it was away when that was
// put, or its disk is a new one. It takes one blob at a time, so that clients do not notice.
type repair struct {
	origin *origin
	ledger ledger
	fresh  func(context.Context) error // returns once the replica has what home has
	every  time.Duration
	log    *slog.Logger

	missing atomic.Int64 // after the last walk
}

// Run repairs at the start and then now and again until ctx ends.
func (r *repair) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		r.catchUp(ctx)
		if err := r.walk(ctx); err != nil && ctx.Err() == nil {
			r.log.Warn("the blobs could not be looked through", "error", err)
		}
		pause(ctx, r.every)
	}
	return nil
}

// catchUp waits a while for what home has; what an older replica refers to is worth having too.
func (r *repair) catchUp(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, freshLimit)
	defer cancel()
	_ = r.fresh(ctx)
}

func (r *repair) walk(ctx context.Context) error {
	missing := int64(0)
	err := referenced(ctx, r.ledger, func(b core.Blob) error {
		d := cdn.Digest(b.ID)
		if size, err := r.origin.own.Stat(ctx, d); err == nil && size == b.Size {
			return nil
		}
		if err := r.origin.fetch(ctx, d); err != nil {
			missing++
			r.log.Debug("a blob is missing", "blob", d, "error", err)
		}
		return ctx.Err()
	})
	if err != nil {
		return err
	}
	if missing > 0 && missing != r.missing.Load() {
		r.log.Error("blobs are missing at this home node and could not be fetched; nearside files verify says whose they are", "blobs", missing)
	}
	r.missing.Store(missing)
	return nil
}

// pause waits, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
