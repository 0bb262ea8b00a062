package posts

import (
	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/command"
	"github.com/nearside/nearside/edge/api"
)

func (s *Service) addReaction(c *api.Call, _ core.User, in core.Reaction) (core.Reaction, error) {
	if err := in.Check(); err != nil {
		return in, err
	}
	if !c.IsMe(in.UserID) {
		return in, api.Forbidden
	}
	p, err := s.ReadablePost(c, in.PostID)
	if err != nil {
		return in, err
	}
	var made command.Made
	err = c.Propose(&command.AddReaction{PostID: p.ID, EmojiName: in.EmojiName}, &made)
	return core.Reaction{UserID: in.UserID, PostID: p.ID, EmojiName: in.EmojiName, CreateAt: made.At, UpdateAt: made.At, ChannelID: p.ChannelID}, err
}

func (s *Service) removeReaction(c *api.Call, in api.Two[core.UserID, core.Post]) (api.Done, error) {
	name := c.Param("emoji_name")
	if !core.ValidEmojiName(name) {
		return api.Done{}, api.BadURL("emoji_name")
	}
	return api.Done{}, c.Propose(&command.RemoveReaction{PostID: in.Second.ID, UserID: in.First, EmojiName: name}, nil)
}

func (s *Service) listReactions(c *api.Call, p core.Post) ([]core.Reaction, error) {
	return s.Read.Reactions(c, p.ID)
}

// reactionsOfPosts answers for the posts that the caller may read; the others are left out.
func (s *Service) reactionsOfPosts(c *api.Call, me core.User, ids []core.PostID) (map[core.PostID][]core.Reaction, error) {
	posts, err := s.postsByIDs(c, me, ids)
	out := make(map[core.PostID][]core.Reaction, len(posts))
	for _, p := range posts {
		out[p.ID] = append([]core.Reaction{}, p.Metadata.Reactions...)
	}
	return out, err
}
