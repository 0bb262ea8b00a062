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

// repeats are the pauses between rounds, and between streams that gave no byte.
var repeats = backoff.Backoff{Min: 50 * time.Millisecond, Max: time.Second}

// unreached is a failure of the way to a node, not an answer of it.
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

// final reports whether another node would say the same. A damaged or faulty store is its own
// node's misfortune.
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

// try makes rounds over the nodes until one gives a final answer. When none is reached it ends
// with the first round, for the caller should know that we are cut off; unless begun says that
// somebody has a part already, who would have to begin anew.
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

// round asks each node once. It gives the first final answer, else the last one, else the last
// failure, and whether any node answered at all.
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
