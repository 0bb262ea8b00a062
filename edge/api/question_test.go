package api_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nearside/nearside/edge/api"
)

func TestQuestions_Flood(t *testing.T) {
	// However many requests ask at once, one question runs at a time, and each request shares one
	// that began after it came.
	synctest.Test(t, func(t *testing.T) {
		ask := api.NewQuestions()
		began, gate := 0, make(chan struct{})
		home := func(context.Context) error {
			began++ // without a lock: the race detector reports two at once
			<-gate
			return nil
		}
		var first, rest sync.WaitGroup
		first.Go(func() { _ = ask(t.Context(), home) })
		synctest.Wait()
		gone, cancel := context.WithCancel(t.Context())
		for i := range 100 {
			ctx := t.Context()
			if i%2 == 0 {
				ctx = gone
			}
			rest.Go(func() {
				if err := ask(ctx, home); err != nil && !errors.Is(err, context.Canceled) {
					t.Errorf("%v", err)
				}
			})
		}
		synctest.Wait()
		close(gate)
		first.Wait()
		rest.Wait()
		cancel()
		if began != 2 {
			t.Errorf("home was asked %d times", began)
		}
	})
}

func TestQuestions_AskerGivesUp(t *testing.T) {
	// If a client disconnects, the question it shares continues, and no request waits for a
	// silent home longer than the limit.
	synctest.Test(t, func(t *testing.T) {
		ask := api.NewQuestions()
		home := func(ctx context.Context) error { <-ctx.Done(); return context.Cause(ctx) }
		gone, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		begin := time.Now()
		for _, ctx := range []context.Context{gone, t.Context(), gone, t.Context()} {
			all.Go(func() { _ = ask(ctx, home) })
			synctest.Wait()
		}
		cancel()
		all.Wait()
		if took := time.Since(begin); took > 5*time.Second {
			t.Errorf("it took %v", took)
		}
		if err := ask(t.Context(), func(context.Context) error { return nil }); err != nil {
			t.Errorf("afterwards: %v", err)
		}
	})
}
