package api

import (
	"context"
	"net/http"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/authz"
	"github.com/nearside/nearside/core/read"
)

// maxSharedPage is the last page that is kept for everybody; older ones are rarely asked for.
const maxSharedPage = 3

// postList is posts as the wire has them.
type postList struct {
	Order                     []core.PostID             `json:"order"`
	Posts                     map[core.PostID]core.Post `json:"posts"`
	NextPostID                core.PostID               `json:"next_post_id"` // the newer neighbour
	PrevPostID                core.PostID               `json:"prev_post_id"` // the older one
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

// listing is how a client wants a list of posts.
type listing struct {
	Collapsed   bool // threads are shown by their root alone
	SkipThreads bool // no replies beside the page
	Deleted     bool
}

// pageKey is what one page of a channel's posts depends on, beside the channel.
type pageKey struct {
	listing
	read.Page
}

func (l listing) filter() read.PostFilter {
	return read.PostFilter{RootsOnly: l.Collapsed, Deleted: l.Deleted}
}

func (c *call) listing() (listing, error) {
	l := listing{Collapsed: c.flag("collapsedThreads"), SkipThreads: c.flag("skipFetchThreads"), Deleted: c.flag("include_deleted")}
	if l.Deleted && !c.may(authz.ManageSystem) {
		return l, forbidden()
	}
	return l, nil
}

func (a *API) listPosts(c *call) error {
	ch, err := c.readableChannel()
	if err != nil {
		return err
	}
	l, err := c.listing()
	if err != nil {
		return err
	}
	since, err := c.millis("since")
	if err != nil {
		return err
	}
	before, err := queryID[core.Post](c, "before")
	if err != nil {
		return err
	}
	after, err := queryID[core.Post](c, "after")
	if err != nil {
		return err
	}
	r, f := a.cfg.Read, l.filter()
	switch {
	case since > 0:
		posts, err := r.PostsSince(c.ctx, ch.ID, f, since)
		return a.answerPosts(c, l, read.PostPage{Posts: posts}, err)
	case !after.IsZero():
		p, err := r.PostsAfter(c.ctx, ch.ID, f, after, c.pageOf())
		return a.answerPosts(c, l, p, anchored(err))
	case !before.IsZero():
		p, err := r.PostsBefore(c.ctx, ch.ID, f, before, c.pageOf())
		return a.answerPosts(c, l, p, anchored(err))
	}
	return a.answerPage(c, ch.ID, pageKey{l, c.pageOf()})
}

// anchored: a page from a post that is not there is empty, not an error.
func anchored(err error) error {
	if read.IsNoAnchor(err) {
		return nil
	}
	return err
}

// answerPage answers with a page counted from the newest post, from the cache when it can.
func (a *API) answerPage(c *call, ch core.ChannelID, k pageKey) error {
	fill := func(ctx context.Context) (*page, bool, error) {
		p, err := a.cfg.Read.Posts(ctx, ch, k.filter(), k.Page)
		if err != nil {
			return nil, false, err
		}
		list, err := a.threaded(ctx, k.listing, p)
		if err != nil {
			return nil, false, err
		}
		return &page{plain: mustJSON(list)}, true, nil
	}
	var err error
	if k.Number <= maxSharedPage && !k.Deleted {
		c.page, err = cached(c.ctx, a.facts, a.facts.pages, ch, k, fill)
	} else {
		c.page, _, err = fill(c.ctx)
	}
	c.status = http.StatusOK
	return err
}

// answerPosts answers with posts that are nobody else's.
func (a *API) answerPosts(c *call, l listing, p read.PostPage, err error) error {
	if err != nil {
		return err
	}
	list, err := a.threaded(c.ctx, l, p)
	return c.list(list, err)
}

// threaded makes a list of a page and, unless threads are collapsed, of the threads that its
// replies belong to.
func (a *API) threaded(ctx context.Context, l listing, p read.PostPage) (postList, error) {
	list := newPostList(p)
	if l.Collapsed {
		return list, nil
	}
	more, err := a.cfg.Read.ThreadsOf(ctx, p.Posts, !l.SkipThreads)
	for _, post := range more {
		if _, ok := list.Posts[post.ID]; !ok {
			list.Posts[post.ID] = post
		}
	}
	return list, err
}

// unreadPosts answers with the posts around the first that the user has not seen; with the
// newest when there is none such, or they have never looked.
func (a *API) unreadPosts(c *call) error {
	user, err := c.ownUser()
	if err != nil {
		return err
	}
	ch, err := c.readableChannel()
	if err != nil {
		return err
	}
	l, err := c.listing()
	if err != nil {
		return err
	}
	before := c.number("limit_before", defaultPerPage, maxPerPage)
	after := c.number("limit_after", defaultPerPage, maxPerPage)
	if after == 0 {
		return badQuery("limit_after")
	}
	m, ok, err := a.cfg.Read.ChannelMember(c.ctx, ch.ID, user)
	switch {
	case err != nil:
		return err
	case !ok:
		return noChannelMember()
	}
	var p read.PostPage
	if m.LastViewedAt > 0 {
		p, err = a.cfg.Read.PostsAround(c.ctx, ch.ID, l.filter(), m.LastViewedAt, before, after)
	}
	if err != nil || len(p.Posts) > 0 {
		return a.answerPosts(c, l, p, err)
	}
	return a.answerPage(c, ch.ID, pageKey{l, read.Page{Size: before}})
}

func (a *API) pinnedPosts(c *call) error {
	ch, err := c.readableChannel()
	if err != nil {
		return err
	}
	posts, err := a.cfg.Read.Pinned(c.ctx, ch.ID)
	return a.answerPosts(c, listing{Collapsed: true}, read.PostPage{Posts: posts}, err)
}

// getThread answers with a root post and its replies, the root first.
func (a *API) getThread(c *call) error {
	root, err := c.readablePost()
	if err != nil {
		return err
	}
	if !root.RootID.IsZero() {
		id, found := root.RootID, false
		if root, found, err = a.cfg.Read.Post(c.ctx, id); err == nil && (!found || root.DeleteAt != 0) {
			err = noPost()
		}
		if err != nil {
			return err
		}
	}
	f, err := c.threadFilter()
	if err != nil {
		return err
	}
	replies, more, err := a.cfg.Read.Replies(c.ctx, root.ID, f)
	if err != nil {
		return err
	}
	list := newPostList(read.PostPage{Posts: append([]core.Post{root}, replies...)})
	list.HasNext = &more
	return c.ok(list)
}

func (c *call) threadFilter() (f read.ThreadFilter, err error) {
	switch c.query("direction") {
	case "up":
		f.NewestFirst = true
	case "", "down":
	default:
		return f, badURL("direction")
	}
	f.Limit = c.number("perPage", 0, maxPerPage+1)
	if f.Limit > maxPerPage {
		return f, badURL("perPage")
	}
	if f.FromCreateAt, err = c.millis("fromCreateAt"); err != nil {
		return f, err
	}
	if f.FromPost, err = queryID[core.Post](c, "fromPost"); err != nil {
		return f, err
	}
	if !f.FromPost.IsZero() && f.FromCreateAt == 0 {
		return f, badURL("fromCreateAt")
	}
	return f, nil
}
