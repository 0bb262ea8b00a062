package access

import (
	"context"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/command"
	"github.com/nearside/nearside/core/read"
)

// Scope returns the scope of a command. If a command names something that this edge does not
// know, it may have just been made elsewhere: home refuses a wrong scope, so the edge first
// catches up.
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

// whereabouts implements command.Places from the caches of this edge.
type whereabouts struct {
	*read.Places
	ctx     context.Context
	access  *Access
	unknown bool // something is not in the caches
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

// Placed records the channel of a post, a file or an upload: a user who reads it may change it next.
func (a *Access) Placed(ctx context.Context, id [16]byte, ch core.ChannelID) {
	_, _ = a.places.Get(ctx, id, struct{}{}, func(context.Context) (core.ChannelID, bool, error) { return ch, true, nil })
}
