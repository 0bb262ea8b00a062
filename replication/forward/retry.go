package forward

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/backoff"
	"github.com/nearside/nearside/replication"
)

const (
	suspectFor = 3 * time.Second // in this time link notices a dead peer
	patience   = 3 * time.Second // for home nodes that answer but cannot help; longer than an election
)

// pauses are the pauses between rounds.
var pauses = backoff.Backoff{Min: 50 * time.Millisecond, Max: 500 * time.Millisecond}

// attempt is one request at one home node.
type attempt func(ctx context.Context, addr string) ([]byte, error)

type result struct {
	addr string
	body []byte
	err  error
}

// unreached means that a home node could not be reached; it is not an answer from it.
type unreached struct {
	addr  string
	cause error
}

func (u *unreached) Error() string { return "home node " + u.addr + ": " + u.cause.Error() }
func (u *unreached) Unwrap() error {
	return core.E(core.KindUnavailable, "home node %s did not answer", u.addr).WithCause(u.cause)
}

// everywhere asks the home nodes in rounds, until one gives a final answer or ctx ends. It stops
// after a round in which no node was reached: the caller should learn that home is unreachable.
// It also stops after patience: the home nodes' error, such as a full disk, then helps the caller
// more than waiting.
func (c *Client) everywhere(ctx context.Context, do attempt) ([]byte, error) {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, defaultWait)
		defer cancel()
	}
	began := time.Now()
	for n := 0; ; n++ {
		r, reached := c.round(ctx, do)
		switch {
		case final(r.err):
			return r.body, r.err
		case ctx.Err() != nil:
			return nil, replication.GaveUp(ctx, r.err)
		case !reached:
			return nil, replication.CutOff(r.err)
		case time.Since(began) >= patience && core.KindOf(r.err) == core.KindUnavailable:
			return nil, r.err
		}
		c.cfg.Logger.Debug("home is not ready", "err", r.err)
		if !backoff.Pause(ctx, pauses.After(n)) {
			return nil, replication.GaveUp(ctx, r.err)
		}
	}
}

// final reports whether every other node would give the same answer, good or bad.
func final(err error) bool {
	return err == nil || !core.KindOf(err).Temporary() && core.KindOf(err) != core.KindMisdirected &&
		core.KindOf(err) != core.KindCanceled
}

// round asks each home node once: the next one when a node fails, or in parallel when a node is
// silent. It returns the final answer, or else the last answer, or else the last failure; and
// whether any node answered.
func (c *Client) round(ctx context.Context, do attempt) (last result, reached bool) {
	if !c.cfg.Connected() {
		return result{err: &unreached{"", core.E(core.KindUnavailable, "not connected")}}, false
	}
	addrs := c.order()
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel() // before wg.Wait: it ends the attempts that are no longer needed
	results := make(chan result, len(addrs))
	next, silent := 0, map[string]bool{}
	launch := func(done func()) {
		addr := addrs[next]
		next++
		silent[addr] = true
		wg.Go(func() {
			defer done()
			body, err := do(ctx, addr)
			results <- result{addr, body, err}
		})
	}
	if len(addrs) == 0 {
		return result{err: &unreached{"", core.E(core.KindUnavailable, "no home node known")}}, false
	}
	launch(func() {})
	tick := time.NewTicker(c.cfg.Hedge)
	defer tick.Stop()
	for len(silent) > 0 {
		select {
		case r := <-results:
			delete(silent, r.addr)
			if final(r.err) {
				c.outran(r.addr, silent)
				return r, true
			}
			var u *unreached
			answered := !errors.As(r.err, &u)
			if answered || !reached {
				last = r
			}
			reached = reached || answered
			if next < len(addrs) {
				launch(func() {})
			}
		case <-tick.C:
			if !c.cfg.Connected() {
				return result{err: &unreached{"", core.E(core.KindUnavailable, "connection lost")}}, false
			}
			if next < len(addrs) && c.mayHedge() {
				launch(func() { <-c.hedges })
			}
		case <-ctx.Done():
			return result{err: ctx.Err()}, reached
		}
	}
	return last, reached
}

func (c *Client) mayHedge() bool {
	select {
	case c.hedges <- struct{}{}:
		return true
	default:
		return false
	}
}

// order returns the candidates, with the suspect ones last.
func (c *Client) order() []string {
	addrs := slices.Clone(c.cfg.Candidates())
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.suspect) == 0 {
		return addrs
	}
	now := time.Now()
	for a, until := range c.suspect {
		if now.After(until) {
			delete(c.suspect, a)
		}
	}
	good := slices.DeleteFunc(slices.Clone(addrs), func(a string) bool { return !c.suspect[a].IsZero() })
	bad := slices.DeleteFunc(addrs, func(a string) bool { return c.suspect[a].IsZero() })
	return append(good, bad...)
}

// outran marks nodes that were silent while another answered: the next calls ask them last.
func (c *Client) outran(winner string, silent map[string]bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.suspect, winner)
	for a := range silent {
		c.suspect[a] = time.Now().Add(suspectFor)
	}
}
