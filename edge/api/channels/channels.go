// Package channels is the API's area for channels, their members, and the categories of the
// sidebar.
//
// It imports edge/api and edge/api/access, and no other area. A Service is safe for concurrent
// use.
package channels

import (
	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/authz"
	"github.com/nearside/nearside/core/event"
	"github.com/nearside/nearside/edge/api"
	"github.com/nearside/nearside/edge/api/access"
	"github.com/nearside/nearside/edge/hot"
	"github.com/nearside/nearside/edge/rate"
)

// readKept is how many pairs of a channel and a user who has read everything in it are cached.
const readKept = 100_000

// Service answers the operations of the area.
type Service struct {
	*access.Access

	// read has the time up to which a user has read a channel, if that is everything. It comes from
	// home's answers and not from the database, so it stays valid if the database loses commits.
	read *hot.Cache[core.ChannelID, core.UserID, int64]
}

// New makes a Service.
func New(a *access.Access) *Service {
	s := &Service{a, hot.New[core.ChannelID, core.UserID, int64](a.Local.Caches, "channels_read", readKept, nil)}
	api.OnEvent(a.Local, func(e event.PostsChanged) { s.read.Forget(e.PostsChanged()) })
	api.OnEvent(a.Local, func(e event.MembershipChanged) { s.read.Forget(e.MembershipChanged().Channel) })
	a.Local.OnReset(s.read.Clear)
	return s
}

// Routes returns the operations of the area.
func (s *Service) Routes() []api.Route {
	var (
		readable = s.PathChannel()
		member   = s.PathTeam(authz.ViewTeam)
		own      = access.OneselfOrEditor
		changed  = api.HomeDecides[core.Channel]("channel_id")
		bookmark = api.Both(readable, api.HomeDecides[core.Bookmark]("bookmark_id"))
	)
	return []api.Route{
		api.Post("/channels", api.SignedIn, api.Body(s.createChannel)).Created(),
		api.Get("/channels/{channel_id}", readable, s.getChannel),
		api.Put("/channels/{channel_id}/patch", readable, api.Body(s.patchChannel)),
		api.Delete("/channels/{channel_id}", readable, s.deleteChannel),
		api.Get("/channels/{channel_id}/stats", readable, s.channelStats),
		api.Get("/teams/{team_id}/channels", s.PathTeam(authz.ListTeamChannels), s.publicChannels),
		api.Get("/teams/{team_id}/channels/name/{channel_name}", s.readableByName(), s.channelByName),
		api.Get("/teams/name/{team_name}/channels/name/{channel_name}", s.readableByNames(), s.channelByName),
		api.Get("/users/{user_id}/channels", own, api.Since("last_delete_at", s.channelsOfUser)),
		api.Get("/users/{user_id}/teams/{team_id}/channels", api.Both(member, own), api.Since("last_delete_at", s.channelsOfUserInTeam)),
		api.Get("/users/{user_id}/channels/{channel_id}/unread", api.Both(own, readable), s.channelUnread),
		api.Get("/users/{user_id}/teams/{team_id}/channels/categories", api.Both(own, member), s.listCategories),

		api.Get("/channels/{channel_id}/members", readable, s.listMembers),
		api.Post("/channels/{channel_id}/members", changed, api.Body(s.addMember)).Created(),
		api.Post("/channels/{channel_id}/members/ids", readable, api.IDs("user_ids", s.membersByIDs)).Counts(rate.Read),
		api.Get("/channels/{channel_id}/members/{user_id}", api.Both(readable, access.AnyUserID), s.getMember),
		api.Delete("/channels/{channel_id}/members/{user_id}", api.Both(changed, access.HomeDecidesUser), s.removeMember),
		api.Post("/channels/members/{user_id}/view", access.Oneself, api.Body(s.viewChannel)),
		api.Get("/users/{user_id}/teams/{team_id}/channels/members", api.Both(own, member), s.membersOfUser),
		api.Get("/users/{user_id}/channel_members", own, s.allMembersOfUser),

		api.Get("/channels/{channel_id}/bookmarks", readable, api.Since("bookmarks_since", s.listBookmarks)),
		api.Post("/channels/{channel_id}/bookmarks", readable, api.Body(s.createBookmark)).Created(),
		api.Patch("/channels/{channel_id}/bookmarks/{bookmark_id}", bookmark, api.Body(s.patchBookmark)),
		api.Post("/channels/{channel_id}/bookmarks/{bookmark_id}/sort_order", bookmark, api.Body(s.sortBookmark)),
		api.Delete("/channels/{channel_id}/bookmarks/{bookmark_id}", bookmark, s.deleteBookmark),
	}
}

// readableByName allows callers who may read the channel that the path names in a team.
func (s *Service) readableByName() api.Policy[core.Channel] {
	return api.Allow("may read channel_name in team_id", func(c *api.Call) (core.Channel, error) {
		id, err := api.PathID[core.Team](c, "team_id")
		if err != nil {
			return core.Channel{}, err
		}
		return s.byName(c, id)
	})
}

// readableByNames is readableByName for a path with the team's name.
func (s *Service) readableByNames() api.Policy[core.Channel] {
	return api.Allow("may read channel_name in team_name", func(c *api.Call) (core.Channel, error) {
		t, err := api.Found[core.Team](access.NoTeamOfName)(s.Read.TeamByName(c, api.Lower(c.Param("team_name"))))
		if err != nil {
			return core.Channel{}, err
		}
		return s.byName(c, t.ID)
	})
}

// byName returns a channel of a team. A channel that the caller may not read is reported as
// missing: its name may be a secret.
func (s *Service) byName(c *api.Call, team core.TeamID) (core.Channel, error) {
	ch, err := api.Found[core.Channel](noChannelOfName)(s.Read.ChannelByName(c, team, api.Lower(c.Param("channel_name"))))
	if err == nil && ch.DeleteAt != 0 && !c.Flag("include_deleted") {
		err = noChannelOfName
	}
	if err != nil {
		return ch, err
	}
	may, err := s.MayRead(c, ch)
	if err == nil && !may && ch.Type != core.ChannelOpen {
		err = noChannelOfName
	}
	return ch, access.Granted(may, err)
}

var noChannelOfName = core.Refusal{Kind: core.KindNotFound, ID: "app.channel.get_by_name.missing.app_error"}
