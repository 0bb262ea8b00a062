package access

import (
	"context"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/command"
	"github.com/nearside/nearside/core/read"
)

// Scope gives whom a command concerns. A command that names what this edge has not heard of may be
// about something that was made elsewhere a moment ago: home would refuse another scope than its own, so
// the edge first catches up.
func (a *Access) Scope(ctx context.Context, cmd command.Command) (core.Scope, error) {
	at := &whereabouts{Places: a.Read.Places(ctx), ctx: ctx, access: a}
	scope := command.ScopeOf(cmd, at)
	if at.Err == nil && at.unknown {
		if err := a.Local.CatchUpWithHome(ctx); err != nil {
			return scope, err
		}
		scope = command.ScopeOf(cmd, at)
	}
	return scope, at.Err
}

// whereabouts implements command.Places with what this edge has in memory.
type whereabouts struct {
	*read.Places
	ctx     context.Context
	access  *Access
	unknown bool // something is not known here
}

// TeamOfChannel implements command.Places.
func (w *whereabouts) TeamOfChannel(id core.ChannelID) core.TeamID {
	if id.IsZero() { // of a file, an upload or a post that is not known
		w.unknown = true
		return core.TeamID{}
	}
	ch, err := w.access.Channel(w.ctx, id)
	if err != nil && w.Err == nil {
		w.Err = err
	}
	w.unknown = w.unknown || ch.ID.IsZero()
	return ch.TeamID
}

// ChannelOfPost implements command.Places.
func (w *whereabouts) ChannelOfPost(id core.PostID) core.ChannelID {
	ch, err := w.access.places.Get(w.ctx, id, struct{}{}, func(context.Context) (core.ChannelID, bool, error) {
		ch := w.Places.ChannelOfPost(id)
		return ch, !ch.IsZero(), w.Err
	})
	if err != nil && w.Err == nil {
		w.Err = err
	}
	return ch
}

// placed remembers where a post is: who reads it may go on to change it.
func (a *Access) placed(ctx context.Context, p core.Post) {
	_, _ = a.places.Get(ctx, p.ID, struct{}{}, func(context.Context) (core.ChannelID, bool, error) { return p.ChannelID, true, nil })
}
