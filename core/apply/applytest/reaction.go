package applytest

import (
	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/apply"
)

func reactionKey(r core.Reaction) apply.ReactionKey {
	return apply.ReactionKey{Post: r.PostID, User: r.UserID, Emoji: r.EmojiName}
}

// ReactionsOf implements apply.Scans.
func (s *Store) ReactionsOf(post core.PostID) []core.Reaction {
	return scan(s.state.Reactions, func(r core.Reaction) bool { return r.PostID == post }, apply.ByReactionTime)
}
