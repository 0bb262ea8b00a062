package apply

import (
	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/authz"
	"github.com/nearside/nearside/core/command"
	"github.com/nearside/nearside/core/event"
	"github.com/nearside/nearside/core/schema"
)

// Reactions has the emoji that users put under posts.
var (
	Reactions   = table[ReactionKey, core.Reaction]("reactions")
	reactionsOf = index[core.PostID](Reactions, []string{"post_id"}, schema.OrderBy("create_at", "user_id", "emoji_name"), schema.AtMost(core.MaxReactionsOfPost))
)

// ReactionKey is the key of a reaction.
type ReactionKey struct {
	Post  core.PostID `db:"post_id"`
	User  core.UserID `db:"user_id"`
	Emoji string      `db:"emoji_name"`
}

var (
	tooManyReactions = core.Refusal{Kind: core.KindInvalid, ID: "app.reaction.save.save.too_many_reactions"}
	reactInArchived  = core.Refusal{Kind: core.KindForbidden, ID: "api.reaction.save.archived_channel.app_error"}
)

func addReaction(x *exec, c *command.AddReaction) (any, error) {
	u, p, ch, err := x.reactable(c.PostID)
	if err != nil {
		return nil, err
	}
	if err := x.mayInChannel(u, ch, authz.AddReaction); err != nil {
		return nil, err
	}
	r := core.Reaction{UserID: u.ID, PostID: p.ID, EmojiName: c.EmojiName, CreateAt: x.now, UpdateAt: x.now, ChannelID: ch.ID}
	if err := r.Check(); err != nil {
		return nil, err
	}
	if first, ok := Reactions.Get(x, ReactionKey{p.ID, u.ID, c.EmojiName}); ok {
		return command.Made{At: first.CreateAt}, nil
	}
	if tooMany(reactionsOf.List(x, p.ID), c.EmojiName) {
		return nil, tooManyReactions.With("max", core.MaxReactionsPerPost)
	}
	Reactions.Put(x, r)
	x.reacted(p, true)
	x.emit(event.ReactionAdded{Reaction: r})
	return command.Made{At: r.CreateAt}, nil
}

func removeReaction(x *exec, c *command.RemoveReaction) (any, error) {
	u, p, ch, err := x.reactable(c.PostID)
	if err != nil {
		return nil, err
	}
	need := authz.RemoveReaction
	if c.UserID != u.ID {
		need = authz.RemoveOthersReactions
	}
	if err := x.mayInChannel(u, ch, need); err != nil {
		return nil, err
	}
	r, ok := Reactions.Get(x, ReactionKey{p.ID, c.UserID, c.EmojiName})
	if !ok {
		return nil, nil
	}
	Reactions.Delete(x, ReactionKey{p.ID, c.UserID, c.EmojiName})
	x.reacted(p, len(reactionsOf.List(x, p.ID)) > 0)
	x.emit(event.ReactionRemoved{Reaction: r})
	return nil, nil
}

// reactable gives the caller, a live post, and its channel, which must not be archived.
func (x *exec) reactable(id core.PostID) (core.User, core.Post, core.Channel, error) {
	u, p, ch, err := x.editable(id)
	if ch.DeleteAt != 0 {
		err = reactInArchived
	}
	return u, p, ch, err
}

// tooMany reports whether one more reaction is over the limit of reactions or of different emoji.
func tooMany(list []core.Reaction, name string) bool {
	if len(list) >= core.MaxReactionsOfPost {
		return true
	}
	names := map[string]bool{}
	for _, r := range list {
		names[r.EmojiName] = true
	}
	return !names[name] && len(names) >= core.MaxReactionsPerPost
}

// reacted notes on the post that its reactions changed.
func (x *exec) reacted(p core.Post, has bool) {
	p.HasReactions = has
	Posts.Save(x, p)
}

func addReactions(x *exec, p *core.Post) {
	if p.HasReactions {
		p.Metadata.Reactions = reactionsOf.List(x, p.ID)
	}
}
