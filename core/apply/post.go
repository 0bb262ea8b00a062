package apply

import (
	"maps"
	"slices"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/authz"
	"github.com/nearside/nearside/core/command"
	"github.com/nearside/nearside/core/event"
	"github.com/nearside/nearside/core/schema"
)

// Posts has the messages, and their earlier texts.
var (
	Posts       = table[core.PostID, core.Post]("posts", "id")
	repliesOf   = index[core.PostID](Posts, []string{"root_id"}, schema.OrderBy("create_at"), schema.WhereZero("delete_at"), schema.AtMost(repliesAtOnce))
	lastReplyOf = index[core.PostID](Posts, []string{"root_id"}, schema.OrderBy("create_at"), schema.Down(), schema.WhereZero("delete_at"), schema.AtMost(1))
	setPost     = schema.PatchOf[core.PostPatch, core.Post]()
	repliesBy   = index[PostUser](Posts, []string{"root_id", "user_id"}, schema.OrderBy("create_at"), schema.Down(), schema.WhereZero("delete_at"), schema.AtMost(1))
)

// repliesAtOnce is how many replies of a deleted post one entry deletes. It is small, because a reply
// can take a megabyte and is both read and written. With more, an entry could be over its price, and
// a thread of large replies could never be deleted.
const repliesAtOnce = 4

// PostUser is a user's replies to a post.
type PostUser struct {
	Root core.PostID `db:"root_id"`
	User core.UserID `db:"user_id"`
}

var (
	postNotFound     = core.Refusal{Kind: core.KindNotFound, ID: "app.post.get.app_error"}
	postInArchived   = core.Refusal{Kind: core.KindInvalid, ID: "api.post.create_post.can_not_post_to_deleted.error"}
	changeInArchived = core.Refusal{Kind: core.KindInvalid, ID: "api.post.update_post.can_not_update_post_in_deleted.error"}
	badPostTime      = core.Refusal{Kind: core.KindInvalid, ID: "model.post.is_valid.create_at.app_error"}
	wrongRoot        = core.Refusal{Kind: core.KindInvalid, ID: "api.post.create_post.root_id.app_error"}
	rootElsewhere    = core.Refusal{Kind: core.KindInvalid, ID: "api.post.create_post.channel_root_id.app_error"}
	systemPostFixed  = core.Refusal{Kind: core.KindInvalid, ID: "api.post.update_post.system_message.app_error"}
)

func createPost(x *exec, c *command.CreatePost) (any, error) {
	u, err := x.caller()
	if err != nil {
		return nil, err
	}
	in := c.Post
	ch, err := x.postable(u, in.ChannelID)
	if err != nil {
		return nil, err
	}
	if err := in.Check(); err != nil {
		return nil, err
	}
	if in.IsSystem() {
		return nil, badRequest.With("reason", "system_post")
	}
	root, err := x.root(in)
	if err != nil {
		return nil, err
	}
	at, err := x.importedAt(u, in, root)
	if err != nil {
		return nil, err
	}
	p := core.Post{
		ID: x.mint(), UserID: u.ID, ChannelID: ch.ID, RootID: in.RootID, CreateAt: at, IsPinned: in.IsPinned, Message: in.Message, Type: in.Type,
		Props: clientProps(in.Props, nil), Hashtags: in.Hashtags, PendingPostID: in.PendingPostID,
	}
	if p.FileIDs, err = x.attach(u, p, in.FileIDs); err != nil {
		return nil, err
	}
	named, everyone, here := x.named(u, ch, c.Mentions)
	if everyone {
		ch = call(ch, p)
	}
	if here {
		named = append(named, c.Online[:min(len(c.Online), core.MaxHere)]...)
	}
	mentioned := x.mention(ch, p, named)
	p.Mentioned = mentioned[:min(len(mentioned), core.MaxMentions)] // those named come first; an entry that deletes must stay within its price
	ch, p = x.savePost(ch, p)
	var followers []core.UserID
	x.readByAuthor(ch, u.ID) // replies too, as long as the configuration says that threads are not collapsed
	if !in.RootID.IsZero() {
		p, followers = x.reply(root, p)
	}
	addFiles(x, &p)
	x.emit(event.Posted{Post: p, Channel: ch, Sender: "@" + u.Username, SetOnline: c.SetOnline, Mentions: mentioned, Everyone: everyone, Followers: followers})
	return command.Made{ID: p.ID, At: p.CreateAt}, nil
}

// clockSkew is how far the clock of somebody who sets a post's time may be ahead, in milliseconds.
const clockSkew = 60_000

// importedAt gives the time that an administrator has set for a message brought in from elsewhere; 0 if
// the post is of now, as are all posts of others, whatever they send. A time in the future is refused:
// every later post of the channel would have to be later still.
func (x *exec) importedAt(u core.User, in, root core.Post) (int64, error) {
	switch at := in.CreateAt; {
	case at == 0 || !authz.Allows(authz.ManageSystem, u.Roles):
		return 0, nil
	case at < 0 || at > x.now+clockSkew:
		return 0, badPostTime
	case at < root.CreateAt:
		return 0, badPostTime.With("reason", "before_root")
	case at >= x.now:
		return 0, nil
	default:
		return at, nil
	}
}

// clientProps gives the props that a client sets, without those that only the server sets (who really
// wrote a post, who deleted it). These stay as they were.
func clientProps(props, was map[string]any) map[string]any {
	props = maps.Clone(props)
	for _, name := range [...]string{
		"from_webhook", "from_bot", "from_oauth_app", "from_plugin", "webhook_display_name", "override_username",
		"override_icon_url", "override_icon_emoji", "deleteBy", "previewed_post",
	} {
		delete(props, name)
		if v, ok := was[name]; ok && props != nil {
			props[name] = v
		}
	}
	return props
}

// postable gives the channel if u may post to it.
func (x *exec) postable(u core.User, id core.ChannelID) (core.Channel, error) {
	ch, ok := Channels.Get(x, id)
	if !ok {
		return ch, badRequest.With("reason", "channel")
	}
	if err := x.mayInChannel(u, ch, authz.CreatePost); err != nil {
		if ch.Type != core.ChannelOpen || x.mayInTeam(u, ch.TeamID, authz.CreatePostPublic) != nil {
			return ch, err
		}
	}
	if ch.DeleteAt != 0 {
		return ch, postInArchived
	}
	return ch, nil
}

// root gives the post that in replies to, or the zero post if in is not a reply.
func (x *exec) root(in core.Post) (core.Post, error) {
	if in.RootID.IsZero() {
		return core.Post{}, nil
	}
	root, ok := Posts.Live(x, in.RootID)
	if !ok || !root.RootID.IsZero() {
		return root, wrongRoot
	}
	if root.ChannelID != in.ChannelID {
		return root, rootElsewhere
	}
	return root, nil
}

// savePost gives a new post its time, strictly after the channel's last, and counts it. One that has a
// time already keeps it, and its update is now, so that clients that ask what is new get it.
func (x *exec) savePost(ch core.Channel, p core.Post) (core.Channel, core.Post) {
	p.UpdateAt = max(x.now, ch.LastPostAt+1)
	if p.CreateAt == 0 {
		p.CreateAt = p.UpdateAt
	}
	ch.LastPostAt = max(ch.LastPostAt, p.CreateAt)
	if p.RootID.IsZero() {
		ch.LastRootPostAt = max(ch.LastRootPostAt, p.CreateAt)
	}
	if p.Counts() {
		ch.TotalMsgCount++
		if p.RootID.IsZero() {
			ch.TotalMsgCountRoot++
		}
	}
	Posts.Insert(x, p) // every new post has a minted id
	Channels.Put(x, ch)
	return ch, p
}

// reply counts a reply in its thread and gives it the thread's fields for the answer, and the
// people who take part in the thread.
func (x *exec) reply(root, p core.Post) (core.Post, []core.UserID) {
	people := append(without(root.Participants, p.UserID), core.Participant{ID: p.UserID})
	if p.CreateAt < root.LastReplyAt { // it was brought in: others replied later
		people = root.Participants
		if len(without(people, p.UserID)) == len(people) {
			people = append([]core.Participant{{ID: p.UserID}}, people...)
		}
	}
	root.ReplyCount++
	root.LastReplyAt = max(root.LastReplyAt, p.CreateAt)
	root.UpdateAt = max(root.UpdateAt+1, p.UpdateAt)
	if len(people) > core.MaxThreadPeople {
		people = people[len(people)-core.MaxThreadPeople:]
	}
	root.Participants = people
	Posts.Put(x, root)
	p.ReplyCount, p.LastReplyAt, p.Participants = root.ReplyCount, root.LastReplyAt, people
	followers := make([]core.UserID, 0, len(people)+1)
	for _, who := range people {
		followers = append(followers, who.ID)
	}
	if len(without(people, root.UserID)) == len(people) {
		followers = append(followers, root.UserID)
	}
	return p, followers
}

// without gives a copy of a list without one user.
func without(list []core.Participant, u core.UserID) []core.Participant {
	return slices.DeleteFunc(slices.Clone(list), func(p core.Participant) bool { return p.ID == u })
}

// call counts a mention of everybody in the channel. Members compare the count with what they have seen, so that the
// entry writes one row.
func call(ch core.Channel, p core.Post) core.Channel {
	ch.TotalCalls++
	if p.RootID.IsZero() {
		ch.TotalCallsRoot++
	}
	return ch
}

// mention counts a mention for each of some users who is a member of the channel, once, and gives their ids.
func (x *exec) mention(ch core.Channel, p core.Post, who []core.UserID) (members []core.UserID) {
	seen := map[core.UserID]bool{p.UserID: true}
	for _, id := range who {
		if seen[id] {
			continue
		}
		seen[id] = true
		m, ok := ChannelMembers.Get(x, ChannelUser{ch.ID, id})
		if !ok {
			continue
		}
		m.MentionCount++
		if p.RootID.IsZero() {
			m.MentionCountRoot++
		}
		ChannelMembers.Put(x, m)
		members = append(members, id)
	}
	return members
}

// unmention takes a post that is deleted out of the mention counts of those who have not seen it: a badge
// would send them to a message that they cannot find.
func (x *exec) unmention(p core.Post) {
	for _, id := range p.Mentioned {
		m, ok := ChannelMembers.Get(x, ChannelUser{p.ChannelID, id})
		if !ok || m.LastViewedAt >= p.CreateAt || m.MentionCount == 0 {
			continue
		}
		m.MentionCount--
		if p.RootID.IsZero() {
			m.MentionCountRoot = max(m.MentionCountRoot-1, 0)
		}
		m.LastUpdateAt = x.now
		ChannelMembers.Put(x, m)
	}
}

// maxNames bounds how many names a post may have looked up.
const maxNames = 2 * core.MaxMentions

// named gives the users that the words after "@" name: of the names that a word may stand for, the longest that is
// somebody's. everyone is true if one of the words means everybody, and here if one means those who are online and none
// means everybody, if the author may say so. Who is mentioned with everybody is not among the users. All names are looked
// up, so that a batch reads them in one round trip.
func (x *exec) named(author core.User, ch core.Channel, words []string) (who []core.UserID, everyone, here bool) {
	var users []core.User
	left := maxNames
	for _, word := range words[:min(len(words), core.MaxMentions)] {
		var found bool
		for _, name := range core.NamesIn(lower(word)) {
			if left--; left < 0 {
				break
			}
			u, ok := UserByName.Find(x, name)
			switch {
			case found:
			case ok:
				found, users = true, append(users, u)
			case core.MentionsEveryone(name):
				found, everyone = true, true
			case name == core.MentionHere:
				found, here = true, true
			}
		}
	}
	if (everyone || here) && x.mayInChannel(author, ch, authz.UseChannelMentions) != nil {
		everyone, here = false, false
	}
	for _, u := range users {
		if !everyone || !u.HearsEveryone() {
			who = append(who, u.ID)
		}
	}
	return who, everyone, here && !everyone
}

// readByAuthor marks the channel as read for the author of a post.
func (x *exec) readByAuthor(ch core.Channel, u core.UserID) {
	if m, ok := ChannelMembers.Get(x, ChannelUser{ch.ID, u}); ok {
		ChannelMembers.Put(x, viewed(m, ch, x.now))
	}
}

// systemPost writes a system post in a channel, with the actor as its author. It has no text: an edge makes
// the text from the kind and the props.
func (x *exec) systemPost(ch core.Channel, actor core.User, kind string, props map[string]any) core.Channel {
	p := core.Post{ID: x.mint(), UserID: actor.ID, ChannelID: ch.ID, Type: kind, Props: props}
	ch, p = x.savePost(ch, p)
	x.emit(event.Posted{Post: p, Channel: ch})
	return ch
}

// mint derives a post id from the entry, so that it is the same on every replica; like every
// id it begins with its time.
func (x *exec) mint() core.PostID {
	x.minted++
	id := core.DeriveID[core.Post]("post", x.entry.ID.String(), string(rune('0'+x.minted)))
	for i := range 6 {
		id[i] = byte(x.now >> (8 * (5 - i)))
	}
	return id
}

func patchPost(x *exec, c *command.PatchPost) (any, error) {
	u, p, ch, err := x.editable(c.PostID)
	if err != nil {
		return nil, err
	}
	pinOnly := c.IsPinned != nil && c.PostPatch == core.PostPatch{IsPinned: c.IsPinned}
	need, others := authz.EditPost, authz.EditOthersPosts
	if pinOnly {
		need, others = authz.ReadChannel, authz.ReadChannel
	}
	if err := x.mayInChannel(u, ch, need); err != nil {
		return nil, err
	}
	if p.UserID != u.ID {
		if err := x.mayInChannel(u, ch, others); err != nil {
			return nil, err
		}
	}
	if x.belongsTo(p.UserID); pinOnly {
		x.belongsTo(u.ID) // everybody who reads a channel may pin in it
	}
	was := p
	setPost(&p, &c.PostPatch)
	if c.Props != nil {
		p.Props = clientProps(p.Props, was.Props)
	}
	if err := p.Check(); err != nil {
		return nil, err
	}
	if (p.IsSystem() || p.Type != was.Type) && !pinOnly {
		return nil, systemPostFixed
	}
	if c.FileIDs != nil {
		if p.FileIDs, err = x.setFiles(u, was, *c.FileIDs); err != nil {
			return nil, err
		}
	}
	now := max(x.now, p.UpdateAt+1)
	if p.Message != was.Message || !slices.Equal(p.FileIDs, was.FileIDs) {
		x.keepHistory(was, now)
		p.EditAt = now
	}
	p.UpdateAt = now
	Posts.Put(x, p)
	x.emit(event.PostEdited{Post: x.withMetadata(p)})
	return nil, nil
}

// editable gives the caller, a live post, and its channel, which must not be archived.
func (x *exec) editable(id core.PostID) (core.User, core.Post, core.Channel, error) {
	u, err := x.caller()
	if err != nil {
		return u, core.Post{}, core.Channel{}, err
	}
	p, ok := Posts.Live(x, id)
	if !ok {
		return u, p, core.Channel{}, postNotFound
	}
	if root, reply := Posts.Get(x, p.RootID); reply && root.DeleteAt != 0 { // it will be deleted with its root
		return u, p, core.Channel{}, postNotFound
	}
	ch, ok := Channels.Get(x, p.ChannelID)
	if ok && ch.DeleteAt != 0 {
		return u, p, ch, changeInArchived
	}
	return u, p, ch, nil
}

// keepHistory keeps the old text as a row of its own, which counts as deleted. Its id is minted like every post's.
// If an edge could choose it, it could choose one that a later post will get, and that post would be in the way of
// every replica for ever.
func (x *exec) keepHistory(was core.Post, now int64) {
	was.OriginalID, was.ID, was.Mentioned = was.ID, x.mint(), nil
	was.UpdateAt, was.DeleteAt = now, now
	Posts.Insert(x, was)
}

func deletePost(x *exec, c *command.DeletePost) (any, error) {
	u, p, ch, err := x.editable(c.PostID)
	if err != nil {
		return nil, err
	}
	need := authz.DeletePost
	if p.UserID != u.ID {
		need = authz.DeleteOthersPosts
	}
	if err := x.mayInChannel(u, ch, need); err != nil {
		return nil, err
	}
	x.belongsTo(p.UserID)
	p = x.bury(p, u.ID)
	switch {
	case !p.RootID.IsZero():
		x.unreply(p)
	case p.ReplyCount > 0:
		x.beginTask(core.Task{Kind: core.TaskDeleteThread, PostID: p.ID, UserID: u.ID})
	}
	x.emit(event.PostDeleted{Post: x.withMetadata(p), By: u.ID})
	return nil, nil
}

// deleteReplies deletes some of the replies of a deleted post. Readers do not see the others meanwhile,
// because their root is deleted.
func deleteReplies(x *exec, t core.Task) bool {
	list := repliesOf.List(x, t.PostID)
	for _, r := range list {
		x.bury(r, t.UserID)
	}
	if len(list) > 0 {
		x.emit(event.RepliesDeleted{Channel: list[0].ChannelID})
	}
	return len(list) < repliesAtOnce
}

func (x *exec) bury(p core.Post, by core.UserID) core.Post {
	p.Props = maps.Clone(p.Props)
	if p.Props == nil {
		p.Props = map[string]any{}
	}
	p.Props["deleteBy"] = by.String()
	p = Posts.Archive(x, p)
	x.deleteFiles(p.FileIDs)
	x.unmention(p)
	return p
}

// unreply takes a deleted reply out of its thread's counts.
func (x *exec) unreply(gone core.Post) {
	root, ok := Posts.Get(x, gone.RootID)
	if !ok {
		return
	}
	root.ReplyCount = max(root.ReplyCount-1, 0)
	root.LastReplyAt = 0
	if last := lastReplyOf.List(x, root.ID); len(last) > 0 {
		root.LastReplyAt = last[0].CreateAt
	}
	if len(repliesBy.List(x, PostUser{root.ID, gone.UserID})) == 0 {
		root.Participants = without(root.Participants, gone.UserID)
	}
	Posts.Save(x, root)
}

// withMetadata adds to a post what its readers need with it. Each row of the table adds one thing.
func (x *exec) withMetadata(p core.Post) core.Post {
	for _, add := range metadata {
		add(x, &p)
	}
	return p
}
