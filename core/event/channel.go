package event

import "github.com/nearside/nearside/core"

// ChannelCreated is a new channel. Only its creator is told; the default channels of a team have no
// creator.
type ChannelCreated struct {
	Channel core.ChannelID
	Team    core.TeamID
	Creator core.UserID
}

func (ChannelCreated) Name() string { return "channel_created" }

func (e ChannelCreated) To() []Audience {
	if e.Creator.IsZero() {
		return nil
	}
	return toUser(e.Creator)
}

func (e ChannelCreated) Write(d *Data, _ *Audience) {
	d.String("channel_id", e.Channel.String())
	d.String("team_id", e.Team.String())
}

func (e ChannelCreated) ChannelChanged() core.ChannelID { return e.Channel }

// ChannelUpdated is a changed channel.
type ChannelUpdated struct{ Channel core.Channel }

func (ChannelUpdated) Name() string                     { return "channel_updated" }
func (e ChannelUpdated) To() []Audience                 { return toChannel(e.Channel.ID) }
func (e ChannelUpdated) Write(d *Data, _ *Audience)     { d.JSON("channel", &e.Channel) }
func (e ChannelUpdated) ChannelChanged() core.ChannelID { return e.Channel.ID }

// ChannelDeleted is an archived channel. If it was open, the whole team is told.
type ChannelDeleted struct{ Channel core.Channel }

func (ChannelDeleted) Name() string { return "channel_deleted" }

func (e ChannelDeleted) To() []Audience {
	if e.Channel.Type == core.ChannelOpen {
		return toTeam(e.Channel.TeamID)
	}
	return toChannel(e.Channel.ID)
}

func (e ChannelDeleted) Write(d *Data, _ *Audience) {
	d.String("channel_id", e.Channel.ID.String())
	d.Int("delete_at", e.Channel.DeleteAt)
}

func (e ChannelDeleted) ChannelChanged() core.ChannelID { return e.Channel.ID }

// ChannelJoined makes a user a member of a channel. It comes before every other event about that.
type ChannelJoined struct {
	quiet
	User    core.UserID
	Channel core.ChannelID
	Team    core.TeamID // that the channel is in
}

func (e ChannelJoined) MembershipChanged() Membership {
	return Membership{User: e.User, Channel: e.Channel, Team: e.Team, Joined: true}
}

// ChannelLeft is the end of a membership because the user left the team. Clients are not told.
type ChannelLeft struct {
	quiet
	User    core.UserID
	Channel core.ChannelID
}

func (e ChannelLeft) MembershipChanged() Membership {
	return Membership{User: e.User, Channel: e.Channel}
}

// UserAdded tells a channel of a new member. The member gets a copy of their own, unless they joined
// the channel with its team.
type UserAdded struct {
	User     core.UserID
	Channel  core.ChannelID
	Team     core.TeamID
	WithTeam bool
}

func (UserAdded) Name() string { return "user_added" }

func (e UserAdded) To() []Audience {
	if e.WithTeam {
		return toChannel(e.Channel)
	}
	return []Audience{{Channel: e.Channel, Omit: []core.UserID{e.User}}, {User: e.User, Channel: e.Channel}}
}

func (e UserAdded) Write(d *Data, _ *Audience) {
	d.String("user_id", e.User.String())
	d.String("team_id", e.Team.String())
}

// UserRemoved is the end of a user's membership of a channel.
type UserRemoved struct {
	User    core.UserID
	Channel core.ChannelID
	Remover core.UserID
}

func (UserRemoved) Name() string { return "user_removed" }

func (e UserRemoved) To() []Audience { return []Audience{{User: e.User}, {Channel: e.Channel}} }

func (e UserRemoved) Write(d *Data, to *Audience) {
	if to.User.IsZero() {
		d.String("user_id", e.User.String())
	} else {
		d.String("channel_id", e.Channel.String())
	}
	d.String("remover_id", e.Remover.String())
}

func (e UserRemoved) MembershipChanged() Membership {
	return Membership{User: e.User, Channel: e.Channel}
}

// ChannelsViewed tells the clients of a user up to when channels are read.
type ChannelsViewed struct {
	User  core.UserID
	Times map[core.ChannelID]int64 // at most as many as the command named
}

func (ChannelsViewed) Name() string                 { return "multiple_channels_viewed" }
func (e ChannelsViewed) To() []Audience             { return toUser(e.User) }
func (e ChannelsViewed) Write(d *Data, _ *Audience) { d.Value("channel_times", e.Times) }
func (ChannelsViewed) Droppable()                   {}
