package node

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Stages stop in the opposite order of their start, each only after the one outside it.
func TestStages_Stop_GoesFromTheOutsideIn(t *testing.T) {
	s := newStages(t.Context(), slog.New(slog.DiscardHandler))
	var mu sync.Mutex
	var order []string
	for _, name := range []string{"database", "link", "edge"} {
		s.start(name, time.Minute, func(ctx context.Context) error {
			<-ctx.Done()
			mu.Lock()
			defer mu.Unlock()
			order = append(order, name)
			return nil
		})
	}
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(order, []string{"edge", "link", "database"}) {
		t.Errorf("stopped in the order %v", order)
	}
}

// If a stage ends by itself, a wait for something else ends with its name and error.
func TestStages_StageFails_EndsTheWait(t *testing.T) {
	s := newStages(t.Context(), slog.New(slog.DiscardHandler))
	s.start("link", time.Minute, func(context.Context) error { return errors.New("no network") })
	err := s.await(t.Context(), "home", make(chan struct{}))
	if err == nil || err.Error() != "link: no network" {
		t.Errorf("got %v", err)
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
}

// A stage that does not stop is left running after its limit, and those inside it still stop.
func TestStages_StageIsStuck_DoesNotHoldTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStages(t.Context(), slog.New(slog.DiscardHandler))
		stopped := make(chan struct{})
		s.onStop("database", func() { close(stopped) })
		release := make(chan struct{})
		s.start("edge", time.Second, func(context.Context) error { <-release; return nil })
		began := time.Now()
		err := s.stop()
		if !errors.Is(err, errStuck) || !strings.Contains(err.Error(), "edge") || time.Since(began) != time.Second {
			t.Errorf("got %v after %v", err, time.Since(began))
		}
		<-stopped
		close(release)
	})
}
