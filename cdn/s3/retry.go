package s3

import (
	"context"
	"errors"
	"time"

	"github.com/nearside/nearside/cdn"
	"github.com/nearside/nearside/core/backoff"
)

// pauses are the pauses between attempts.
var pauses = backoff.Backoff{Min: 100 * time.Millisecond, Max: 3 * time.Second}

// watch ends a request in which no byte moves.
type watch struct {
	*cdn.Watch
	ctx context.Context
}

func newWatch(ctx context.Context, limit time.Duration) *watch {
	w := new(watch)
	w.ctx, w.Watch = cdn.NewWatch(ctx, limit, errStalled)
	return w
}

// blame returns errStalled if we gave up ourselves, and otherwise the error of the store or the
// caller.
func (w *watch) blame(err error) error {
	if err != nil && errors.Is(context.Cause(w.ctx), errStalled) {
		return errStalled
	}
	return err
}

// retry is repeat with a watch for each attempt. Nothing of an attempt may outlive try.
func (s *Store) retry(ctx context.Context, a action, try func(*watch) error) error {
	return s.repeat(ctx, a, func() error {
		w := newWatch(ctx, s.cfg.StallTimeout)
		defer w.End()
		return w.blame(try(w))
	})
}

// repeat calls try until it succeeds, fails permanently, or has used up its budget.
func (s *Store) repeat(ctx context.Context, a action, try func() error) error {
	began := time.Now()
	for n := 0; ; n++ {
		if err := gone(ctx); err != nil {
			return err
		}
		err := try()
		if err == nil {
			return nil
		}
		if gone := gone(ctx); gone != nil {
			return gone
		}
		pause := pauses.After(n)
		if n >= s.cfg.MaxRetries || !temporary(err) && !s.redirected(err) || time.Since(began)+pause > s.cfg.RetryFor {
			return s.failed(a, err)
		}
		s.cfg.Logger.DebugContext(ctx, "request to the object store failed, trying again", "doing", a.doing, "try", n+1, "err", err)
		if !backoff.Pause(ctx, pause) {
			return gone(ctx)
		}
	}
}
