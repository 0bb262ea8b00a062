package api

import (
	"context"
	"time"

	"github.com/nearside/nearside/core"
)

// awaitSeen waits until this edge has what the client has seen, at any edge, so that a client
// never reads older state than before. After the limit, the answer says how old it is.
func (c *Call) awaitSeen() {
	defer since(time.Now(), &c.Spent.CatchUp)
	local := c.api.local
	want := c.clientPosition()
	have := local.view.Position()
	if core.Index(local.high.Load()) > have.Index { // a history that replaced another one may be shorter
		local.CatchUp()
		have = local.view.Position()
	}
	if high := core.Index(local.high.Load()); high > have.Index && !have.Before(want) {
		want = core.Position{Epoch: have.Epoch, Index: high} // the database came back with less
	}
	if have.Before(want) {
		ctx, cancel := context.WithTimeout(c.Context, waitLimit)
		_ = local.view.WaitApplied(ctx, want.Index) // only the position after it counts
		cancel()
		c.seen = want
		if local.view.Position().Before(want) {
			c.stale = max(local.view.Link().Lag, time.Millisecond)
		}
	}
	local.CatchUp()
}

// clientPosition returns the position that the client has seen, as its request says; zero if
// there is none or it is malformed.
func (c *Call) clientPosition() core.Position {
	s := c.Request.Header.Get(headerPosition)
	if s == "" {
		cookie, err := c.Request.Cookie(c.positionCookie())
		if err != nil {
			return core.Position{}
		}
		s = cookie.Value
	}
	pos, _ := core.ParsePosition(s)
	return pos
}

// CaughtUpWithHome catches up before the client is told that something does not exist, and
// reports whether to look again. The same miss, by key, is not repeated for a second.
func (c *Call) CaughtUpWithHome(key string) bool {
	l := c.api.local
	if l.asker == nil || l.misses.Has(key, time.Now()) {
		return false
	}
	l.misses.Add(key, time.Now())
	ctx, cancel := context.WithTimeout(c.Context, askLimit)
	defer cancel()
	return l.CatchUpWithHome(ctx) == nil
}

// Newest catches up with home. If home cannot be reached, the answer says that it may be old.
func (c *Call) Newest() {
	ctx, cancel := context.WithTimeout(c.Context, askLimit)
	defer cancel()
	if err := c.api.local.CatchUpWithHome(ctx); err != nil {
		c.stale = max(c.api.local.view.Link().Lag, time.Millisecond)
	}
}
