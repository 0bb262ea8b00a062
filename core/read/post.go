package read

import (
	"context"
	"errors"
	"math"
	"slices"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/apply"
	"github.com/nearside/nearside/core/pg"
	"github.com/nearside/nearside/core/schema"
)

// Limits of post lists.
const (
	MaxSince   = 1000    // posts of a "since" list
	MaxReplies = 1000    // replies that come along with a page
	MaxBytes   = 4 << 20 // of posts in a list that goes on elsewhere; it ends with the post that reaches them
)

// inThread leaves out the replies of a thread that is being deleted: readers do not see them from the
// moment that their root is deleted.
const inThread = ` AND t.root_id NOT IN (SELECT post_id FROM tasks WHERE kind = 2)`

// inTeam leaves out channel memberships (table t) of users who are being removed from the team.
const inTeam = ` AND (t.team_id, t.user_id) NOT IN (SELECT team_id, user_id FROM tasks WHERE kind = 1)`

// PostFilter says which posts of a channel a list holds.
type PostFilter struct {
	RootsOnly bool // threads are collapsed: no replies
	Deleted   bool // deleted posts too
}

func (f PostFilter) where() string {
	w := " AND delete_at = 0" + inThread // a separate condition, so that the index of live posts is used
	if f.Deleted {
		w = " AND original_id = " + none
	}
	if f.RootsOnly {
		w += " AND root_id = " + none
	}
	return w
}

// PostPage is consecutive posts of a channel, the newest first, with the ids of the posts next to them
// on both sides; the zero id if there is none.
type PostPage struct {
	Posts        []core.Post
	Newer, Older core.PostID
}

// PostBytes gives about how much memory a post takes with its files.
func PostBytes(p *core.Post) int {
	n := apply.Posts.Size(schema.Row(p))
	for i := range p.Metadata.Files {
		n += apply.Files.Size(schema.Row(&p.Metadata.Files[i]))
	}
	return n
}

// Post gives a post by id, deleted or not.
func (s *Store) Post(ctx context.Context, id core.PostID) (core.Post, bool, error) {
	return first(s.posts(ctx, `FROM posts t WHERE id = $1`+inThread, [16]byte(id)))
}

// posts gives the posts that the rest of a query selects, with their metadata.
func (s *Store) posts(ctx context.Context, rest string, args ...any) ([]core.Post, error) {
	list, _, err := s.postsWithin(ctx, math.MaxInt, rest, args...)
	return list, err
}

// postsWithin is posts, but ends with the post that fills up a number of bytes, and reports whether one did.
func (s *Store) postsWithin(ctx context.Context, max int, rest string, args ...any) ([]core.Post, bool, error) {
	list, full, err := manyWithin(ctx, s.db, apply.Posts, max, rest, args...)
	if err != nil {
		return nil, false, err
	}
	return list, full, s.join(ctx, list)
}

// join adds to posts, in place, what each row of the metadata table adds.
func (s *Store) join(ctx context.Context, list []core.Post) error {
	for _, add := range metadata {
		if err := add(s, ctx, list); err != nil {
			return err
		}
	}
	return nil
}

// addMessages adds the text of system posts, which is not stored.
func (s *Store) addMessages(_ context.Context, posts []core.Post) error {
	for i := range posts {
		if p := &posts[i]; p.Type != "" && s.message != nil {
			p.Message = s.message(p)
		}
	}
	return nil
}

// PostsByIDs gives the posts with the given ids that are not deleted.
func (s *Store) PostsByIDs(ctx context.Context, ids []core.PostID) ([]core.Post, error) {
	return s.posts(ctx, `FROM posts t WHERE id = ANY($1) AND delete_at = 0`+inThread+` ORDER BY create_at DESC, id LIMIT 1000`, raw(ids))
}

// Posts gives a page of a channel's posts, counted from the newest.
func (s *Store) Posts(ctx context.Context, ch core.ChannelID, f PostFilter, p Page) (PostPage, error) {
	skip, n := p.offset(), p.Size+1
	if skip > 0 { // one more post at each end gives the neighbours
		skip, n = skip-1, n+1
	}
	posts, err := s.posts(ctx, `FROM posts t WHERE channel_id = $1`+f.where()+` ORDER BY create_at DESC, id DESC LIMIT $2 OFFSET $3`, [16]byte(ch), n, skip)
	if err != nil {
		return PostPage{}, err
	}
	var out PostPage
	if p.offset() > 0 && len(posts) > 0 {
		out.Newer, posts = posts[0].ID, posts[1:]
	}
	out.Posts, out.Older = cut(posts, p.Size)
	return out, nil
}

// cut gives the first n posts, and the id of the one after them.
func cut(posts []core.Post, n int) ([]core.Post, core.PostID) {
	if len(posts) > n {
		return posts[:n], posts[n].ID
	}
	return posts, core.PostID{}
}

// PostsBefore gives a page of the posts older than one of the channel's.
func (s *Store) PostsBefore(ctx context.Context, ch core.ChannelID, f PostFilter, anchor core.PostID, p Page) (PostPage, error) {
	from, err := s.spotOf(ctx, ch, anchor)
	if err != nil {
		return PostPage{}, err
	}
	posts, n, err := s.older(ctx, ch, f, from, p.offset(), p.Size)
	out := PostPage{Newer: anchor}
	out.Posts, out.Older = cut(posts, n)
	if err == nil && p.Number > 0 {
		out.Newer, err = s.neighbour(ctx, ch, f, out.Posts, true)
	}
	return out, err
}

// PostsAfter gives a page of the posts newer than one of the channel's.
func (s *Store) PostsAfter(ctx context.Context, ch core.ChannelID, f PostFilter, anchor core.PostID, p Page) (PostPage, error) {
	from, err := s.spotOf(ctx, ch, anchor)
	if err != nil {
		return PostPage{}, err
	}
	posts, n, err := s.newer(ctx, ch, f, from, p.offset(), p.Size)
	out := PostPage{Older: anchor}
	out.Posts, out.Newer = cut(posts, n)
	slices.Reverse(out.Posts)
	if err == nil && p.Number > 0 {
		out.Older, err = s.neighbour(ctx, ch, f, out.Posts, false)
	}
	return out, err
}

// PostsAround gives at most after posts from a time on, and at most before older ones. It is empty if
// there is nothing newer than the time.
func (s *Store) PostsAround(ctx context.Context, ch core.ChannelID, f PostFilter, since int64, before, after int) (PostPage, error) {
	newer, after, err := s.newer(ctx, ch, f, endOf(since), 0, after)
	if err != nil || len(newer) == 0 {
		return PostPage{}, err
	}
	older, before, err := s.older(ctx, ch, f, spotAt(newer[0]), 0, before)
	if err != nil {
		return PostPage{}, err
	}
	var out PostPage
	newer, out.Newer = cut(newer, after)
	older, out.Older = cut(older, before)
	slices.Reverse(newer)
	out.Posts = append(newer, older...)
	return out, nil
}

// spot is where a post is in the order of its channel. Posts that were brought in can have the same time:
// then the id decides, so that no page leaves one out.
type spot struct {
	at int64
	id core.PostID
}

func spotAt(p core.Post) spot { return spot{p.CreateAt, p.ID} }

// endOf is behind every post of a time.
func endOf(at int64) spot {
	p := spot{at: at}
	for i := range p.id {
		p.id[i] = 0xff
	}
	return p
}

// older gives n posts before a place, the newest first, and the one after them. A page without others before
// it may be shorter, because the next one begins where it ends: then n is less.
func (s *Store) older(ctx context.Context, ch core.ChannelID, f PostFilter, from spot, skip, n int) ([]core.Post, int, error) {
	return s.beside(ctx, `FROM posts t WHERE channel_id = $1 AND (create_at, id) < ($2, $3)`+f.where()+
		` ORDER BY create_at DESC, id DESC LIMIT $4 OFFSET $5`, ch, from, skip, n)
}

// newer gives n posts after a place, the oldest first, and the one after them, as older does.
func (s *Store) newer(ctx context.Context, ch core.ChannelID, f PostFilter, from spot, skip, n int) ([]core.Post, int, error) {
	return s.beside(ctx, `FROM posts t WHERE channel_id = $1 AND (create_at, id) > ($2, $3)`+f.where()+
		` ORDER BY create_at, id LIMIT $4 OFFSET $5`, ch, from, skip, n)
}

func (s *Store) beside(ctx context.Context, query string, ch core.ChannelID, from spot, skip, n int) ([]core.Post, int, error) {
	max := MaxBytes
	if skip > 0 { // the client counts pages, and pages before it were as long as this one is meant to be
		max = math.MaxInt
	}
	posts, full, err := s.postsWithin(ctx, max, query, [16]byte(ch), from.at, [16]byte(from.id), n+1, skip)
	if full {
		n = min(n, len(posts)-1)
	}
	return posts, n, err
}

// neighbour gives the post next to consecutive posts, on the newer or the older side.
func (s *Store) neighbour(ctx context.Context, ch core.ChannelID, f PostFilter, run []core.Post, newer bool) (core.PostID, error) {
	if len(run) == 0 {
		return core.PostID{}, nil
	}
	find, from := s.older, spotAt(run[len(run)-1])
	if newer {
		find, from = s.newer, spotAt(run[0])
	}
	next, _, err := find(ctx, ch, f, from, 0, 1)
	if err != nil || len(next) == 0 {
		return core.PostID{}, err
	}
	return next[0].ID, nil
}

// errNoAnchor means that the post to page from is not in the channel.
var errNoAnchor = errors.New("no such post in the channel")

// IsNoAnchor reports whether err says that the post to page from is not in the channel.
func IsNoAnchor(err error) bool { return errors.Is(err, errNoAnchor) }

func (s *Store) spotOf(ctx context.Context, ch core.ChannelID, id core.PostID) (spot, error) {
	at, ok, err := pg.QueryOne(ctx, s.db, `SELECT create_at FROM posts WHERE id = $1 AND channel_id = $2`, pg.Scalar[int64], [16]byte(id), [16]byte(ch))
	if err == nil && !ok {
		err = errNoAnchor
	}
	return spot{at, id}, wrap("read anchor", err)
}

// PostsSince gives what changed in a channel after a time: new, edited and deleted posts and
// their earlier texts, the newest first. Deleted ones come without their message.
func (s *Store) PostsSince(ctx context.Context, ch core.ChannelID, f PostFilter, since int64) ([]core.Post, error) {
	roots := ""
	if f.RootsOnly {
		roots = " AND root_id = " + none
	}
	// Everything that was updated, as two conditions that each have an index: few posts are ever changed.
	changed := ` AND (create_at > $2 AND delete_at = 0 OR update_at > $2 AND update_at <> create_at)`
	posts, _, err := s.postsWithin(ctx, MaxBytes, `FROM posts t WHERE channel_id = $1`+changed+roots+` ORDER BY create_at DESC, id LIMIT $3`, [16]byte(ch), since, MaxSince)
	for i := range posts {
		if posts[i].DeleteAt != 0 {
			emptied(&posts[i])
		}
	}
	return posts, err
}

// emptied removes the content of a deleted post. Only that there was one, and who deleted it, stays.
func emptied(p *core.Post) {
	p.Message, p.Hashtags, p.FileIDs, p.Metadata = "", "", nil, core.PostMetadata{}
	by, deleted := p.Props["deleteBy"]
	p.Props = nil
	if deleted {
		p.Props = map[string]any{"deleteBy": by}
	}
}

// ThreadsOf gives the root posts of the given posts and, if replies is set, the other replies of those
// threads.
func (s *Store) ThreadsOf(ctx context.Context, posts []core.Post, replies bool) ([]core.Post, error) {
	var roots []core.PostID
	seen := map[core.PostID]bool{}
	for _, p := range posts {
		if !p.RootID.IsZero() && !seen[p.RootID] {
			seen[p.RootID] = true
			roots = append(roots, p.RootID)
		}
	}
	if len(roots) == 0 {
		return nil, nil
	}
	out, err := s.PostsByIDs(ctx, roots)
	if err != nil || !replies {
		return out, err
	}
	more, _, err := s.postsWithin(ctx, MaxBytes, `FROM posts t WHERE root_id = ANY($1) AND root_id <> `+none+` AND delete_at = 0`+inThread+`
		ORDER BY create_at DESC, id LIMIT $2`, raw(roots), MaxReplies)
	return append(out, more...), err
}

// ThreadFilter says which replies of a thread are wanted.
type ThreadFilter struct {
	NewestFirst  bool
	FromCreateAt int64       // only beyond this time, in the direction; 0: from the beginning
	FromPost     core.PostID // among replies of that time, only those after this one
	Limit        int         // 0: MaxReplies
}

// Replies gives the replies to a post that are not deleted, and whether there are more.
func (s *Store) Replies(ctx context.Context, root core.PostID, f ThreadFilter) ([]core.Post, bool, error) {
	n := f.Limit
	if n <= 0 {
		n = MaxReplies
	}
	cmp, order := ">", "create_at, id"
	if f.NewestFirst {
		cmp, order = "<", "create_at DESC, id DESC"
	}
	posts, full, err := s.postsWithin(ctx, MaxBytes, `FROM posts t WHERE root_id = $1 AND root_id <> `+none+` AND delete_at = 0`+inThread+`
		AND ($2::bigint = 0 OR (create_at, id) `+cmp+` ($2, $3)) ORDER BY `+order+` LIMIT $4`, [16]byte(root), f.FromCreateAt, [16]byte(f.FromPost), n+1)
	more := len(posts) > n || full
	return posts[:min(n, len(posts))], more, err
}

// Pinned gives a channel's pinned posts, the newest first.
func (s *Store) Pinned(ctx context.Context, ch core.ChannelID) ([]core.Post, error) {
	posts, _, err := s.postsWithin(ctx, MaxBytes, `FROM posts t WHERE channel_id = $1 AND is_pinned AND delete_at = 0`+inThread+`
		ORDER BY create_at DESC, id LIMIT 1000`, [16]byte(ch))
	return posts, err
}

// History gives the earlier texts of a post, the latest first.
func (s *Store) History(ctx context.Context, id core.PostID) ([]core.Post, error) {
	posts, _, err := s.postsWithin(ctx, MaxBytes, `FROM posts t WHERE original_id = $1 AND original_id <> `+none+`
		ORDER BY update_at DESC, id LIMIT 1000`, [16]byte(id))
	return posts, err
}
