package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// stages has the running stages, in the order of their start. It belongs to Run's goroutine.
type stages struct {
	log     *slog.Logger
	base    context.Context // of every stage; never cancelled, because the stages are stopped one after another
	running []*stage
	failed  chan error // one slot: the first stage that ended by itself
}

type stage struct {
	name   string
	limit  time.Duration // for stopping
	cancel context.CancelFunc
	done   chan struct{} // closed when run has returned
	err    error         // run's; read after done
}

func newStages(ctx context.Context, log *slog.Logger) *stages {
	return &stages{log: log, base: context.WithoutCancel(ctx), failed: make(chan error, 1)}
}

// start runs a stage until stop reaches it. A stage that returns earlier has failed.
func (s *stages) start(name string, limit time.Duration, run func(context.Context) error) {
	ctx, cancel := context.WithCancel(s.base)
	st := &stage{name: name, limit: limit, cancel: cancel, done: make(chan struct{})}
	s.running = append(s.running, st)
	go func() {
		defer close(st.done)
		st.err = run(ctx)
		if ctx.Err() != nil {
			return
		}
		err := fmt.Errorf("%s: %w", name, st.err)
		if st.err == nil {
			err = fmt.Errorf("%s ended by itself", name)
		}
		select {
		case s.failed <- err:
		default:
		}
	}()
}

// onStop adds something that needs no goroutine and must be released at the stop.
func (s *stages) onStop(name string, release func()) {
	s.start(name, time.Minute, func(ctx context.Context) error {
		<-ctx.Done()
		release()
		return nil
	})
}

// await waits until ready is closed. It ends early with the error of a stage that failed, or
// when ctx ends.
func (s *stages) await(ctx context.Context, what string, ready <-chan struct{}) error {
	select {
	case <-ready:
		return nil
	case err := <-s.failed:
		return err
	case <-ctx.Done():
		return fmt.Errorf("waiting for %s: %w", what, context.Cause(ctx))
	}
}

// errStuck says that a stage did not stop; only the end of the process ends it.
var errStuck = errors.New("did not stop in time")

// stop stops every stage from the outside in. A stage that does not stop in time is left running, with an
// error, so that the stages inside it are still stopped.
func (s *stages) stop() (err error) {
	for i := len(s.running) - 1; i >= 0; i-- {
		st := s.running[i]
		began := time.Now()
		st.cancel()
		timer := time.NewTimer(st.limit)
		select {
		case <-st.done:
			timer.Stop()
			s.log.Debug("stopped", "stage", st.name, "after", time.Since(began).Round(time.Millisecond))
		case <-timer.C:
			s.log.Error("does not stop", "stage", st.name, "after", st.limit)
			err = errors.Join(err, fmt.Errorf("%s %w", st.name, errStuck))
		}
	}
	s.running = nil
	return err
}
