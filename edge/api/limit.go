package api

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nearside/nearside/core/read"
)

// limit is a context that ends with its parent or at a time. Its timer starts when somebody first waits for
// it: most answers come from memory, and a timer would cost a fortieth of their time.
type limit struct {
	context.Context // the parent
	at              time.Time
	answer          *answer // the memory of what is read for the request

	once   sync.Once
	timed  context.Context // set by once
	cancel context.CancelFunc
	begun  atomic.Bool // timed may be read
}

func (l *limit) start() context.Context {
	l.once.Do(func() { l.timed, l.cancel = context.WithDeadline(l.Context, l.at); l.begun.Store(true) })
	return l.timed
}

// Value implements context.Context. A context made from this one finds the timed one here, and so needs no goroutine
// that waits for both.
func (l *limit) Value(key any) any {
	if key == (read.BudgetKey{}) && l.answer != nil {
		return l.answer
	}
	if l.begun.Load() {
		return l.timed.Value(key)
	}
	return l.Context.Value(key)
}

// Deadline implements context.Context.
func (l *limit) Deadline() (time.Time, bool) { return l.start().Deadline() }

// Done implements context.Context.
func (l *limit) Done() <-chan struct{} { return l.start().Done() }

// Err implements context.Context.
func (l *limit) Err() error { return l.start().Err() }

// end ends it, if anybody has waited.
func (l *limit) end() {
	l.once.Do(func() { l.timed, l.cancel = l.Context, func() {} })
	l.cancel()
}
