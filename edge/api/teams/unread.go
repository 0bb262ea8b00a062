package teams

import (
	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/read"
	"github.com/nearside/nearside/edge/api"
)

// teamUnreads is a user's unread messages and mentions in a team.
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

// add adds the unread messages of a channel. Of muted channels only mentions count.
func (u *teamUnreads) add(m *read.Membership) {
	if m.NotifyProps["mark_unread"] != "mention" {
		u.MsgCount += max(0, m.Total-m.MsgCount)
		u.MsgCountRoot += max(0, m.TotalRoot-m.MsgCountRoot)
	}
	u.MentionCount += m.MentionCount
	u.MentionCountRoot += m.MentionCountRoot
}

func (s *Service) teamsUnread(c *api.Call, user core.UserID) (out []teamUnreads, err error) {
	without, err := api.QueryID[core.Team](c, "exclude_team")
	if err != nil {
		return nil, err
	}
	members, err := s.Read.MembershipsIn(c, user, core.TeamID{}, read.Page{})
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
	return out, err
}

func (s *Service) teamUnread(c *api.Call, in api.Two[core.UserID, core.Team]) (teamUnreads, error) {
	members, err := s.Read.MembershipsIn(c, in.First, in.Second.ID, read.Page{})
	out := teamUnreads{TeamID: in.Second.ID}
	for i := range members {
		if members[i].TeamID == out.TeamID && members[i].DeleteAt == 0 {
			out.add(&members[i])
		}
	}
	return out, err
}
