package access

import (
	"context"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/authz"
	"github.com/nearside/nearside/edge/api"
)

// May reports whether the caller's system roles allow p.
func May(c *api.Call, p authz.Permission) bool { return authz.Allows(p, c.User.Roles) }

// Need refuses if the caller's system roles do not allow p.
func Need(c *api.Call, p authz.Permission) error { return Granted(May(c, p), nil) }

// Granted refuses if ok is false.
func Granted(ok bool, err error) error {
	if err == nil && !ok {
		return api.Forbidden
	}
	return err
}

// MayInTeam reports whether the caller's roles in the system or a team allow p.
func (a *Access) MayInTeam(c *api.Call, t core.TeamID, p authz.Permission) (bool, error) {
	if May(c, p) {
		return true, nil
	}
	b, err := a.of(c, c.User.ID)
	if err != nil {
		return false, err
	}
	return authz.Allows(p, b.teams[t]), nil
}

// NeedInTeam refuses if the caller's roles in the system or a team do not allow p.
func (a *Access) NeedInTeam(c *api.Call, t core.TeamID, p authz.Permission) error {
	return Granted(a.MayInTeam(c, t, p))
}

// MayInChannel reports whether the caller's roles in the system, a channel or its team allow p.
func (a *Access) MayInChannel(c *api.Call, ch core.Channel, p authz.Permission) (bool, error) {
	return a.mayInChannel(c, c.User, ch, p)
}

func (a *Access) mayInChannel(ctx context.Context, u core.User, ch core.Channel, p authz.Permission) (bool, error) {
	if authz.Allows(p, u.Roles) {
		return true, nil
	}
	b, err := a.of(ctx, u.ID)
	if err != nil {
		return false, err
	}
	return authz.Allows(p, b.channels[ch.ID], b.teams[ch.TeamID]), nil
}

// MayRead reports whether the caller may read a channel: its members may, and members of the team
// if the channel is open.
func (a *Access) MayRead(c *api.Call, ch core.Channel) (bool, error) {
	ok, err := a.MayInChannel(c, ch, authz.ReadChannel)
	if ok || err != nil || ch.Type != core.ChannelOpen {
		return ok, err
	}
	return a.MayInTeam(c, ch.TeamID, authz.ReadPublicChannel)
}

// Readable returns a channel that the caller may read. Its counters may be old.
func (a *Access) Readable(c *api.Call, id core.ChannelID) (core.Channel, error) {
	ch, err := a.Channel(c, id)
	switch {
	case err != nil:
		return ch, err
	case ch.ID.IsZero():
		return ch, NoChannel
	}
	return ch, Granted(a.MayRead(c, ch))
}

// ReadablePost returns a post if it exists and the caller may read it.
func (a *Access) ReadablePost(c *api.Call, id core.PostID) (core.Post, error) {
	p, ok, err := a.Read.Post(c, id)
	if err != nil {
		return p, err
	}
	if !ok || p.DeleteAt != 0 && !(c.Flag("include_deleted") && May(c, authz.ManageSystem)) {
		return p, NoPost
	}
	a.Placed(c, p.ID, p.ChannelID)
	_, err = a.Readable(c, p.ChannelID)
	return p, err
}

// VisibleTeam returns a team that the caller may see: its members may, and everybody if it is
// open.
func (a *Access) VisibleTeam(c *api.Call, id core.TeamID) (core.Team, error) {
	t, err := a.Team(c, id)
	switch {
	case err != nil:
		return t, err
	case t.ID.IsZero():
		return t, NoTeam
	case t.AllowOpenInvite && t.DeleteAt == 0 && May(c, authz.ListPublicTeams):
		return t, nil
	}
	return t, a.NeedInTeam(c, id, authz.ViewTeam)
}
