package cdn

import (
	"context"
	"time"
)

// Watch ends a context when nothing moves for too long. It is safe for concurrent use.
type Watch struct {
	limit  time.Duration
	timer  *time.Timer
	cancel context.CancelCauseFunc
}

// NewWatch gives a context that ends with the cause stalled when Moved is not called for so
// long. End must follow.
func NewWatch(parent context.Context, limit time.Duration, stalled error) (context.Context, *Watch) {
	ctx, cancel := context.WithCancelCause(parent)
	return ctx, &Watch{limit: limit, cancel: cancel, timer: time.AfterFunc(limit, func() { cancel(stalled) })}
}

// Moved gives the next step its time anew.
func (w *Watch) Moved() { w.timer.Reset(w.limit) }

// Pause stops the clock until something moves, while somebody else is at work.
func (w *Watch) Pause() { w.timer.Stop() }

// End ends the context.
func (w *Watch) End() {
	w.timer.Stop()
	w.cancel(nil)
}
