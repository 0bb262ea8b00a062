package node

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/nearside/nearside/cdn/s3"
	"github.com/nearside/nearside/core"
)

// How often the bucket is tried: each time is a handful of small requests that cost money.
const (
	tryEvery   = 10 * time.Minute
	tryAgain   = 30 * time.Second
	tryingTime = time.Minute
)

// bucket knows whether the object store can be used.
type bucket struct {
	store *s3.Store
	log   *slog.Logger
	last  atomic.Pointer[string] // what was wrong at the last try; nil or empty: nothing
}

// Run tries the bucket now and again until ctx ends.
func (b *bucket) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		wait := tryEvery
		if b.trouble() != "" {
			wait = tryAgain
		}
		pause(ctx, wait)
		_ = b.try(ctx, tryingTime)
	}
	return nil
}

// try tries the bucket once and logs what has changed.
func (b *bucket) try(ctx context.Context, limit time.Duration) error {
	tctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	err := b.store.Check(tctx)
	if ctx.Err() != nil {
		return err
	}
	said := ""
	if err != nil {
		said = core.AsError(err).Message
	}
	switch before := b.trouble(); {
	case said != "" && said != before:
		b.log.Error("the bucket cannot be used: uploads fail, and files that are not in a cache", "why", said)
	case said == "" && before != "":
		b.log.Info("the bucket can be used again")
	}
	b.last.Store(&said)
	return err
}

// trouble is what was wrong at the last try.
func (b *bucket) trouble() string {
	if s := b.last.Load(); s != nil {
		return *s
	}
	return ""
}
