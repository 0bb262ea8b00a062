package posts

import (
	"context"
	"net/http"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/authz"
	"github.com/nearside/nearside/core/read"
	"github.com/nearside/nearside/edge/api"
	"github.com/nearside/nearside/edge/api/access"
)

// maxSharedPage is the last page that is cached; older ones are rarely requested.
const maxSharedPage = 3

// postList is a list of posts as clients receive it.
type postList struct {
	Order                     []core.PostID             `json:"order"`
	Posts                     map[core.PostID]core.Post `json:"posts"`
	NextPostID                core.PostID               `json:"next_post_id"` // the next newer post
	PrevPostID                core.PostID               `json:"prev_post_id"` // the next older post
	HasNext                   *bool                     `json:"has_next,omitempty"`
	FirstInaccessiblePostTime int64                     `json:"first_inaccessible_post_time"`
}

func newPostList(p read.PostPage) postList {
	l := postList{
		Order: make([]core.PostID, len(p.Posts)), Posts: make(map[core.PostID]core.Post, len(p.Posts)),
		NextPostID: p.Newer, PrevPostID: p.Older,
	}
	for i, post := range p.Posts {
		l.Order[i] = post.ID
		l.Posts[post.ID] = post
	}
	return l
}

// listing is the form in which a client wants a list of posts.
type listing struct {
	Collapsed   bool // of a thread, only the root is listed
	SkipThreads bool // without the other posts of the page's threads
	Deleted     bool
}

// pageKey identifies a page of a channel's posts in the cache, together with the channel.
type pageKey struct {
	listing
	read.Page
}

func (l listing) filter() read.PostFilter {
	return read.PostFilter{RootsOnly: l.Collapsed, Deleted: l.Deleted}
}

func listingOf(c *api.Call) (listing, error) {
	l := listing{Collapsed: c.Flag("collapsedThreads"), SkipThreads: c.Flag("skipFetchThreads"), Deleted: c.Flag("include_deleted")}
	if l.Deleted && !access.May(c, authz.ManageSystem) {
		return l, api.Forbidden
	}
	return l, nil
}

func (s *Service) listPosts(c *api.Call, ch core.Channel) (api.Answer, error) {
	l, err := listingOf(c)
	if err != nil {
		return nil, err
	}
	since, err := c.Millis("since")
	if err != nil {
		return nil, err
	}
	before, err := api.QueryID[core.Post](c, "before")
	if err != nil {
		return nil, err
	}
	after, err := api.QueryID[core.Post](c, "after")
	if err != nil {
		return nil, err
	}
	switch {
	case since > 0:
		posts, err := s.Read.PostsSince(c, ch.ID, l.filter(), since)
		return s.some(c, l, read.PostPage{Posts: posts}, err)
	case !after.IsZero():
		p, err := s.Read.PostsAfter(c, ch.ID, l.filter(), after, c.Page())
		return s.some(c, l, p, anchored(err))
	case !before.IsZero():
		p, err := s.Read.PostsBefore(c, ch.ID, l.filter(), before, c.Page())
		return s.some(c, l, p, anchored(err))
	}
	return s.newest(c, ch.ID, pageKey{l, c.Page()})
}

// anchored makes a page empty instead of an error if the post at which it begins does not exist.
func anchored(err error) error {
	if read.IsNoAnchor(err) {
		return nil
	}
	return err
}

// newest returns a page counted from the newest post, from the cache if possible.
func (s *Service) newest(c *api.Call, ch core.ChannelID, k pageKey) (api.Answer, error) {
	fill := func(ctx context.Context) (*api.Page, bool, error) {
		p, err := s.Read.Posts(ctx, ch, k.filter(), k.Page)
		if err != nil {
			return nil, false, err
		}
		list, err := s.threaded(ctx, k.listing, p)
		if err != nil {
			return nil, false, err
		}
		return api.NewPage(list), true, nil
	}
	var page *api.Page
	var err error
	if k.Number <= maxSharedPage && !k.Deleted {
		page, err = s.pages.Get(c.Context, ch, k, fill)
	} else {
		page, _, err = fill(c)
	}
	return api.Raw{Status: http.StatusOK, Page: page}, err
}

// some answers with posts that are not cached, because only this caller wants them.
func (s *Service) some(c *api.Call, l listing, p read.PostPage, err error) (api.Answer, error) {
	if err != nil {
		return nil, err
	}
	list, err := s.threaded(c, l, p)
	return api.Value(http.StatusOK, list), err
}

// threaded makes a list of a page and, unless threads are collapsed, of the threads of its
// replies.
func (s *Service) threaded(ctx context.Context, l listing, p read.PostPage) (postList, error) {
	list := newPostList(p)
	if l.Collapsed {
		return list, nil
	}
	more, err := s.Read.ThreadsOf(ctx, p.Posts, !l.SkipThreads)
	for _, post := range more {
		if _, ok := list.Posts[post.ID]; !ok {
			list.Posts[post.ID] = post
		}
	}
	return list, err
}

// unreadPosts answers with the posts around the first one that the user has not seen; with the
// newest posts if all are seen or the user has never viewed the channel.
func (s *Service) unreadPosts(c *api.Call, in api.Two[core.UserID, core.Channel]) (api.Answer, error) {
	ch := in.Second.ID
	l, err := listingOf(c)
	if err != nil {
		return nil, err
	}
	before := c.Number("limit_before", api.DefaultPerPage, api.MaxPerPage)
	after := c.Number("limit_after", api.DefaultPerPage, api.MaxPerPage)
	if after == 0 {
		return nil, api.BadQuery("limit_after")
	}
	m, err := api.Found[core.ChannelMember](access.NoChannelMember)(s.Read.ChannelMember(c, ch, in.First))
	if err != nil {
		return nil, err
	}
	var p read.PostPage
	if m.LastViewedAt > 0 {
		p, err = s.Read.PostsAround(c, ch, l.filter(), m.LastViewedAt, before, after)
	}
	if err != nil || len(p.Posts) > 0 {
		return s.some(c, l, p, err)
	}
	return s.newest(c, ch, pageKey{l, read.Page{Size: before}})
}

func (s *Service) pinnedPosts(c *api.Call, ch core.Channel) (postList, error) {
	posts, err := s.Read.Pinned(c, ch.ID)
	return newPostList(read.PostPage{Posts: posts}), err
}

// getThread answers with a root post and its replies, the root first.
func (s *Service) getThread(c *api.Call, root core.Post) (list postList, err error) {
	if !root.RootID.IsZero() {
		root, err = api.Found[core.Post](access.NoPost)(s.Read.Post(c, root.RootID))
		if err == nil && root.DeleteAt != 0 {
			err = access.NoPost
		}
		if err != nil {
			return list, err
		}
	}
	f, err := threadFilter(c)
	if err != nil {
		return list, err
	}
	replies, more, err := s.Read.Replies(c, root.ID, f)
	list = newPostList(read.PostPage{Posts: append([]core.Post{root}, replies...)})
	list.HasNext = &more
	return list, err
}

func threadFilter(c *api.Call) (f read.ThreadFilter, err error) {
	switch c.Query("direction") {
	case "up":
		f.NewestFirst = true
	case "", "down":
	default:
		return f, api.BadURL("direction")
	}
	f.Limit = c.Number("perPage", 0, api.MaxPerPage+1)
	if f.Limit > api.MaxPerPage {
		return f, api.BadURL("perPage")
	}
	if f.FromCreateAt, err = c.Millis("fromCreateAt"); err != nil {
		return f, err
	}
	if f.FromPost, err = api.QueryID[core.Post](c, "fromPost"); err != nil {
		return f, err
	}
	if !f.FromPost.IsZero() && f.FromCreateAt == 0 {
		return f, api.BadURL("fromCreateAt")
	}
	return f, nil
}
