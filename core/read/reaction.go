package read

import (
	"context"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/apply"
)

// Reactions gives the reactions to posts, oldest first.
func (s *Store) Reactions(ctx context.Context, posts ...core.PostID) ([]core.Reaction, error) {
	return many(ctx, s.db, apply.Reactions, `FROM reactions t WHERE post_id = ANY($1) ORDER BY create_at, user_id, emoji_name`, raw(posts))
}

func (s *Store) addReactions(ctx context.Context, posts []core.Post) error {
	at := map[core.PostID]int{}
	var ids []core.PostID
	for i, p := range posts {
		if p.HasReactions && p.DeleteAt == 0 {
			at[p.ID] = i
			ids = append(ids, p.ID)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	list, err := s.Reactions(ctx, ids...)
	for _, r := range list {
		m := &posts[at[r.PostID]].Metadata
		m.Reactions = append(m.Reactions, r)
	}
	return err
}
