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
			return scope, core.E(core.KindUnavailable, "").WithCause(err) // not a timeout: nothing was proposed
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
	return placeOf(w, id, w.Places.ChannelOfPost)
}

// ChannelOfFile implements command.Places.
func (w *whereabouts) ChannelOfFile(id core.FileID) core.ChannelID {
	return placeOf(w, id, w.Places.ChannelOfFile)
}

// ChannelOfUpload implements command.Places.
func (w *whereabouts) ChannelOfUpload(id core.UploadID) core.ChannelID {
	return placeOf(w, id, w.Places.ChannelOfUpload)
}

func placeOf[T any](w *whereabouts, id core.ID[T], find func(core.ID[T]) core.ChannelID) core.ChannelID {
	ch, err := w.access.places.Get(w.ctx, id, struct{}{}, func(context.Context) (core.ChannelID, bool, error) {
		ch := find(id)
		return ch, !ch.IsZero(), w.Err
	})
	if err != nil && w.Err == nil {
		w.Err = err
	}
	return ch
}

// Placed remembers where a post, a file or an upload is: who reads it may go on to change it.
func (a *Access) Placed(ctx context.Context, id [16]byte, ch core.ChannelID) {
	_, _ = a.places.Get(ctx, id, struct{}{}, func(context.Context) (core.ChannelID, bool, error) { return ch, true, nil })
}
