package blob

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/backoff"
	"github.com/nearside/nearside/replication"
)

const maxRounds = 16

// repeats are the pauses between rounds, and between streams without a byte.
var repeats = backoff.Backoff{Min: 50 * time.Millisecond, Max: time.Second}

// unreached means that a node could not be reached; it is not an answer from it.
type unreached struct {
	addr  string
	cause error
}

func (u *unreached) Error() string { return "home node " + u.addr + ": " + u.cause.Error() }
func (u *unreached) Unwrap() error {
	return core.E(core.KindUnavailable, "home node %s did not answer", u.addr).WithCause(u.cause)
}

// enough is an error after which no other node is asked, whatever its kind.
type enough struct{ error }

func (e enough) Unwrap() error { return e.error }

// final reports whether every other node would give the same answer. Damage and internal errors
// are a single node's.
func final(err error) bool {
	var u *unreached
	var e enough
	switch {
	case err == nil, errors.As(err, &e):
		return true
	case errors.As(err, &u):
		return false
	}
	switch core.KindOf(err) {
	case core.KindInternal, core.KindLimit, core.KindUnavailable, core.KindNotBuilt, core.KindTimeout, core.KindUpgrade,
		core.KindCanceled, core.KindDiverged, core.KindMisdirected:
		return false
	default:
		return true
	}
}

// try asks the nodes in rounds until one gives a final answer. If no node is reached, it ends
// after the first round, since the caller should learn that home is unreachable; but not if
// begun, since a client that has already received a part would have to start again.
func (r *route) try(ctx context.Context, begun bool, do func(ctx context.Context, addr string) error) error {
	if !begun && r.connected != nil && !r.connected() {
		return replication.CutOff(core.E(core.KindUnavailable, "not connected"))
	}
	start := time.Now()
	for round := 1; ; round++ {
		reached, err := r.round(ctx, do)
		var e enough
		switch {
		case errors.As(err, &e):
			return e.error
		case final(err):
			return err
		case ctx.Err() != nil:
			return replication.GaveUp(ctx, err)
		case !reached && !begun:
			return replication.CutOff(err)
		case round >= r.rounds || time.Since(start) >= r.cfg.Patience:
			return err
		}
		backoff.Pause(ctx, repeats.After(round-1))
	}
}

// round asks each node once. It returns the first final answer, or else the last answer, or else
// the last failure; and whether any node answered.
func (r *route) round(ctx context.Context, do func(ctx context.Context, addr string) error) (reached bool, last error) {
	last = &unreached{"", core.E(core.KindUnavailable, "no home node known")}
	for _, addr := range r.addrs() {
		err := do(ctx, addr)
		if final(err) || ctx.Err() != nil {
			return true, err
		}
		var u *unreached
		answered := !errors.As(err, &u)
		if !answered {
			r.blame(addr, err)
		}
		if answered || !reached {
			last = err
		}
		reached = reached || answered
	}
	return reached, last
}

func timedOut(err error) bool {
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded)
}
