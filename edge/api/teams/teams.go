// Package teams is the API's area for teams, their members, and their unread messages.
//
// It imports edge/api and edge/api/access, and no other area. A Service has no state.
package teams

import (
	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/authz"
	"github.com/nearside/nearside/edge/api"
	"github.com/nearside/nearside/edge/api/access"
	"github.com/nearside/nearside/edge/rate"
)

// Service answers the operations of the area.
type Service struct{ *access.Access }

// New makes a Service.
func New(a *access.Access) *Service { return &Service{a} }

// Routes returns the operations of the area.
func (s *Service) Routes() []api.Route {
	var (
		member  = s.PathTeam(authz.ViewTeam)
		changed = api.HomeDecides[core.Team]("team_id")
	)
	return []api.Route{
		api.Post("/teams", api.SignedIn, api.Body(s.createTeam)).Created(),
		api.Get("/teams", access.SystemRole(authz.ListPrivateTeams, authz.ListPublicTeams), s.listTeams),
		api.Get("/teams/{team_id}", s.visible(), s.getTeam),
		api.Put("/teams/{team_id}/patch", changed, api.Body(s.patchTeam)),
		api.Delete("/teams/{team_id}", changed, s.deleteTeam),
		api.Get("/teams/name/{name}", s.visibleByName(), s.getTeam),
		api.Get("/teams/name/{name}/exists", api.SignedIn, s.teamExists),
		api.Get("/teams/invite/{invite_id}", api.Anybody, s.inviteInfo),
		api.Post("/teams/members/invite", api.SignedIn, s.joinByInvite).Created(),
		api.Get("/teams/{team_id}/stats", member, s.teamStats),
		api.Get("/teams/{team_id}/members", member, s.listTeamMembers),
		api.Post("/teams/{team_id}/members", changed, api.Body(s.addTeamMember)).Created(),
		api.Post("/teams/{team_id}/members/batch", changed, api.Body(s.addTeamMembers)).Created(),
		api.Post("/teams/{team_id}/members/ids", member, api.IDs("user_ids", s.teamMembersByIDs)).Counts(rate.Read),
		api.Get("/teams/{team_id}/members/{user_id}", api.Both(member, access.AnyUserID), s.getTeamMember),
		api.Delete("/teams/{team_id}/members/{user_id}", api.Both(changed, access.HomeDecidesUser), s.removeTeamMember),
		api.Get("/users/{user_id}/teams", access.OneselfOrEditor, s.teamsOfUser),
		api.Get("/users/{user_id}/teams/members", access.OneselfOrEditor, s.teamMembersOfUser),
		api.Get("/users/{user_id}/teams/unread", access.OneselfOrEditor, s.teamsUnread),
		api.Get("/users/{user_id}/teams/{team_id}/unread", api.Both(access.OneselfOrEditor, member), s.teamUnread),
	}
}

// visible allows callers who may see the path's team.
func (s *Service) visible() api.Policy[core.Team] {
	return api.Allow("may see team_id", func(c *api.Call) (core.Team, error) {
		id, err := api.PathID[core.Team](c, "team_id")
		if err != nil {
			return core.Team{}, err
		}
		return s.VisibleTeam(c, id)
	})
}

// visibleByName is visible for a path with a name.
func (s *Service) visibleByName() api.Policy[core.Team] {
	return api.Allow("may see the team of name", func(c *api.Call) (core.Team, error) {
		t, err := api.Found[core.Team](access.NoTeamOfName)(s.Read.TeamByName(c, api.Lower(c.Param("name"))))
		if err != nil {
			return t, err
		}
		return s.VisibleTeam(c, t.ID)
	})
}
