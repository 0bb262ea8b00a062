package origin

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/backoff"
)

// How often the bucket is checked. Each check is a few small requests that cost money.
const (
	tryEvery   = 10 * time.Minute
	tryAgain   = 30 * time.Second
	tryingTime = time.Minute
)

// Checker checks whether a store can be used.
type Checker interface {
	Check(ctx context.Context) error
}

// Bucket knows whether the object store can be used.
type Bucket struct {
	store Checker
	jobs  *Jobs
	log   *slog.Logger
	last  atomic.Pointer[string] // the error of the last check; nil or empty if there was none
}

// NewBucket watches an object store. jobs may be nil.
func NewBucket(store Checker, jobs *Jobs, log *slog.Logger) *Bucket {
	return &Bucket{store: store, jobs: jobs, log: log}
}

// Run checks the bucket at intervals until ctx ends.
func (b *Bucket) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		wait := tryEvery
		if b.Trouble() != "" {
			wait = tryAgain
		}
		backoff.Pause(ctx, wait)
		_ = b.Try(ctx, tryingTime)
	}
	return nil
}

// Try checks the bucket once and logs changes.
func (b *Bucket) Try(ctx context.Context, limit time.Duration) error {
	tctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	began := time.Now()
	err := b.store.Check(tctx)
	if ctx.Err() != nil {
		return err
	}
	b.jobs.done(jobBucket, began, err)
	said := ""
	if err != nil {
		said = core.AsError(err).Message
	}
	switch before := b.Trouble(); {
	case said != "" && said != before:
		b.log.Error("the bucket cannot be used: uploads fail, and files that are not in a cache", "why", said)
	case said == "" && before != "":
		b.log.Info("the bucket can be used again")
	}
	b.last.Store(&said)
	return err
}

// Trouble is the error of the last check, or empty.
func (b *Bucket) Trouble() string {
	if s := b.last.Load(); s != nil {
		return *s
	}
	return ""
}
