package api

import (
	"context"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/authz"
)

// MayPost fails unless a user may post in a channel, for the WebSocket's typing.
func (a *API) MayPost(ctx context.Context, u core.UserID, id core.ChannelID) error {
	a.facts.catchUp()
	user, err := a.facts.user(ctx, u)
	if err != nil {
		return err
	}
	ch, err := a.facts.channel(ctx, id)
	if err != nil {
		return err
	}
	if user.ID.IsZero() || ch.ID.IsZero() {
		return forbidden()
	}
	c := &call{api: a, ctx: ctx, user: user}
	return granted(c.mayInChannel(ch, authz.CreatePost))
}
