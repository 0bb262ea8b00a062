package pg

import (
	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/apply"
)

// Posts is the table of messages and of their earlier texts. A post's pending id is not a
// column: it is of use to its sender only, who has it already.
var Posts = table(Table[core.PostID, core.Post]{
	name: "posts", keys: 1, part: 250,
	key:  func(p *core.Post) core.PostID { return p.ID },
	with: func(id core.PostID) core.Post { return core.Post{ID: id} },
	cols: []column[core.Post]{
		col("id", uuids[core.PostID](), func(p *core.Post) *core.PostID { return &p.ID }),
		col("user_id", uuids[core.UserID](), func(p *core.Post) *core.UserID { return &p.UserID }),
		col("channel_id", uuids[core.ChannelID](), func(p *core.Post) *core.ChannelID { return &p.ChannelID }),
		col("root_id", uuids[core.PostID](), func(p *core.Post) *core.PostID { return &p.RootID }),
		col("original_id", uuids[core.PostID](), func(p *core.Post) *core.PostID { return &p.OriginalID }),
		col("create_at", bigints[int64](), func(p *core.Post) *int64 { return &p.CreateAt }),
		col("update_at", bigints[int64](), func(p *core.Post) *int64 { return &p.UpdateAt }),
		col("edit_at", bigints[int64](), func(p *core.Post) *int64 { return &p.EditAt }),
		col("delete_at", bigints[int64](), func(p *core.Post) *int64 { return &p.DeleteAt }),
		col("last_reply_at", bigints[int64](), func(p *core.Post) *int64 { return &p.LastReplyAt }),
		col("reply_count", counts(), func(p *core.Post) *int64 { return &p.ReplyCount }),
		col("is_pinned", booleans(), func(p *core.Post) *bool { return &p.IsPinned }),
		col("has_reactions", booleans(), func(p *core.Post) *bool { return &p.HasReactions }),
		col("type", texts(), func(p *core.Post) *string { return &p.Type }),
		col("message", texts(), func(p *core.Post) *string { return &p.Message }),
		col("hashtags", texts(), func(p *core.Post) *string { return &p.Hashtags }),
		col("props", anyMaps(), func(p *core.Post) *map[string]any { return &p.Props }),
		col("participants", lists[core.Participant](), func(p *core.Post) *[]core.Participant { return &p.Participants }),
	},
})

// PendingPosts is the table of which post a pending post id became.
var PendingPosts = table(Table[apply.PendingKey, apply.Pending]{
	name: "pending_posts", keys: 2, part: 60,
	key:  func(p *apply.Pending) apply.PendingKey { return p.PendingKey },
	with: func(k apply.PendingKey) apply.Pending { return apply.Pending{PendingKey: k} },
	cols: []column[apply.Pending]{
		col("user_id", uuids[core.UserID](), func(p *apply.Pending) *core.UserID { return &p.User }),
		col("pending", texts(), func(p *apply.Pending) *string { return &p.Pending }),
		col("post_id", uuids[core.PostID](), func(p *apply.Pending) *core.PostID { return &p.Post }),
		col("at", bigints[int64](), func(p *apply.Pending) *int64 { return &p.At }),
	},
})
