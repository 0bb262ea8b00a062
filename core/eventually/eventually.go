// Package eventually waits in tests until a condition is true, and says why if it does not become true.
//
// Tests wait only with this package: it polls with a deadline, so that a test on a slow machine takes
// longer but does not fail, and on a fast one loses almost no time. Limits of elapsed time are checked
// here too, because they mean nothing under the race detector.
//
// Concurrency: everything may be called from parallel tests.
package eventually

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nearside/nearside/core/backoff"
)

// Limit is how long a condition may take. It is generous: only a test that fails waits for it.
const Limit = time.Minute

// pauses between two looks: short at first, and not a load on the machine later.
var pauses = backoff.Backoff{Min: time.Millisecond, Max: 20 * time.Millisecond}

// Nil asks until there is no error. If there still is one after Limit, the test fails with it.
func Nil(t testing.TB, ask func() error) {
	t.Helper()
	// Also in a cleanup, when the test's context has ended.
	if err := Poll(context.WithoutCancel(t.Context()), Limit, ask); err != nil {
		t.Fatal(err)
	}
}

// True asks until the answer is yes. If it is still no after Limit, the test fails and says what it
// waited for.
func True(t testing.TB, what string, ask func() bool) {
	t.Helper()
	Nil(t, func() error {
		if !ask() {
			return errors.New("still not: " + what)
		}
		return nil
	})
}

// Poll asks until there is no error, and gives the last one when limit has passed or ctx ends.
func Poll(ctx context.Context, limit time.Duration, ask func() error) error {
	within, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for n := 0; ; n++ {
		err := ask()
		if err == nil {
			return nil
		}
		if !backoff.Pause(within, pauses.After(n)) {
			return fmt.Errorf("waited up to %v: %w", limit, err)
		}
	}
}

// InTime fails the test when more than limit has passed since began. Under the race detector it
// only logs: there a busy machine takes any time.
func InTime(t testing.TB, began time.Time, limit time.Duration) {
	t.Helper()
	took := time.Since(began)
	if took <= limit || racing {
		t.Logf("took %v of at most %v", took, limit)
		return
	}
	t.Errorf("took %v, more than %v", took, limit)
}
