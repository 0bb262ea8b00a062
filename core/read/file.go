package read

import (
	"cmp"
	"context"
	"slices"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/apply"
	"github.com/nearside/nearside/core/pg"
)

// live is the condition for files that users see: those of posts, not deleted. It is written exactly as
// in the indexes, so that PostgreSQL uses them.
const live = `t.delete_at = 0 AND t.post_id <> ` + none

// File gives a file by id, deleted or not.
func (s *Store) File(ctx context.Context, id core.FileID) (core.File, bool, error) {
	return get(ctx, s.db, apply.Files, id)
}

// inOrder sorts files in the order of ids; files that the ids do not name come last.
func inOrder(list []core.File, ids []core.FileID) {
	place := make(map[core.FileID]int, len(ids))
	for i, id := range slices.Backward(ids) {
		place[id] = i - len(ids)
	}
	slices.SortStableFunc(list, func(a, b core.File) int { return cmp.Compare(place[a.ID], place[b.ID]) })
}

// FilesOfPost gives the files of a post in its order, and on request also its deleted files.
func (s *Store) FilesOfPost(ctx context.Context, id core.PostID, includeDeleted bool) ([]core.File, error) {
	p, _, err := get(ctx, s.db, apply.Posts, id)
	if err != nil {
		return nil, err
	}
	list, err := many(ctx, s.db, apply.Files, `FROM files t WHERE post_id = $1 AND post_id <> `+none+` AND (delete_at = 0 OR $2)
		ORDER BY create_at, id LIMIT $3`, [16]byte(id), includeDeleted, MaxIDs)
	inOrder(list, p.FileIDs)
	return list, err
}

// FilesInChannel counts the files of a channel's posts.
func (s *Store) FilesInChannel(ctx context.Context, ch core.ChannelID) (int64, error) {
	return count(ctx, s.db, `SELECT count(*) FROM files t WHERE channel_id = $1 AND `+live, [16]byte(ch))
}

// Stored gives how many bytes of files a person has, and a team.
func (s *Store) Stored(ctx context.Context, u core.UserID, t core.TeamID) (person, team int64, err error) {
	list, err := many(ctx, s.db, apply.Counters, `FROM counters t WHERE name IN ($1, $2) LIMIT 2`, core.StoredBy(u), core.StoredIn(t))
	for _, c := range list {
		if c.Name == core.StoredBy(u) {
			person = c.Value
		} else {
			team = c.Value
		}
	}
	return person, team, err
}

// StorageUsed counts the bytes of the files that are not deleted, without previews.
func (s *Store) StorageUsed(ctx context.Context) (int64, error) {
	return count(ctx, s.db, `SELECT coalesce(sum(size), 0)::bigint FROM files WHERE delete_at = 0`)
}

// LinkedFile gives the file of a public link, which is named by the SHA-256 of its token. There is none
// if the link was made before all links were made invalid, or if the file is deleted.
func (s *Store) LinkedFile(ctx context.Context, link core.BlobID) (core.FileID, bool, error) {
	id, ok, err := pg.QueryOne(ctx, s.db, `SELECT l.file_id FROM file_links l JOIN files f ON f.id = l.file_id
		WHERE l.link = $1 AND f.delete_at = 0 AND l.create_at > coalesce((SELECT value FROM counters WHERE name = $2), 0)`,
		pg.Scalar[[16]byte], link[:], core.LinksExpired)
	return id, ok, wrap("read link", err)
}

// LinksExpiredAt gives when all public links were last made invalid; 0 if never.
func (s *Store) LinksExpiredAt(ctx context.Context) (int64, error) {
	at, _, err := pg.QueryOne(ctx, s.db, `SELECT value FROM counters WHERE name = $1`, pg.Scalar[int64], core.LinksExpired)
	return at, wrap("read expiry of links", err)
}

// addFiles adds to live posts their files, and to earlier texts the files that they had, deleted or not.
func (s *Store) addFiles(ctx context.Context, posts []core.Post) error {
	return joined(ctx, s.db, posts, apply.Files, shownFiles, func(p *core.Post, f core.File) {
		if f.DeleteAt == 0 || !p.OriginalID.IsZero() {
			p.Metadata.Files = append(p.Metadata.Files, f)
		}
	})
}

func shownFiles(p *core.Post) []core.FileID {
	if p.DeleteAt == 0 || !p.OriginalID.IsZero() {
		return p.FileIDs
	}
	return nil
}
