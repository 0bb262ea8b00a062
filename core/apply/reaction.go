package apply

import (
	"cmp"
	"slices"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/authz"
	"github.com/nearside/nearside/core/command"
	"github.com/nearside/nearside/core/event"
)

// ReactionKey is the key of a reaction.
type ReactionKey struct {
	Post  core.PostID
	User  core.UserID
	Emoji string
}

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
	if first, ok := x.Reactions.Get(ReactionKey{p.ID, u.ID, c.EmojiName}); ok {
		return first, nil
	}
	if tooMany(x.ReactionsOf(p.ID), c.EmojiName) {
		return nil, invalid("app.reaction.save.save.too_many_reactions", "A post has at most %d different reactions.", core.MaxReactionsPerPost)
	}
	x.Reactions.Put(r)
	x.reacted(p, true, "reaction_added", r)
	return r, nil
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
	r, ok := x.Reactions.Get(ReactionKey{p.ID, c.UserID, c.EmojiName})
	if !ok {
		return nil, nil
	}
	x.Reactions.Delete(ReactionKey{p.ID, c.UserID, c.EmojiName})
	x.reacted(p, len(x.ReactionsOf(p.ID)) > 0, "reaction_removed", r)
	return nil, nil
}

// reactable gives the caller, a live post, and its channel, which must not be archived.
func (x *exec) reactable(id core.PostID) (core.User, core.Post, core.Channel, error) {
	u, p, ch, err := x.editable(id)
	if ch.DeleteAt != 0 {
		err = core.E(core.KindForbidden, "The channel is archived: nobody can react in it.").WithID("api.reaction.save.archived_channel.app_error")
	}
	return u, p, ch, err
}

// tooMany: one more emoji, of a new name, is over the limit.
func tooMany(list []core.Reaction, name string) bool {
	names := map[string]bool{}
	for _, r := range list {
		names[r.EmojiName] = true
	}
	return !names[name] && len(names) >= core.MaxReactionsPerPost
}

// reacted notes on the post that its reactions changed, and announces it.
func (x *exec) reacted(p core.Post, has bool, name string, r core.Reaction) {
	p.HasReactions = has
	p.UpdateAt = max(x.now, p.UpdateAt+1)
	x.Posts.Put(p)
	x.emit(event.Event{
		Name: name, Data: []event.Field{{Key: "reaction", Value: r, JSON: true}},
		Audience: event.Audience{Channel: p.ChannelID}, Effect: event.Effect{Kind: event.PostsChanged, Channel: p.ChannelID},
	})
}

func addReactions(x *exec, p *core.Post) {
	if p.HasReactions {
		p.Metadata.Reactions = x.ReactionsOf(p.ID)
	}
}

// ByReactionTime is the order of reactions: total, so that every replica has the same.
func ByReactionTime(a, b core.Reaction) int {
	return cmp.Or(cmp.Compare(a.CreateAt, b.CreateAt), slices.Compare(a.UserID[:], b.UserID[:]), cmp.Compare(a.EmojiName, b.EmojiName))
}
