package api

import (
	"bytes"
	"net/http"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/authz"
	"github.com/nearside/nearside/core/command"
	"github.com/nearside/nearside/core/read"
)

// maxBatchChannelMembers is how many people one request may add to a channel.
const maxBatchChannelMembers = 100

// hidden stands where a time is nobody else's business.
const hidden = -1

// shownMember is a membership without what only its user may know: when they were there last.
func (c *call) shownMember(m core.ChannelMember) core.ChannelMember {
	if !c.isMe(m.UserID) {
		m.LastViewedAt, m.LastUpdateAt = hidden, hidden
	}
	return m
}

func (c *call) shownMembers(list []core.ChannelMember, err error) error {
	for i := range list {
		list[i] = c.shownMember(list[i])
	}
	return c.list(list, err)
}

func (a *API) listChannelMembers(c *call) error {
	ch, err := c.readableChannel()
	if err != nil {
		return err
	}
	return c.shownMembers(a.cfg.Read.ChannelMembers(c.ctx, ch.ID, c.pageOf()))
}

func (a *API) channelMembersByIDs(c *call) error {
	ch, err := c.readableChannel()
	if err != nil {
		return err
	}
	ids, err := bodyIDs[core.User](c, "user_ids")
	if err != nil {
		return err
	}
	return c.shownMembers(a.cfg.Read.ChannelMembersByIDs(c.ctx, ch.ID, ids))
}

func (a *API) addChannelMember(c *call) error {
	id, err := c.channelID()
	if err != nil {
		return err
	}
	var in struct {
		UserID  string   `json:"user_id"`
		UserIDs []string `json:"user_ids"`
	}
	if err := c.decode(&in); err != nil {
		return err
	}
	single := in.UserID != ""
	if single {
		in.UserIDs = []string{in.UserID}
		if in.UserID == "me" {
			in.UserIDs[0] = c.user.ID.String()
		}
	}
	users, err := parseIDs[core.User](in.UserIDs, "user_id or user_ids", maxBatchChannelMembers)
	if err != nil {
		return err
	}
	ch, err := a.facts.channel(c.ctx, id)
	if err != nil {
		return err
	}
	out := make([]core.ChannelMember, len(users))
	for i, user := range users {
		if err := c.propose(ch.TeamID, &command.AddChannelMember{ChannelID: id, UserID: user}, &out[i]); err != nil {
			return err
		}
		out[i] = c.shownMember(out[i])
	}
	if single {
		return c.created(out[0])
	}
	return c.created(out)
}

func (a *API) getChannelMember(c *call) error {
	ch, err := c.readableChannel()
	if err != nil {
		return err
	}
	user, err := c.userID()
	if err != nil {
		return err
	}
	m, ok, err := a.cfg.Read.ChannelMember(c.ctx, ch.ID, user)
	if err == nil && !ok {
		err = noChannelMember()
	}
	return c.list(c.shownMember(m), err)
}

func (a *API) removeChannelMember(c *call) error {
	id, err := c.channelID()
	if err != nil {
		return err
	}
	user, err := c.userID()
	if err != nil {
		return err
	}
	ch, err := a.facts.channel(c.ctx, id)
	if err != nil {
		return err
	}
	if err := c.propose(ch.TeamID, &command.RemoveChannelMember{ChannelID: id, UserID: user}, nil); err != nil {
		return err
	}
	return c.done()
}

func (a *API) channelMembersOfUser(c *call) error {
	user, err := c.ownUser()
	if err != nil {
		return err
	}
	t, err := c.teamOf(authz.ViewTeam)
	if err != nil {
		return err
	}
	list, err := a.cfg.Read.MembershipsIn(c.ctx, user, t.ID, read.Page{})
	if err != nil {
		return err
	}
	out := make([]core.ChannelMember, len(list))
	for i := range list {
		out[i] = list[i].ChannelMember
	}
	return c.ok(out)
}

// allChannelMembersOfUser answers with memberships in all teams: a page of them, or all in
// lines of JSON, which is how clients ask for page -1.
func (a *API) allChannelMembersOfUser(c *call) error {
	user, err := c.ownUser()
	if err != nil {
		return err
	}
	lines, page := c.query("page") == "-1", c.pageOf()
	if lines {
		page = read.Page{}
	} else if page.Size == 0 {
		return c.ok([]int{})
	}
	list, err := a.cfg.Read.MembershipsIn(c.ctx, user, core.TeamID{}, page)
	if err != nil {
		return err
	}
	encoded := make([][]byte, len(list))
	for i := range list {
		encoded[i] = memberWithTeam(&list[i])
	}
	c.status = http.StatusOK
	if lines {
		c.header().Set("Content-Type", "application/x-ndjson")
		c.body = bytes.Join(encoded, []byte("\n"))
		return nil
	}
	c.body = append(append([]byte("["), bytes.Join(encoded, []byte(","))...), ']')
	return nil
}

// memberWithTeam encodes a membership with the names of its team.
func memberWithTeam(m *read.Membership) []byte {
	member := mustJSON(m.ChannelMember)
	team := mustJSON(struct {
		Name     string `json:"team_name"`
		Display  string `json:"team_display_name"`
		UpdateAt int64  `json:"team_update_at"`
	}{m.TeamName, m.TeamDisplayName, m.TeamUpdateAt})
	return append(append(member[:len(member)-1], ','), team[1:]...)
}

func (a *API) viewChannel(c *call) error {
	if _, err := c.onlyMe(); err != nil {
		return err
	}
	var in struct {
		ChannelID     core.ChannelID `json:"channel_id"`
		PrevChannelID core.ChannelID `json:"prev_channel_id"`
	}
	if err := c.decode(&in); err != nil {
		return err
	}
	var channels []core.ChannelID
	for _, id := range []core.ChannelID{in.ChannelID, in.PrevChannelID} {
		if !id.IsZero() {
			channels = append(channels, id)
		}
	}
	times := map[core.ChannelID]int64{}
	if len(channels) > 0 {
		var out command.Viewed
		if err := c.propose(core.TeamID{}, &command.ViewChannel{Channels: channels}, &out); err != nil {
			return err
		}
		for i := range min(len(channels), len(out.Times)) {
			times[channels[i]] = out.Times[i]
		}
	}
	return c.ok(map[string]any{"status": "OK", "last_viewed_at_times": times})
}
