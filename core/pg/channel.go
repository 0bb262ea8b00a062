package pg

import (
	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/apply"
)

// Channels is the table of channels.
var Channels = table(Table[core.ChannelID, core.Channel]{
	name: "channels", keys: 1, part: 100,
	key:  func(c *core.Channel) core.ChannelID { return c.ID },
	with: func(id core.ChannelID) core.Channel { return core.Channel{ID: id} },
	cols: []column[core.Channel]{
		col("id", uuids[core.ChannelID](), func(c *core.Channel) *core.ChannelID { return &c.ID }),
		col("team_id", uuids[core.TeamID](), func(c *core.Channel) *core.TeamID { return &c.TeamID }),
		col("creator_id", uuids[core.UserID](), func(c *core.Channel) *core.UserID { return &c.CreatorID }),
		col("create_at", bigints[int64](), func(c *core.Channel) *int64 { return &c.CreateAt }),
		col("update_at", bigints[int64](), func(c *core.Channel) *int64 { return &c.UpdateAt }),
		col("delete_at", bigints[int64](), func(c *core.Channel) *int64 { return &c.DeleteAt }),
		col("last_post_at", bigints[int64](), func(c *core.Channel) *int64 { return &c.LastPostAt }),
		col("last_root_post_at", bigints[int64](), func(c *core.Channel) *int64 { return &c.LastRootPostAt }),
		col("total_msg_count", bigints[int64](), func(c *core.Channel) *int64 { return &c.TotalMsgCount }),
		col("total_msg_count_root", bigints[int64](), func(c *core.Channel) *int64 { return &c.TotalMsgCountRoot }),
		col("type", texts(), func(c *core.Channel) *string { return &c.Type }),
		col("name", texts(), func(c *core.Channel) *string { return &c.Name }),
		col("display_name", texts(), func(c *core.Channel) *string { return &c.DisplayName }),
		col("header", texts(), func(c *core.Channel) *string { return &c.Header }),
		col("purpose", texts(), func(c *core.Channel) *string { return &c.Purpose }),
	},
})

// ChannelMembers is the table of who belongs to which channel, and how far they have read.
var ChannelMembers = table(Table[apply.ChannelUser, core.ChannelMember]{
	name: "channel_members", keys: 2, part: 200,
	key: func(m *core.ChannelMember) apply.ChannelUser {
		return apply.ChannelUser{Channel: m.ChannelID, User: m.UserID}
	},
	with: func(k apply.ChannelUser) core.ChannelMember {
		return core.ChannelMember{ChannelID: k.Channel, UserID: k.User}
	},
	cols: []column[core.ChannelMember]{
		col("channel_id", uuids[core.ChannelID](), func(m *core.ChannelMember) *core.ChannelID { return &m.ChannelID }),
		col("user_id", uuids[core.UserID](), func(m *core.ChannelMember) *core.UserID { return &m.UserID }),
		col("team_id", uuids[core.TeamID](), func(m *core.ChannelMember) *core.TeamID { return &m.TeamID }),
		col("last_viewed_at", bigints[int64](), func(m *core.ChannelMember) *int64 { return &m.LastViewedAt }),
		col("msg_count", bigints[int64](), func(m *core.ChannelMember) *int64 { return &m.MsgCount }),
		col("msg_count_root", bigints[int64](), func(m *core.ChannelMember) *int64 { return &m.MsgCountRoot }),
		col("mention_count", bigints[int64](), func(m *core.ChannelMember) *int64 { return &m.MentionCount }),
		col("mention_count_root", bigints[int64](), func(m *core.ChannelMember) *int64 { return &m.MentionCountRoot }),
		col("last_update_at", bigints[int64](), func(m *core.ChannelMember) *int64 { return &m.LastUpdateAt }),
		col("scheme_admin", booleans(), func(m *core.ChannelMember) *bool { return &m.SchemeAdmin }),
		col("explicit", texts(), func(m *core.ChannelMember) *string { return &m.Explicit }),
		col("notify_props", stringMaps(), func(m *core.ChannelMember) *map[string]string { return &m.NotifyProps }),
	},
})
