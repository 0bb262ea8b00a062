package api

import (
	"context"
	"time"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/edge"
)

// Limits of waiting.
const (
	waitLimit     = 2 * time.Second // for this edge to reach what a client has seen
	askLimit      = 2 * time.Second // for home to say how far it is, and to get there
	missesKept    = 1024
	missRemembers = time.Second
)

// awaitSeen waits until this edge has what the client has seen, at whatever edge that was, so
// that nobody reads older state than before. Past the limit the answer says how old it is.
// (Having home answer instead is for later; this is the place.)
func (c *call) awaitSeen() {
	view := c.api.cfg.View
	want := c.clientPosition()
	have := view.Position()
	if high := core.Index(c.api.facts.high.Load()); high > have.Index && !have.Before(want) {
		want = core.Position{Epoch: have.Epoch, Index: high} // the database came back with less
	}
	if have.Before(want) {
		ctx, cancel := context.WithTimeout(c.ctx, waitLimit)
		_ = view.WaitApplied(ctx, want.Index) // what counts is where we stand after it
		cancel()
		c.seen = want
		if view.Position().Before(want) {
			c.stale = max(view.Link().Lag, time.Millisecond)
		}
	}
	c.api.facts.catchUp()
}

// clientPosition gives the position that a request says its client has seen; zero when it says
// none that can be read.
func (c *call) clientPosition() core.Position {
	s := c.r.Header.Get(headerPosition)
	if s == "" {
		cookie, err := c.r.Cookie(cookiePosition)
		if err != nil {
			return core.Position{}
		}
		s = cookie.Value
	}
	pos, _ := core.ParsePosition(s)
	return pos
}

// positionQuestion asks home how far it is.
const positionQuestion = "position"

// AnswerPosition answers the question that edges ask home before they say that something does
// not exist. It is for the node at home.
func AnswerPosition(view edge.View) func(ctx context.Context, question []byte) ([]byte, error) {
	return func(_ context.Context, question []byte) ([]byte, error) {
		if string(question) != positionQuestion {
			return nil, core.E(core.KindInvalid, "Unknown question.")
		}
		return []byte(view.Position().String()), nil
	}
}

// catchUpWithHome returns once this edge has everything that home had when it was called.
func (a *API) catchUpWithHome(ctx context.Context) error { return a.home.ask(ctx, a.askHome) }

func (a *API) askHome(ctx context.Context) error {
	answer, err := a.cfg.Asker.Ask(ctx, []byte(positionQuestion))
	if err != nil {
		return err
	}
	pos, err := core.ParsePosition(string(answer))
	if err != nil {
		return err
	}
	if err := a.cfg.View.WaitApplied(ctx, pos.Index); err != nil {
		return err
	}
	a.facts.catchUp()
	return nil
}

// caughtUpWithHome catches up before the client is told that something does not exist, and
// reports whether it is worth looking again. The same miss, by key, waits a second.
func (c *call) caughtUpWithHome(key string) bool {
	a := c.api
	if a.cfg.Asker == nil {
		return false
	}
	if a.misses.Has(key, time.Now()) {
		return false
	}
	a.misses.Add(key, time.Now())
	ctx, cancel := context.WithTimeout(c.ctx, askLimit)
	defer cancel()
	return a.catchUpWithHome(ctx) == nil
}
