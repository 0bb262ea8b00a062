// Package posts is the API's area for posts, threads and reactions.
//
// It imports edge/api and edge/api/access, and no other area. Pages of posts that many users
// request are cached encoded, until an event reports a change of the channel's posts. A Service
// is safe for concurrent use.
package posts

import (
	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/event"
	"github.com/nearside/nearside/edge/api"
	"github.com/nearside/nearside/edge/api/access"
	"github.com/nearside/nearside/edge/rate"
)

// defaultPageBytes is the memory for the cache of encoded pages.
const defaultPageBytes = 64 << 20

// Config configures a Service. The zero value of each optional field means its documented default.
type Config struct {
	Access    *access.Access // required
	Online    Online         // which of some users are online; default: nobody
	PageBytes int64          // memory for encoded pages of posts; default 64 MiB
}

// Online gives those of some users who are online.
type Online func(ids []core.UserID) []core.UserID

// Service answers the operations of the area.
type Service struct {
	*access.Access
	pages  api.Cache[core.ChannelID, pageKey, *api.Page]
	fresh  *fresh
	online Online
}

// New makes a Service.
func New(cfg Config) *Service {
	if cfg.PageBytes <= 0 {
		cfg.PageBytes = defaultPageBytes
	}
	if cfg.Online == nil {
		cfg.Online = func([]core.UserID) []core.UserID { return nil }
	}
	local := cfg.Access.Local
	s := &Service{cfg.Access, api.Keep[core.ChannelID, pageKey](local, "post_pages", cfg.PageBytes, (*api.Page).Size,
		api.DropOn(event.PostsChanged.PostsChanged), api.DropOn(event.ChannelChanged.ChannelChanged)), newFresh(), cfg.Online}
	api.OnEvent(local, func(e event.Posted) { s.fresh.add(e.Post) })
	api.OnEvent(local, func(e event.PostEdited) { s.fresh.drop(e.Post.ID) })
	api.OnEvent(local, func(e event.PostDeleted) { s.fresh.drop(e.Post.ID) })
	local.OnReset(s.fresh.reset)
	return s
}

// Routes returns the operations of the area.
func (s *Service) Routes() []api.Route {
	var (
		readable = s.PathPost()
		channel  = s.PathChannel()
	)
	return []api.Route{
		api.Post("/posts", api.SignedIn, api.Body(s.createPost)).Created().Counts(rate.Post),
		api.Get("/posts/{post_id}", readable, s.getPost),
		api.Put("/posts/{post_id}", readable, api.Body(s.updatePost)),
		api.Put("/posts/{post_id}/patch", readable, api.Body(s.patchPost)),
		api.Delete("/posts/{post_id}", readable, s.deletePost),
		api.Post("/posts/{post_id}/pin", readable, s.pinPost),
		api.Post("/posts/{post_id}/unpin", readable, s.unpinPost),
		api.Get("/posts/{post_id}/thread", readable, s.getThread),
		api.Get("/posts/{post_id}/edit_history", s.own(), s.postHistory),
		api.Post("/posts/ids", api.SignedIn, api.IDs("post_ids", s.postsByIDs)).Counts(rate.Read),
		api.Get("/channels/{channel_id}/posts", channel, s.listPosts),
		api.Get("/channels/{channel_id}/pinned", channel, s.pinnedPosts),
		api.Get("/users/{user_id}/channels/{channel_id}/posts/unread", api.Both(access.OneselfOrEditor, channel), s.unreadPosts),

		api.Post("/reactions", api.SignedIn, api.Body(s.addReaction)),
		api.Get("/posts/{post_id}/reactions", readable, s.listReactions),
		api.Post("/posts/ids/reactions", api.SignedIn, api.IDs("post_ids", s.reactionsOfPosts)).Counts(rate.Read),
		api.Delete("/users/{user_id}/posts/{post_id}/reactions/{emoji_name}", api.Both(access.HomeDecidesUser, readable), s.removeReaction),
	}
}

// own allows the author of the path's post.
func (s *Service) own() api.Policy[core.Post] {
	return api.Allow("the author of post_id", func(c *api.Call) (core.Post, error) {
		p, err := s.PostOfPath(c)
		if err == nil && !c.IsMe(p.UserID) {
			err = api.Forbidden
		}
		return p, err
	})
}
