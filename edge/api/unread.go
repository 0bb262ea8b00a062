package api

import (
	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/authz"
	"github.com/nearside/nearside/core/read"
)

// teamUnreads is what waits for somebody in a team.
type teamUnreads struct {
	TeamID             core.TeamID `json:"team_id"`
	MsgCount           int64       `json:"msg_count"`
	MentionCount       int64       `json:"mention_count"`
	MsgCountRoot       int64       `json:"msg_count_root"`
	MentionCountRoot   int64       `json:"mention_count_root"`
	ThreadCount        int64       `json:"thread_count"`
	ThreadMentionCount int64       `json:"thread_mention_count"`
	ThreadUrgentCount  int64       `json:"thread_urgent_mention_count"`
}

// add counts what waits in a channel. Muted channels count by their mentions alone.
func (u *teamUnreads) add(m *read.Membership) {
	if m.NotifyProps["mark_unread"] != "mention" {
		u.MsgCount += max(0, m.Total-m.MsgCount)
		u.MsgCountRoot += max(0, m.TotalRoot-m.MsgCountRoot)
	}
	u.MentionCount += m.MentionCount
	u.MentionCountRoot += m.MentionCountRoot
}

func (a *API) teamsUnread(c *call) error {
	user, err := c.ownUser()
	if err != nil {
		return err
	}
	without, err := queryID[core.Team](c, "exclude_team")
	if err != nil {
		return err
	}
	members, err := a.cfg.Read.MembershipsIn(c.ctx, user, core.TeamID{}, read.Page{})
	if err != nil {
		return err
	}
	out := []teamUnreads{}
	place := map[core.TeamID]int{}
	for i := range members {
		m := &members[i]
		if m.TeamID == without || m.TeamID.IsZero() || m.DeleteAt != 0 {
			continue
		}
		if _, ok := place[m.TeamID]; !ok {
			place[m.TeamID] = len(out)
			out = append(out, teamUnreads{TeamID: m.TeamID})
		}
		out[place[m.TeamID]].add(m)
	}
	return c.ok(out)
}

func (a *API) teamUnread(c *call) error {
	user, err := c.ownUser()
	if err != nil {
		return err
	}
	t, err := c.teamOf(authz.ViewTeam)
	if err != nil {
		return err
	}
	members, err := a.cfg.Read.MembershipsIn(c.ctx, user, t.ID, read.Page{})
	if err != nil {
		return err
	}
	out := teamUnreads{TeamID: t.ID}
	for i := range members {
		if members[i].TeamID == t.ID && members[i].DeleteAt == 0 {
			out.add(&members[i])
		}
	}
	return c.ok(out)
}

func (a *API) channelUnread(c *call) error {
	user, err := c.ownUser()
	if err != nil {
		return err
	}
	if _, err := c.readableChannel(); err != nil {
		return err
	}
	id, _ := c.channelID()
	ch, _, err := a.cfg.Read.Channel(c.ctx, id)
	if err != nil {
		return err
	}
	m, ok, err := a.cfg.Read.ChannelMember(c.ctx, id, user)
	switch {
	case err != nil:
		return err
	case !ok:
		return noChannelMember()
	}
	return c.ok(map[string]any{
		"team_id": ch.TeamID, "channel_id": ch.ID,
		"msg_count": max(0, ch.TotalMsgCount-m.MsgCount), "msg_count_root": max(0, ch.TotalMsgCountRoot-m.MsgCountRoot),
		"mention_count": m.MentionCount, "mention_count_root": m.MentionCountRoot, "urgent_mention_count": 0,
		"last_viewed_at": m.LastViewedAt, "notify_props": m.NotifyProps,
	})
}
