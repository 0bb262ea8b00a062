package api

import (
	"context"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/authz"
)

// may reports whether the system roles of who asks allow p.
func (c *call) may(p authz.Permission) bool { return authz.Allows(p, c.user.Roles) }

// need refuses unless system roles allow p.
func (c *call) need(p authz.Permission) error {
	if c.may(p) {
		return nil
	}
	return forbidden()
}

// ownUser gives the user of the path, who must be who asks, or somebody they may edit.
func (c *call) ownUser() (core.UserID, error) {
	u, err := c.userID()
	if err != nil || c.isMe(u) {
		return u, err
	}
	return u, c.need(authz.EditOtherUsers)
}

// onlyMe gives the user of the path, who must be who asks.
func (c *call) onlyMe() (core.UserID, error) {
	u, err := c.userID()
	if err == nil && !c.isMe(u) {
		err = forbidden()
	}
	return u, err
}

// mayInTeam reports whether roles in the system or a team allow p.
func (c *call) mayInTeam(t core.TeamID, p authz.Permission) (bool, error) {
	return c.api.facts.mayInTeam(c.ctx, c.user, t, p)
}

func (f *facts) mayInTeam(ctx context.Context, u core.User, t core.TeamID, p authz.Permission) (bool, error) {
	if authz.Allows(p, u.Roles) {
		return true, nil
	}
	b, err := f.of(ctx, u.ID)
	if err != nil {
		return false, err
	}
	return authz.Allows(p, b.teams[t]), nil
}

// needInTeam refuses unless roles in the system or a team allow p.
func (c *call) needInTeam(t core.TeamID, p authz.Permission) error {
	return granted(c.mayInTeam(t, p))
}

// mayInChannel reports whether roles in the system, a channel or its team allow p.
func (c *call) mayInChannel(ch core.Channel, p authz.Permission) (bool, error) {
	return c.api.facts.mayInChannel(c.ctx, c.user, ch, p)
}

func (f *facts) mayInChannel(ctx context.Context, u core.User, ch core.Channel, p authz.Permission) (bool, error) {
	if authz.Allows(p, u.Roles) {
		return true, nil
	}
	b, err := f.of(ctx, u.ID)
	if err != nil {
		return false, err
	}
	return authz.Allows(p, b.channels[ch.ID], b.teams[ch.TeamID]), nil
}

// mayRead reports whether who asks may read a channel: its members, and people of the team
// when it is open.
func (c *call) mayRead(ch core.Channel) (bool, error) {
	ok, err := c.mayInChannel(ch, authz.ReadChannel)
	if ok || err != nil || ch.Type != core.ChannelOpen {
		return ok, err
	}
	return c.mayInTeam(ch.TeamID, authz.ReadPublicChannel)
}

func granted(ok bool, err error) error {
	if err == nil && !ok {
		return forbidden()
	}
	return err
}

// readable gives a channel that who asks may read. Its counters may be old.
func (c *call) readable(id core.ChannelID) (core.Channel, error) {
	ch, err := c.api.facts.channel(c.ctx, id)
	switch {
	case err != nil:
		return ch, err
	case ch.ID.IsZero():
		return ch, noChannel()
	}
	return ch, granted(c.mayRead(ch))
}

// readableChannel is readable for the channel of the path.
func (c *call) readableChannel() (core.Channel, error) {
	id, err := c.channelID()
	if err != nil {
		return core.Channel{}, err
	}
	return c.readable(id)
}

// readablePost gives the post of the path, if it lives and who asks may read it.
func (c *call) readablePost() (core.Post, error) {
	id, err := c.postID()
	if err != nil {
		return core.Post{}, err
	}
	return c.readablePostByID(id)
}

func (c *call) readablePostByID(id core.PostID) (core.Post, error) {
	p, ok, err := c.api.cfg.Read.Post(c.ctx, id)
	if err != nil {
		return p, err
	}
	if !ok || p.DeleteAt != 0 && !(c.flag("include_deleted") && c.may(authz.ManageSystem)) {
		return p, noPost()
	}
	_, err = c.readable(p.ChannelID)
	return p, err
}

// visibleTeam gives a team that who asks may see: its members, and everybody if it is open.
func (c *call) visibleTeam(id core.TeamID) (core.Team, error) {
	t, err := c.api.facts.team(c.ctx, id)
	switch {
	case err != nil:
		return t, err
	case t.ID.IsZero():
		return t, noTeam()
	case t.AllowOpenInvite && t.DeleteAt == 0 && c.may(authz.ListPublicTeams):
		return t, nil
	}
	return t, c.needInTeam(id, authz.ViewTeam)
}

// teamOf gives the team of the path, if who asks may do p in it.
func (c *call) teamOf(p authz.Permission) (core.Team, error) {
	id, err := c.teamID()
	if err != nil {
		return core.Team{}, err
	}
	t, err := c.api.facts.team(c.ctx, id)
	if err == nil && t.ID.IsZero() {
		err = noTeam()
	}
	if err != nil {
		return t, err
	}
	return t, c.needInTeam(id, p)
}
