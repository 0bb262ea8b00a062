package apply

import (
	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/authz"
	"github.com/nearside/nearside/core/command"
	"github.com/nearside/nearside/core/event"
	"github.com/nearside/nearside/core/schema"
)

// Channels is the places to post; ChannelMembers says who belongs to which, and how far they have
// read.
var (
	Channels       = table[core.ChannelID, core.Channel]("channels", "id")
	ChannelByName  = unique[TeamName](Channels, "team_id", "name")
	ChannelMembers = table[ChannelUser, core.ChannelMember]("channel_members")
	setChannel     = schema.PatchOf[core.ChannelPatch, core.Channel]()
	membershipsOf  = index[UserTeam](ChannelMembers, []string{"user_id", "team_id"}, schema.AtMost(channelsAtOnce))
)

// channelsAtOnce is how many channels of a team one entry takes a user out of.
const channelsAtOnce = 200

// TeamName is a channel's name in its team.
type TeamName struct {
	Team core.TeamID `db:"team_id"`
	Name string      `db:"name"`
}

// ChannelUser is the key of a channel membership.
type ChannelUser struct {
	Channel core.ChannelID `db:"channel_id"`
	User    core.UserID    `db:"user_id"`
}

// UserTeam is a user in the channels of a team.
type UserTeam struct {
	User core.UserID `db:"user_id"`
	Team core.TeamID `db:"team_id"`
}

var (
	channelNameTaken   = core.Refusal{Kind: core.KindInvalid, ID: "store.sql_channel.save_channel.exists.app_error"}
	tooManyChannels    = core.Refusal{Kind: core.KindInvalid, ID: "api.channel.create_channel.max_channel_limit.app_error"}
	channelNotFound    = core.Refusal{Kind: core.KindNotFound, ID: "app.channel.get.existing.app_error"}
	memberNotFound     = core.Refusal{Kind: core.KindNotFound, ID: "app.channel.get_member.missing.app_error"}
	channelArchived    = core.Refusal{Kind: core.KindInvalid, ID: "api.channel.update_channel.deleted.app_error"}
	addToArchived      = core.Refusal{Kind: core.KindInvalid, ID: "api.channel.add_user_to_channel.deleted.app_error"}
	removeFromArchived = core.Refusal{Kind: core.KindInvalid, ID: "api.channel.remove_user_from_channel.deleted.app_error"}
	defaultRenamed     = core.Refusal{Kind: core.KindInvalid, ID: "api.channel.update_channel.tried.app_error"}
	defaultArchived    = core.Refusal{Kind: core.KindInvalid, ID: "api.channel.delete_channel.cannot.app_error"}
	leaveDefault       = core.Refusal{Kind: core.KindInvalid, ID: "api.channel.remove.default.app_error"}
)

func createChannel(x *exec, c *command.CreateChannel) (any, error) {
	u, err := x.caller()
	if err != nil {
		return nil, err
	}
	in := c.Channel
	ch := core.Channel{
		ID: in.ID, TeamID: in.TeamID, Type: in.Type, DisplayName: in.DisplayName, Name: in.Name, Header: in.Header, Purpose: in.Purpose,
		CreatorID: u.ID,
	}
	if err := ch.Check(); err != nil {
		return nil, err
	}
	if _, err := x.team(ch.TeamID); err != nil {
		return nil, err
	}
	if err := x.mayInTeam(u, ch.TeamID, authz.CreatePublicChannel.In(ch)); err != nil {
		return nil, err
	}
	if _, taken := ChannelByName.Find(x, TeamName{ch.TeamID, ch.Name}); taken {
		return nil, channelNameTaken
	}
	if _, taken := Channels.Get(x, ch.ID); taken || ch.ID.IsZero() {
		return nil, conflict.With("reason", "channel")
	}
	if x.count(channelCount(ch.TeamID)) >= core.MaxChannelsPerTeam {
		return nil, tooManyChannels.With("max", core.MaxChannelsPerTeam)
	}
	ch = x.saveChannel(ch)
	x.addMember(ch, u, true)
	ch = x.systemPost(ch, u, core.TypeJoinChannel, map[string]any{"username": u.Username})
	x.emit(event.ChannelCreated{Channel: ch.ID, Team: ch.TeamID, Creator: u.ID})
	return nil, nil
}

func channelCount(t core.TeamID) string { return "channels:" + t.String() }

// saveChannel writes a new channel.
func (x *exec) saveChannel(ch core.Channel) core.Channel {
	ch.CreateAt, ch.UpdateAt, ch.LastPostAt, ch.LastRootPostAt = x.now, x.now, x.now, x.now
	Channels.Put(x, ch)
	x.add(channelCount(ch.TeamID), 1)
	return ch
}

func patchChannel(x *exec, c *command.PatchChannel) (any, error) {
	u, ch, err := x.channelFor(c.ChannelID, authz.ManagePublicProperties)
	if err != nil {
		return nil, err
	}
	was := ch
	setChannel(&ch, &c.ChannelPatch)
	if err := ch.Check(); err != nil {
		return nil, err
	}
	if ch.Name != was.Name {
		if was.Name == core.TownSquare {
			return nil, defaultRenamed
		}
		if _, taken := ChannelByName.Find(x, TeamName{ch.TeamID, ch.Name}); taken {
			return nil, channelNameTaken
		}
	}
	ch = x.changeMessages(Channels.Save(x, ch), was, u)
	x.emit(event.ChannelUpdated{Channel: ch})
	return nil, nil
}

// changeMessages writes the system posts that tell a channel what was changed in it.
func (x *exec) changeMessages(ch, was core.Channel, u core.User) core.Channel {
	for _, f := range [...]struct{ kind, prop, old, new string }{
		{core.TypeHeaderChange, "header", was.Header, ch.Header},
		{core.TypePurposeChange, "purpose", was.Purpose, ch.Purpose},
		{core.TypeDisplayChange, "displayname", was.DisplayName, ch.DisplayName},
	} {
		if f.old != f.new {
			ch = x.systemPost(ch, u, f.kind, map[string]any{"username": u.Username, "old_" + f.prop: f.old, "new_" + f.prop: f.new})
		}
	}
	return ch
}

func deleteChannel(x *exec, c *command.DeleteChannel) (any, error) {
	u, ch, err := x.channelFor(c.ChannelID, authz.DeletePublicChannel)
	if err != nil {
		return nil, err
	}
	if ch.Name == core.TownSquare {
		return nil, defaultArchived.With("channel", ch.Name)
	}
	ch = x.systemPost(ch, u, core.TypeChannelDelete, map[string]any{"username": u.Username})
	ch.DeleteAt = x.now
	x.emit(event.ChannelDeleted{Channel: Channels.Save(x, ch)})
	return nil, nil
}

// channelFor gives the caller and a channel that is not archived, if the caller has the
// permission there.
func (x *exec) channelFor(id core.ChannelID, p authz.Permission) (core.User, core.Channel, error) {
	u, err := x.caller()
	if err != nil {
		return u, core.Channel{}, err
	}
	ch, err := x.channel(id)
	if err != nil {
		return u, ch, err
	}
	if err := x.mayInChannel(u, ch, p.In(ch)); err != nil {
		return u, ch, err
	}
	if ch.DeleteAt != 0 {
		return u, ch, channelArchived
	}
	return u, ch, nil
}

// channel gives a channel, archived or not, or refuses.
func (x *exec) channel(id core.ChannelID) (core.Channel, error) {
	ch, ok := Channels.Get(x, id)
	if !ok {
		return ch, channelNotFound
	}
	return ch, nil
}

func addChannelMember(x *exec, c *command.AddChannelMember) (any, error) {
	me, err := x.caller()
	if err != nil {
		return nil, err
	}
	ch, err := x.channel(c.ChannelID)
	if err != nil {
		return nil, err
	}
	if err := x.mayAdd(me, ch, c.UserID); err != nil {
		return nil, err
	}
	u, ok := Users.Live(x, c.UserID)
	if !ok {
		return nil, userNotFound
	}
	if _, member := ChannelMembers.Get(x, ChannelUser{ch.ID, u.ID}); member {
		return nil, nil
	}
	if ch.DeleteAt != 0 {
		return nil, addToArchived
	}
	if _, ok := TeamMembers.Live(x, TeamUser{ch.TeamID, u.ID}); !ok {
		return nil, teamMemberNotFound
	}
	x.addMember(ch, u, false)
	x.joinMessage(ch, u, me, false)
	x.emit(event.UserAdded{User: u.ID, Channel: ch.ID, Team: ch.TeamID})
	return nil, nil
}

// mayAdd refuses unless me may add u to ch. Users who may join public channels of the team may add
// themselves to an open channel. To add others, or to add anybody to a private channel, me must be
// allowed to manage the channel's members.
func (x *exec) mayAdd(me core.User, ch core.Channel, u core.UserID) error {
	if ch.Type == core.ChannelOpen && me.ID == u {
		return x.mayInTeam(me, ch.TeamID, authz.JoinPublicChannels)
	}
	return x.mayInChannel(me, ch, authz.ManagePublicMembers.In(ch))
}

func (x *exec) addMember(ch core.Channel, u core.User, admin bool) {
	ChannelMembers.Put(x, core.ChannelMember{
		ChannelID: ch.ID, UserID: u.ID, TeamID: ch.TeamID, SchemeAdmin: admin,
		NotifyProps: core.DefaultMemberNotifyProps(), LastUpdateAt: x.now, CallCount: ch.TotalCalls, CallCountRoot: ch.TotalCallsRoot,
	})
	x.emit(event.ChannelJoined{User: u.ID, Channel: ch.ID, Team: ch.TeamID})
}

// joinMessage tells a channel who came, and by whose hand.
func (x *exec) joinMessage(ch core.Channel, u, by core.User, toTeam bool) {
	joined, added := core.TypeJoinChannel, core.TypeAddToChannel
	if toTeam {
		joined, added = core.TypeJoinTeam, core.TypeAddToTeam
	}
	if u.ID == by.ID {
		x.systemPost(ch, u, joined, map[string]any{"username": u.Username})
		return
	}
	x.systemPost(ch, by, added, map[string]any{
		"userId": by.ID.String(), "username": by.Username, "addedUserId": u.ID.String(), "addedUsername": u.Username,
	})
}

func removeChannelMember(x *exec, c *command.RemoveChannelMember) (any, error) {
	me, err := x.caller()
	if err != nil {
		return nil, err
	}
	ch, err := x.channel(c.ChannelID)
	if err != nil {
		return nil, err
	}
	if me.ID != c.UserID {
		if err := x.mayInChannel(me, ch, authz.ManagePublicMembers.In(ch)); err != nil {
			return nil, err
		}
	}
	u, ok := Users.Get(x, c.UserID)
	if _, member := ChannelMembers.Get(x, ChannelUser{ch.ID, c.UserID}); !ok || !member {
		return nil, memberNotFound
	}
	if ch.DeleteAt != 0 {
		return nil, removeFromArchived
	}
	if ch.Name == core.TownSquare {
		return nil, leaveDefault.With("channel", ch.Name)
	}
	ChannelMembers.Delete(x, ChannelUser{ch.ID, u.ID})
	x.emit(event.UserRemoved{User: u.ID, Channel: ch.ID, Remover: me.ID})
	if u.ID == me.ID {
		x.systemPost(ch, u, core.TypeLeaveChannel, map[string]any{"username": u.Username})
	} else {
		x.systemPost(ch, me, core.TypeRemoveFromCh, map[string]any{"removedUserId": u.ID.String(), "removedUsername": u.Username})
	}
	return nil, nil
}

func viewChannel(x *exec, c *command.ViewChannel) (any, error) {
	u, err := x.caller()
	if err != nil {
		return nil, err
	}
	out := command.Viewed{Times: make([]int64, len(c.Channels))}
	times := map[core.ChannelID]int64{}
	for i, id := range c.Channels {
		if id.IsZero() {
			continue
		}
		ch, known := Channels.Get(x, id)
		m, member := ChannelMembers.Get(x, ChannelUser{id, u.ID})
		if !known || !member {
			return nil, memberNotFound
		}
		out.Times[i] = max(ch.LastPostAt, m.LastViewedAt)
		if m.MsgCount < ch.TotalMsgCount || m.MsgCountRoot < ch.TotalMsgCountRoot || m.MentionCount > 0 || m.CallCount < ch.TotalCalls {
			ChannelMembers.Put(x, viewed(m, ch, x.now))
			times[id] = out.Times[i]
		}
	}
	if len(times) > 0 {
		x.emit(event.ChannelsViewed{User: u.ID, Times: times})
	}
	return out, nil
}

// viewed gives a membership after its user has read everything in the channel.
func viewed(m core.ChannelMember, ch core.Channel, now int64) core.ChannelMember {
	m.MsgCount = max(m.MsgCount, ch.TotalMsgCount)
	m.MsgCountRoot = max(m.MsgCountRoot, ch.TotalMsgCountRoot)
	m.LastViewedAt = max(m.LastViewedAt, ch.LastPostAt)
	m.MentionCount, m.MentionCountRoot = 0, 0
	m.CallCount, m.CallCountRoot = ch.TotalCalls, ch.TotalCallsRoot
	m.LastUpdateAt = now
	return m
}
