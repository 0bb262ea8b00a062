package channels

import (
	"time"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/command"
	"github.com/nearside/nearside/core/read"
	"github.com/nearside/nearside/edge/api"
	"github.com/nearside/nearside/edge/api/access"
)

// unbuilt has the fields of a channel that a client may not set yet.
type unbuilt struct {
	SchemeID         api.Unbuilt `json:"scheme_id"`
	GroupConstrained api.Unbuilt `json:"group_constrained"`
	BannerInfo       api.Unbuilt `json:"banner_info"`
	Autotranslation  api.Unbuilt `json:"autotranslation"`
	DefaultCategory  api.Unbuilt `json:"default_category_name"`
}

type newChannel struct {
	core.Channel
	unbuilt
}

type channelPatch struct {
	core.ChannelPatch
	unbuilt
}

func (s *Service) createChannel(c *api.Call, _ core.User, in newChannel) (core.Channel, error) {
	ch := core.Channel{
		ID: core.NewID[core.Channel](time.Now()), TeamID: in.TeamID, Type: in.Type, Name: api.Lower(in.Name),
		DisplayName: in.DisplayName, Header: in.Header, Purpose: in.Purpose,
	}
	if ch.TeamID.IsZero() {
		return ch, api.BadParam("team_id")
	}
	if err := ch.Check(); err != nil {
		return ch, err
	}
	return api.Changed(c, &command.CreateChannel{Channel: ch}, s.Read.Channel, ch.ID)
}

// getChannel reads the channel again, because the cached one may have old counters.
func (s *Service) getChannel(c *api.Call, known core.Channel) (core.Channel, error) {
	return api.Found[core.Channel](access.NoChannel)(s.Read.Channel(c, known.ID))
}

func (s *Service) channelByName(_ *api.Call, ch core.Channel) (core.Channel, error) { return ch, nil }

func (s *Service) patchChannel(c *api.Call, ch core.Channel, in channelPatch) (core.Channel, error) {
	return api.Changed(c, &command.PatchChannel{ChannelID: ch.ID, ChannelPatch: in.ChannelPatch}, s.Read.Channel, ch.ID)
}

func (s *Service) deleteChannel(c *api.Call, ch core.Channel) (api.Done, error) {
	if c.Flag("permanent") {
		return api.Done{}, api.NoPermanentDeletion
	}
	return api.Done{}, c.Propose(&command.DeleteChannel{ChannelID: ch.ID}, nil)
}

// channelStats is the numbers of members, posts and files of a channel.
type channelStats struct {
	ChannelID core.ChannelID `json:"channel_id"`
	Members   int64          `json:"member_count"`
	Guests    int64          `json:"guest_count"`
	Pinned    int64          `json:"pinnedpost_count"`
	Files     int64          `json:"files_count"` // -1: not counted
}

func (s *Service) channelStats(c *api.Call, ch core.Channel) (out channelStats, err error) {
	out = channelStats{ChannelID: ch.ID, Files: -1}
	if out.Members, out.Pinned, err = s.Read.ChannelStats(c, ch.ID); err != nil || c.Flag("exclude_files_count") {
		return out, err
	}
	out.Files, err = s.Read.FilesInChannel(c, ch.ID) // only on request, because counting may be slow and not every client shows it
	return out, err
}

func (s *Service) publicChannels(c *api.Call, t core.Team) ([]core.Channel, error) {
	return s.Read.PublicChannels(c, t.ID, c.Page(), c.User.Locale)
}

func (s *Service) channelsOfUser(c *api.Call, user core.UserID, deletedSince int64) (api.Answer, error) {
	return s.channelsOf(c, read.ChannelFilter{User: user, DeletedSince: deletedSince})
}

func (s *Service) channelsOfUserInTeam(c *api.Call, in api.Two[core.Team, core.UserID], deletedSince int64) (api.Answer, error) {
	return s.channelsOf(c, read.ChannelFilter{User: in.Second, Team: in.First.ID, DeletedSince: deletedSince})
}

func (s *Service) channelsOf(c *api.Call, f read.ChannelFilter) (api.Answer, error) {
	f.Deleted, f.Locale = c.Flag("include_deleted"), c.User.Locale
	return api.InPieces(c, api.Array, func(ch *core.Channel) []byte { return api.JSON(*ch) }, func(each func([]core.Channel) error) error {
		return s.Read.EachChannelOf(c, f, each)
	})
}

// unread is a user's unread messages and mentions in a channel.
type unread struct {
	TeamID             core.TeamID       `json:"team_id"`
	ChannelID          core.ChannelID    `json:"channel_id"`
	MsgCount           int64             `json:"msg_count"`
	MsgCountRoot       int64             `json:"msg_count_root"`
	MentionCount       int64             `json:"mention_count"`
	MentionCountRoot   int64             `json:"mention_count_root"`
	UrgentMentionCount int64             `json:"urgent_mention_count"`
	LastViewedAt       int64             `json:"last_viewed_at"`
	NotifyProps        map[string]string `json:"notify_props"`
}

func (s *Service) channelUnread(c *api.Call, in api.Two[core.UserID, core.Channel]) (unread, error) {
	ch, _, err := s.Read.Channel(c, in.Second.ID)
	if err != nil {
		return unread{}, err
	}
	m, err := api.Found[core.ChannelMember](access.NoChannelMember)(s.Read.ChannelMember(c, ch.ID, in.First))
	return unread{
		TeamID: ch.TeamID, ChannelID: ch.ID, MsgCount: max(0, ch.TotalMsgCount-m.MsgCount), MsgCountRoot: max(0, ch.TotalMsgCountRoot-m.MsgCountRoot),
		MentionCount: m.MentionCount, MentionCountRoot: m.MentionCountRoot, LastViewedAt: m.LastViewedAt, NotifyProps: m.NotifyProps,
	}, err
}
