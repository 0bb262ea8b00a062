package api

import (
	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/command"
)

func (a *API) addReaction(c *call) error {
	var in core.Reaction
	if err := c.decode(&in); err != nil {
		return err
	}
	if err := in.Check(); err != nil {
		return err
	}
	if !c.isMe(in.UserID) {
		return forbidden()
	}
	_, team, err := c.editedPostByID(in.PostID)
	if err != nil {
		return err
	}
	var out core.Reaction
	err = c.propose(team, &command.AddReaction{PostID: in.PostID, EmojiName: in.EmojiName}, &out)
	return c.list(out, err)
}

func (a *API) removeReaction(c *call) error {
	id, err := c.userID()
	if err != nil {
		return err
	}
	p, team, err := c.editedPost()
	if err != nil {
		return err
	}
	name := c.param("emoji_name")
	if !core.ValidEmojiName(name) {
		return badURL("emoji_name")
	}
	if err := c.propose(team, &command.RemoveReaction{PostID: p.ID, UserID: id, EmojiName: name}, nil); err != nil {
		return err
	}
	return c.done()
}

func (a *API) listReactions(c *call) error {
	p, err := c.readablePost()
	if err != nil {
		return err
	}
	return c.list(a.cfg.Read.Reactions(c.ctx, p.ID))
}

// reactionsOfPosts answers for the posts that may be read; the others have none to show.
func (a *API) reactionsOfPosts(c *call) error {
	posts, err := c.readablePosts()
	if err != nil {
		return err
	}
	out := make(map[core.PostID][]core.Reaction, len(posts))
	for _, p := range posts {
		out[p.ID] = append([]core.Reaction{}, p.Metadata.Reactions...)
	}
	return c.ok(out)
}
