package read

import (
	"context"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/apply"
)

// Bookmarks gives a channel's bookmarks in their order: all that are not deleted, or, if since is not
// 0, those that were made, changed or deleted since then.
func (s *Store) Bookmarks(ctx context.Context, ch core.ChannelID, since int64) ([]core.Bookmark, error) {
	return s.bookmarks(ctx, `channel_id = $1 AND ($2 = 0 AND delete_at = 0 OR $2 > 0 AND update_at >= $2)`, [16]byte(ch), since)
}

// Bookmark gives a bookmark, deleted or not.
func (s *Store) Bookmark(ctx context.Context, id core.BookmarkID) (core.Bookmark, bool, error) {
	return first(s.bookmarks(ctx, `id = $1`, [16]byte(id)))
}

func (s *Store) bookmarks(ctx context.Context, where string, args ...any) ([]core.Bookmark, error) {
	list, err := many(ctx, s.db, apply.Bookmarks, `FROM bookmarks t WHERE `+where+` ORDER BY sort_order, create_at, id LIMIT 1000`, args...)
	if err != nil {
		return nil, err
	}
	return list, joined(ctx, s.db, list, apply.Files, func(b *core.Bookmark) []core.FileID { return []core.FileID{b.FileID} },
		func(b *core.Bookmark, f core.File) { b.File = &f })
}
