package cdn

import (
	"context"
	"time"
)

// Watch cancels a context when nothing moves for too long. It is safe for concurrent use.
type Watch struct {
	limit  time.Duration
	timer  *time.Timer
	cancel context.CancelCauseFunc
}

// NewWatch returns a context that is cancelled with the cause stalled if Moved is not called for
// longer than limit. The caller must call End.
func NewWatch(parent context.Context, limit time.Duration, stalled error) (context.Context, *Watch) {
	ctx, cancel := context.WithCancelCause(parent)
	return ctx, &Watch{limit: limit, cancel: cancel, timer: time.AfterFunc(limit, func() { cancel(stalled) })}
}

// Moved starts the limit again.
func (w *Watch) Moved() { w.timer.Reset(w.limit) }

// Pause stops the timer until the next Moved: the caller waits for somebody other than the
// watched peer.
func (w *Watch) Pause() { w.timer.Stop() }

// End ends the context.
func (w *Watch) End() {
	w.timer.Stop()
	w.cancel(nil)
}
