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
		col("file_ids", lists[core.FileID](), func(p *core.Post) *[]core.FileID { return &p.FileIDs }),
	},
})

// PendingPosts is the table of which post a pending post id became. Its key is a hash of the
// user and the pending id, which are long and of no use but to be found.
var PendingPosts = table(Table[pendingHash, pendingPost]{
	name: "pending_posts", keys: 1, part: 20,
	key:  func(p *pendingPost) pendingHash { return p.hash },
	with: func(h pendingHash) pendingPost { return pendingPost{hash: h} },
	cols: []column[pendingPost]{
		col("hash", uuids[pendingHash](), func(p *pendingPost) *pendingHash { return &p.hash }),
		col("post_id", uuids[core.PostID](), func(p *pendingPost) *core.PostID { return &p.post }),
		col("at", bigints[int64](), func(p *pendingPost) *int64 { return &p.at }),
	},
})

type pendingHash = core.ID[apply.Pending]

type pendingPost struct {
	hash pendingHash
	post core.PostID
	at   int64
}

// pendings gives that table the form in which apply knows it.
type pendings struct {
	*rows[pendingHash, pendingPost]
}

func hashPending(k apply.PendingKey) pendingHash {
	return core.DeriveID[apply.Pending](string(k.User[:]), k.Pending)
}

// Get implements apply.Table.
func (p pendings) Get(k apply.PendingKey) (apply.Pending, bool) {
	row, ok := p.rows.Get(hashPending(k))
	if !ok || row.at < p.s.horizon {
		return apply.Pending{}, false
	}
	return apply.Pending{PendingKey: k, Post: row.post, At: row.at}, true
}

// Put implements apply.Table.
func (p pendings) Put(v apply.Pending) {
	p.rows.Put(pendingPost{hash: hashPending(v.PendingKey), post: v.Post, at: v.At})
}

// Delete implements apply.Table.
func (p pendings) Delete(k apply.PendingKey) { p.rows.Delete(hashPending(k)) }

func (p pendings) want(to *pipe, keys []apply.PendingKey) {
	hashes := make([]pendingHash, len(keys))
	for i, k := range keys {
		hashes[i] = hashPending(k)
	}
	p.rows.want(to, hashes)
}
