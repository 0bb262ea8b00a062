package event

import (
	"strings"

	"github.com/nearside/nearside/core"
)

// Posted is a new post.
type Posted struct {
	Post      core.Post
	Channel   core.Channel
	Sender    string // of a post that somebody wrote
	SetOnline bool
	Mentions  []core.UserID // at most core.MaxMentions
	Everyone  bool          // everybody in the channel but the author is mentioned
	Followers []core.UserID // of its thread: at most core.MaxThreadPeople, and the author of the root
}

func (Posted) Name() string     { return "posted" }
func (e Posted) To() []Audience { return toChannel(e.Channel.ID) }

func (e Posted) Write(d *Data, _ *Audience) {
	d.String("channel_display_name", e.Channel.DisplayName)
	d.String("channel_name", e.Channel.Name)
	d.String("channel_type", e.Channel.Type)
	d.Post(&e.Post)
	sender := e.Sender
	if e.Post.IsSystem() {
		sender = "System" // what clients of existing servers get
	}
	d.String("sender_name", sender)
	d.Bool("set_online", e.SetOnline)
	d.String("team_id", e.Channel.TeamID.String())
	if len(e.Post.FileIDs) > 0 {
		d.String("otherFile", "true")
	}
	for i := range e.Post.Metadata.Files {
		if strings.HasPrefix(e.Post.Metadata.Files[i].MimeType, "image/") { // clients choose the text of a notification by it
			d.String("image", "true")
			break
		}
	}
}

func (e Posted) Personal() Concerned {
	c := Concerned{Mentions: e.Mentions, Followers: e.Followers}
	if e.Everyone {
		c.EveryoneBut = e.Post.UserID
	}
	return c
}

func (e Posted) PostsChanged() core.ChannelID { return e.Channel.ID }

// PostEdited is a changed post.
type PostEdited struct{ Post core.Post }

func (PostEdited) Name() string                   { return "post_edited" }
func (e PostEdited) To() []Audience               { return toChannel(e.Post.ChannelID) }
func (e PostEdited) Write(d *Data, _ *Audience)   { d.Post(&e.Post) }
func (e PostEdited) PostsChanged() core.ChannelID { return e.Post.ChannelID }

// PostDeleted is a deleted post. Only administrators learn who deleted it.
type PostDeleted struct {
	Post core.Post
	By   core.UserID
}

func (PostDeleted) Name() string { return "post_deleted" }

func (e PostDeleted) To() []Audience {
	return []Audience{{Channel: e.Post.ChannelID, OthersOnly: true}, {Channel: e.Post.ChannelID, AdminsOnly: true}}
}

func (e PostDeleted) Write(d *Data, to *Audience) {
	d.Post(&e.Post)
	if to.AdminsOnly {
		d.String("delete_by", e.By.String())
	}
}

func (e PostDeleted) PostsChanged() core.ChannelID { return e.Post.ChannelID }

// RepliesDeleted is replies that were deleted because their root was. Clients know that already.
type RepliesDeleted struct {
	quiet
	Channel core.ChannelID
}

func (e RepliesDeleted) PostsChanged() core.ChannelID { return e.Channel }
