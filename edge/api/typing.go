package api

import (
	"context"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/authz"
)

func (a *API) publishTyping(c *call) error {
	user, err := c.onlyMe()
	if err != nil {
		return err
	}
	var in struct {
		ChannelID core.ChannelID `json:"channel_id"`
		ParentID  core.PostID    `json:"parent_id"`
	}
	if err := c.decode(&in); err != nil {
		return err
	}
	if err := a.MayPost(c.ctx, user, in.ChannelID); err != nil {
		return err
	}
	a.cfg.Typing(user, in.ChannelID, in.ParentID)
	return c.done()
}

// MayPost refuses unless a user may post to a channel. The WebSocket asks it too.
func (a *API) MayPost(ctx context.Context, user core.UserID, channel core.ChannelID) error {
	a.facts.catchUp()
	u, err := a.facts.user(ctx, user)
	if err != nil {
		return err
	}
	ch, err := a.facts.channel(ctx, channel)
	switch {
	case err != nil:
		return err
	case u.ID.IsZero() || u.DeleteAt != 0 || ch.ID.IsZero() || ch.DeleteAt != 0:
		return forbidden()
	}
	return granted(a.facts.mayInChannel(ctx, u, ch, authz.CreatePost))
}
