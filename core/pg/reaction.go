package pg

import (
	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/apply"
)

// Reactions is the table of the emoji under posts.
var Reactions = table(Table[apply.ReactionKey, core.Reaction]{
	name: "reactions", keys: 3, part: 20,
	key: func(r *core.Reaction) apply.ReactionKey {
		return apply.ReactionKey{Post: r.PostID, User: r.UserID, Emoji: r.EmojiName}
	},
	with: func(k apply.ReactionKey) core.Reaction {
		return core.Reaction{PostID: k.Post, UserID: k.User, EmojiName: k.Emoji}
	},
	cols: []column[core.Reaction]{
		col("post_id", uuids[core.PostID](), func(r *core.Reaction) *core.PostID { return &r.PostID }),
		col("user_id", uuids[core.UserID](), func(r *core.Reaction) *core.UserID { return &r.UserID }),
		col("emoji_name", texts(), func(r *core.Reaction) *string { return &r.EmojiName }),
		col("channel_id", uuids[core.ChannelID](), func(r *core.Reaction) *core.ChannelID { return &r.ChannelID }),
		col("create_at", bigints[int64](), func(r *core.Reaction) *int64 { return &r.CreateAt }),
		col("update_at", bigints[int64](), func(r *core.Reaction) *int64 { return &r.UpdateAt }),
	},
})

// ReactionsOf implements apply.Scans.
func (q scans) ReactionsOf(post core.PostID) []core.Reaction {
	return rowsOf(q.s.state.Reactions).scan("SELECT "+Reactions.Columns("")+" FROM reactions WHERE post_id = $1", [][]byte{post[:]},
		func(r *core.Reaction) bool { return r.PostID == post }, apply.ByReactionTime)
}
