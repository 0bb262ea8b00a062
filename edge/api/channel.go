package api

import (
	"time"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/authz"
	"github.com/nearside/nearside/core/command"
)

func (a *API) createChannel(c *call) error {
	var in core.Channel
	if err := c.decode(&in); err != nil {
		return err
	}
	ch := core.Channel{
		ID: core.NewID[core.Channel](time.Now()), TeamID: in.TeamID, Type: in.Type, Name: lower(in.Name),
		DisplayName: in.DisplayName, Header: in.Header, Purpose: in.Purpose,
	}
	if ch.TeamID.IsZero() {
		return badParam("team_id")
	}
	if err := ch.Check(); err != nil {
		return err
	}
	var out core.Channel
	if err := c.propose(ch.TeamID, &command.CreateChannel{Channel: ch}, &out); err != nil {
		return err
	}
	return c.created(out)
}

func (a *API) getChannel(c *call) error {
	known, err := c.readableChannel()
	if err != nil {
		return err
	}
	ch, ok, err := a.cfg.Read.Channel(c.ctx, known.ID) // with counters as they are now
	if err == nil && !ok {
		err = noChannel()
	}
	return c.list(ch, err)
}

func (a *API) channelByName(c *call) error {
	id, err := c.teamID()
	if err != nil {
		return err
	}
	return a.oneChannelByName(c, id)
}

func (a *API) channelByTeamName(c *call) error {
	t, ok, err := a.cfg.Read.TeamByName(c.ctx, lower(c.param("team_name")))
	if err == nil && !ok {
		err = core.E(core.KindNotFound, "Unable to find the team.").WithID("app.team.get_by_name.missing.app_error")
	}
	if err != nil {
		return err
	}
	return a.oneChannelByName(c, t.ID)
}

// oneChannelByName answers with a channel of a team. One that may not be read is said not to
// exist: its name may be a secret.
func (a *API) oneChannelByName(c *call, team core.TeamID) error {
	missing := core.E(core.KindNotFound, "Channel does not exist.").WithID("app.channel.get_by_name.missing.app_error")
	ch, ok, err := a.cfg.Read.ChannelByName(c.ctx, team, lower(c.param("channel_name")))
	if err == nil && (!ok || ch.DeleteAt != 0 && !c.flag("include_deleted")) {
		err = missing
	}
	if err != nil {
		return err
	}
	may, err := c.mayRead(ch)
	switch {
	case err != nil:
		return err
	case !may && ch.Type == core.ChannelOpen:
		return forbidden()
	case !may:
		return missing
	}
	return c.ok(ch)
}

func (a *API) patchChannel(c *call) error {
	known, err := c.readableChannel()
	if err != nil {
		return err
	}
	var in struct {
		Name        *string `json:"name"`
		DisplayName *string `json:"display_name"`
		Header      *string `json:"header"`
		Purpose     *string `json:"purpose"`
	}
	if err := c.decode(&in); err != nil {
		return err
	}
	cmd := &command.PatchChannel{ChannelID: known.ID, Name: in.Name, DisplayName: in.DisplayName, Header: in.Header, Purpose: in.Purpose}
	var out core.Channel
	err = c.propose(known.TeamID, cmd, &out)
	return c.list(out, err)
}

func (a *API) deleteChannel(c *call) error {
	known, err := c.readableChannel()
	if err != nil {
		return err
	}
	if c.flag("permanent") {
		return notBuilt("permanent deletion of channels")
	}
	if err := c.propose(known.TeamID, &command.DeleteChannel{ChannelID: known.ID}, nil); err != nil {
		return err
	}
	return c.done()
}

func (a *API) channelStats(c *call) error {
	ch, err := c.readableChannel()
	if err != nil {
		return err
	}
	members, pinned, err := a.cfg.Read.ChannelStats(c.ctx, ch.ID)
	if err != nil {
		return err
	}
	files := int64(-1) // counting may be slow, and not every client shows it
	if !c.flag("exclude_files_count") {
		if files, err = a.cfg.Read.FilesInChannel(c.ctx, ch.ID); err != nil {
			return err
		}
	}
	return c.ok(map[string]any{
		"channel_id": ch.ID, "member_count": members, "guest_count": 0, "pinnedpost_count": pinned, "files_count": files,
	})
}

func (a *API) publicChannels(c *call) error {
	t, err := c.teamOf(authz.ListTeamChannels)
	if err != nil {
		return err
	}
	return c.list(a.cfg.Read.PublicChannels(c.ctx, t.ID, c.pageOf()))
}

func (a *API) channelsOfUser(c *call) error { return a.channelsOf(c, core.TeamID{}) }

func (a *API) channelsOfUserInTeam(c *call) error {
	t, err := c.teamOf(authz.ViewTeam)
	if err != nil {
		return err
	}
	return a.channelsOf(c, t.ID)
}

func (a *API) channelsOf(c *call, team core.TeamID) error {
	user, err := c.ownUser()
	if err != nil {
		return err
	}
	since, err := c.millis("last_delete_at")
	if err != nil {
		return err
	}
	return c.list(a.cfg.Read.ChannelsOf(c.ctx, user, team, c.flag("include_deleted"), since))
}
