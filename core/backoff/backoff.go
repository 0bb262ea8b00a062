// Package backoff says how long to wait before something that failed is tried again, and waits.
//
// Concurrency: a Backoff is a value; everything may be called from anywhere.
package backoff

import (
	"context"
	"math/rand/v2"
	"time"
)

// Backoff says how long to wait after failures: Min, doubled after each failure up to Max, times a
// random factor from one half to one, so that many callers that failed together do not try again
// together.
type Backoff struct{ Min, Max time.Duration }

// After gives the time to wait after the n-th failure in a row, from 0.
func (b Backoff) After(n int) time.Duration {
	d := b.Max
	if n < 16 { // 65,536 × Min is over any Max, and a longer shift overflows
		d = min(b.Max, b.Min<<n)
	}
	return Jitter(d)
}

// Jitter gives a random time between half of d and d.
func Jitter(d time.Duration) time.Duration { return d/2 + rand.N(d/2+1) }

// Pause waits for d and reports true, or false as soon as ctx has ended.
func Pause(ctx context.Context, d time.Duration) bool {
	if ctx.Err() != nil {
		return false
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
