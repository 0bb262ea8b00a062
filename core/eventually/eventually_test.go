package eventually

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Poll asks again until there is no error, and gives the last error when its time is over.
func TestPoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		Nil(t, func() error {
			if n++; n < 100 {
				return errors.New("not yet")
			}
			return nil
		})
		began, reason := time.Now(), errors.New("the reason")
		err := Poll(t.Context(), time.Second, func() error { return reason })
		if took := time.Since(began); !errors.Is(err, reason) || took != time.Second {
			t.Errorf("%v after %v", err, took)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := Poll(ctx, time.Second, func() error { return reason }); !errors.Is(err, reason) {
			t.Errorf("ended: %v", err)
		}
	})
}

// failing is a testing.TB that records its failure.
type failing struct {
	testing.TB
	said string
}

func (f *failing) Helper()                        {}
func (f *failing) Logf(string, ...any)            {}
func (f *failing) Errorf(format string, _ ...any) { f.said = format }

// A limit that has passed fails a test, but not under the race detector.
func TestInTime(t *testing.T) {
	f := &failing{TB: t}
	InTime(f, time.Now(), time.Hour)
	if f.said != "" {
		t.Errorf("in time, yet %s", f.said)
	}
	InTime(f, time.Now().Add(-time.Hour), time.Minute)
	if strings.Contains(f.said, "more than") == racing {
		t.Errorf("late: %q", f.said)
	}
}
