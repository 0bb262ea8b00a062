package backoff

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// Pauses double from Min to Max, each with a random factor from one half to one.
func TestBackoff_After(t *testing.T) {
	b := Backoff{Min: 10 * time.Millisecond, Max: 100 * time.Millisecond}
	for n, want := range map[int]time.Duration{0: 10 * time.Millisecond, 1: 20 * time.Millisecond, 3: 80 * time.Millisecond, 4: b.Max, 1000: b.Max} {
		for range 100 {
			if got := b.After(n); got < want/2 || got > want {
				t.Fatalf("after %d failures: %v, want %v to %v", n, got, want/2, want)
			}
		}
	}
}

// A pause lasts as long as it says, or until its context ends.
func TestPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		if !Pause(t.Context(), time.Second) || time.Since(began) != time.Second {
			t.Errorf("whole: %v", time.Since(began))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if Pause(ctx, time.Hour) || time.Since(began) != 2*time.Second {
			t.Errorf("cut short: %v", time.Since(began))
		}
		if Pause(ctx, 0) {
			t.Error("an ended context pauses")
		}
	})
}
