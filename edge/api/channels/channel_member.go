package channels

import (
	"context"
	"net/http"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/command"
	"github.com/nearside/nearside/core/read"
	"github.com/nearside/nearside/edge/api"
	"github.com/nearside/nearside/edge/api/access"
)

// maxBatchMembers is how many users one request may add to a channel.
const maxBatchMembers = 100

// hidden replaces a time that is private.
const hidden = -1

// shown is a membership without what only its user may know: when they last viewed the channel.
func shown(c *api.Call, m core.ChannelMember) core.ChannelMember {
	if !c.IsMe(m.UserID) {
		m.LastViewedAt, m.LastUpdateAt = hidden, hidden
	}
	return m
}

func shownMembers(c *api.Call, list []core.ChannelMember, err error) ([]core.ChannelMember, error) {
	for i := range list {
		list[i] = shown(c, list[i])
	}
	return list, err
}

func (s *Service) listMembers(c *api.Call, ch core.Channel) ([]core.ChannelMember, error) {
	list, err := s.Read.ChannelMembers(c, ch.ID, c.Page())
	return shownMembers(c, list, err)
}

func (s *Service) membersByIDs(c *api.Call, ch core.Channel, ids []core.UserID) ([]core.ChannelMember, error) {
	list, err := s.Read.ChannelMembersByIDs(c, ch.ID, ids)
	return shownMembers(c, list, err)
}

type newMember struct {
	UserID  string   `json:"user_id"`
	UserIDs []string `json:"user_ids"`
}

func (s *Service) addMember(c *api.Call, id core.ChannelID, in newMember) (api.Answer, error) {
	single := in.UserID != ""
	if single {
		in.UserIDs = []string{in.UserID}
		if in.UserID == "me" {
			in.UserIDs[0] = c.User.ID.String()
		}
	}
	users, err := api.ParseIDs[core.User](in.UserIDs, "user_id or user_ids", maxBatchMembers)
	if err != nil {
		return nil, err
	}
	find := func(ctx context.Context, u core.UserID) (core.ChannelMember, bool, error) {
		return s.Read.ChannelMember(ctx, id, u)
	}
	out := make([]core.ChannelMember, len(users))
	for i, user := range users {
		m, err := api.Changed(c, &command.AddChannelMember{ChannelID: id, UserID: user}, find, user)
		if err != nil {
			return nil, err
		}
		out[i] = shown(c, m)
	}
	if single {
		return api.Value(http.StatusCreated, out[0]), nil
	}
	return api.Value(http.StatusCreated, out), nil
}

func (s *Service) getMember(c *api.Call, in api.Two[core.Channel, core.UserID]) (core.ChannelMember, error) {
	m, err := api.Found[core.ChannelMember](access.NoChannelMember)(s.Read.ChannelMember(c, in.First.ID, in.Second))
	return shown(c, m), err
}

func (s *Service) removeMember(c *api.Call, in api.Two[core.ChannelID, core.UserID]) (api.Done, error) {
	return api.Done{}, c.Propose(&command.RemoveChannelMember{ChannelID: in.First, UserID: in.Second}, nil)
}

func (s *Service) membersOfUser(c *api.Call, in api.Two[core.UserID, core.Team]) (api.Answer, error) {
	return api.InPieces(c, api.Array, func(m *read.Membership) []byte { return api.JSON(m.ChannelMember) }, func(each func([]read.Membership) error) error {
		return s.Read.EachMembershipIn(c, in.First, in.Second.ID, read.Page{}, each)
	})
}

// allMembersOfUser answers with a user's memberships in all teams: a page of them, or all of them
// as lines of JSON for page -1.
func (s *Service) allMembersOfUser(c *api.Call, user core.UserID) (api.Answer, error) {
	form, page := api.Array, c.Page()
	if c.Query("page") == "-1" {
		form, page = api.Lines, read.Page{}
	} else if page.Size == 0 {
		return api.Value(http.StatusOK, []int{}), nil
	}
	return api.InPieces(c, form, memberWithTeam, func(each func([]read.Membership) error) error {
		return s.Read.EachMembershipIn(c, user, core.TeamID{}, page, each)
	})
}

// memberWithTeam encodes a membership with the names of its team.
func memberWithTeam(m *read.Membership) []byte {
	member := api.JSON(m.ChannelMember)
	team := api.JSON(struct {
		Name     string `json:"team_name"`
		Display  string `json:"team_display_name"`
		UpdateAt int64  `json:"team_update_at"`
	}{m.TeamName, m.TeamDisplayName, m.TeamUpdateAt})
	return append(append(member[:len(member)-1], ','), team[1:]...)
}

type view struct {
	ChannelID     core.ChannelID `json:"channel_id"`
	PrevChannelID core.ChannelID `json:"prev_channel_id"`
}

// viewed is the times up to which channels have been read.
type viewed struct {
	Status string                   `json:"status"`
	Times  map[core.ChannelID]int64 `json:"last_viewed_at_times"`
}

func (s *Service) viewChannel(c *api.Call, _ core.UserID, in view) (viewed, error) {
	var channels []core.ChannelID
	for _, id := range []core.ChannelID{in.ChannelID, in.PrevChannelID} {
		if !id.IsZero() {
			channels = append(channels, id)
		}
	}
	answer := viewed{"OK", map[core.ChannelID]int64{}}
	if len(channels) == 0 {
		return answer, nil
	}
	times, err := s.markRead(c, channels)
	for i := range min(len(channels), len(times)) {
		answer.Times[channels[i]] = times[i]
	}
	return answer, err
}

// markRead has channels marked as read and returns the times up to which they are. Clients say again and
// again that they look at a channel; home is told only if something was posted in it since the last time.
func (s *Service) markRead(c *api.Call, channels []core.ChannelID) ([]int64, error) {
	ask := func() (times []int64, err error) {
		var out command.Viewed
		err = c.Propose(&command.ViewChannel{Channels: channels}, &out)
		return out.Times, err
	}
	if len(channels) > 1 {
		return ask()
	}
	if member, err := s.Belongs(c, channels[0]); err != nil || !member {
		return ask() // this edge may not know of the membership yet: home decides
	}
	at, err := s.read.Get(c, channels[0], c.User.ID, func(context.Context) (int64, bool, error) {
		times, err := ask()
		if err != nil || len(times) == 0 {
			return 0, false, err
		}
		return times[0], !c.Behind(), nil
	})
	return []int64{at}, err
}
