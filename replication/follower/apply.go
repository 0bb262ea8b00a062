package follower

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/backoff"
	"github.com/nearside/nearside/replication/link"
	"github.com/nearside/nearside/replication/wire"
)

const (
	batchesAhead  = 4 // decoded batches that wait for the sink
	answerTimeout = 10 * time.Second
	restoreEvery  = 30 * time.Second // snapshots that follow each other faster than this are slowed down
)

// sinkError is an error of our own sink, not one reported by a hub.
type sinkError struct {
	err   error
	claim core.Position // to which the hub says that the sink comes, if it was applying
}

func (e *sinkError) Error() string { return "applying: " + e.err.Error() }
func (e *sinkError) Unwrap() error { return e.err }

// apply follows and restores over the live connection, until ctx ends or the sink returns
// core.KindUpgrade.
func (f *Follower) apply(ctx context.Context) error {
	failures := 0
	var restored time.Time
	for {
		conn, err := f.live(ctx)
		if err != nil {
			return nil
		}
		before := f.cfg.Sink.Position()
		err = f.follow(ctx, conn)
		if core.KindOf(err) == core.KindDiverged {
			if !f.believes(ctx, conn, err) {
				f.distrust(conn, err)
				continue
			}
			f.diverged()
		}
		if errors.Is(err, core.ErrCompacted) || core.KindOf(err) == core.KindDiverged {
			f.cfg.Logger.Error("taking a snapshot", "at", f.cfg.Sink.Position(), "hub", conn.Peer(), "reason", err)
			if time.Since(restored) < restoreEvery { // the last one did not help
				backoff.Pause(ctx, f.cfg.Backoff.Max)
			}
			err = f.restore(ctx)
			restored = time.Now()
		}
		var own *sinkError
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil:
			failures = 0
			continue
		case errors.As(err, &own) && core.KindOf(err) == core.KindUpgrade:
			return err
		case errors.Is(err, errStale) || own == nil && core.KindOf(err) == core.KindUpgrade:
			f.distrust(conn, err)
		case conn.Context().Err() != nil: // live waits for the next connection
			f.cfg.Logger.Debug("log stream lost", "err", err)
		default:
			f.cfg.Logger.Warn("following failed, trying again", "hub", conn.Peer(), "err", err)
			if before != f.cfg.Sink.Position() {
				failures = 0
			}
			backoff.Pause(ctx, f.cfg.Backoff.After(failures))
			failures++
		}
	}
}

// follow applies what the hub sends after the sink's position. It always returns an error.
func (f *Follower) follow(ctx context.Context, conn *link.Conn) error {
	st, err := conn.OpenStream(ctx)
	if err != nil {
		return err
	}
	defer st.Abort()
	at := f.cfg.Sink.Position()
	if err := wire.NewWriter(st).Write(wire.KindHello, wire.AppendHello(nil, wire.Hello{Version: wire.Version, At: at})); err != nil {
		return err
	}
	r := wire.NewReader(st, 0)
	_ = st.SetReadDeadline(time.Now().Add(answerTimeout))
	body, err := r.Expect(wire.KindWelcome)
	if err != nil {
		return err
	}
	_ = st.SetReadDeadline(time.Time{}) // from here on the pulse tells whether the hub is alive
	welcome, err := wire.DecodeStatus(body)
	switch {
	case err != nil:
		return err
	case welcome.At.Epoch < at.Epoch:
		return fmt.Errorf("hub at %s, we at %s: %w", welcome.At, at, errStale)
	}
	return f.drain(ctx, st, r)
}

// drain reads ahead while the sink applies.
func (f *Follower) drain(ctx context.Context, st *link.Stream, r *wire.Reader) error {
	ctx, cancel := context.WithCancel(ctx)
	batches := make(chan core.Batch, batchesAhead)
	var readErr error // written before batches is closed
	var wg sync.WaitGroup
	defer wg.Wait()
	defer st.Abort() // before wg.Wait: it unblocks the reader
	defer cancel()
	wg.Go(func() {
		defer close(batches)
		readErr = readBatches(ctx, r, batches)
	})
	defer context.AfterFunc(ctx, st.Abort)()
	for b := range batches {
		if err := f.cfg.Sink.Apply(ctx, b); err != nil {
			return &sinkError{err, b.After}
		}
		f.applied(b.After)
	}
	return readErr
}

func readBatches(ctx context.Context, r *wire.Reader, out chan<- core.Batch) error {
	for {
		kind, body, err := r.Next()
		if errors.Is(err, io.EOF) {
			return core.E(core.KindUnavailable, "the hub ended the log stream")
		}
		if err != nil {
			return err
		}
		b, err := decodeLog(kind, body)
		if err != nil {
			return err
		}
		select {
		case out <- b:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// decodeLog returns the batch in a frame of a log stream; other frames become an error.
func decodeLog(kind wire.Kind, body []byte) (core.Batch, error) {
	switch kind {
	case wire.KindBatch:
		b, err := wire.DecodeBatch(body)
		if err == nil && !ordered(b) {
			err = core.E(core.KindInvalid, "batch out of order")
		}
		return b, err
	case wire.KindTurn:
		t, err := wire.DecodeTurn(body)
		switch {
		case err != nil:
			return core.Batch{}, err
		case t.Diverged:
			return core.Batch{}, core.ErrDiverged
		}
		return core.Batch{}, core.ErrCompacted
	case wire.KindError:
		return core.Batch{}, wire.DecodeError(body)
	}
	return core.Batch{}, wire.Unexpected(kind)
}

func ordered(b core.Batch) bool {
	var last core.Index
	for _, e := range b.Entries {
		if e.Index <= last {
			return false
		}
		last = e.Index
	}
	return len(b.Entries) > 0 && b.After.Index >= last
}
