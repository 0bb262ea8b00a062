package api

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"testing/synctest"
	"time"
)

type limitKey struct{}

// The limit of a request ends what waits for it, directly or through a context made from it, at its time, with
// its parent, or when the request is answered, whichever comes first.
func TestLimit(t *testing.T) {
	type outcome struct {
		after time.Duration
		why   error
	}
	for name, c := range map[string]struct {
		do   func(parent context.CancelFunc, l *limit)
		want outcome
	}{
		"its time": {func(context.CancelFunc, *limit) {}, outcome{3 * time.Second, context.DeadlineExceeded}},
		"parent":   {func(cancel context.CancelFunc, _ *limit) { time.Sleep(time.Second); cancel() }, outcome{time.Second, context.Canceled}},
		"answered": {func(_ context.CancelFunc, l *limit) { time.Sleep(2 * time.Second); l.end() }, outcome{2 * time.Second, context.Canceled}},
	} {
		for _, derived := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					parent, cancel := context.WithCancel(context.WithValue(t.Context(), limitKey{}, "value"))
					defer cancel()
					l := &limit{Context: parent, at: time.Now().Add(3 * time.Second)}
					defer l.end()
					var ctx context.Context = l
					if derived {
						before := runtime.NumGoroutine()
						child, stop := context.WithTimeout(ctx, time.Hour)
						defer stop()
						if more := runtime.NumGoroutine() - before; more != 0 {
							t.Errorf("a context made from it needs %d goroutines", more)
						}
						ctx = child
					}
					began := time.Now()
					go c.do(cancel, l)
					<-ctx.Done()
					if got := (outcome{time.Since(began), ctx.Err()}); got.after != c.want.after || !errors.Is(got.why, c.want.why) || ctx.Value(limitKey{}) != "value" {
						t.Errorf("it ended after %v with %v, want %v; value %v", got.after, got.why, c.want, ctx.Value(limitKey{}))
					}
					synctest.Wait() // what is left running would fail the bubble
				})
			})
		}
	}
}

// A request that waits for nothing starts no timer, and what asks afterwards learns that it has ended as far as
// its parent has.
func TestLimit_NobodyWaits(t *testing.T) {
	l := &limit{Context: t.Context(), at: time.Now().Add(time.Hour)}
	l.end()
	if l.timed != l.Context || l.Err() != nil {
		t.Error("a timer was started")
	}
}
