package teams

import (
	"net/http"
	"time"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/authz"
	"github.com/nearside/nearside/core/command"
	"github.com/nearside/nearside/edge/api"
	"github.com/nearside/nearside/edge/api/access"
	"github.com/nearside/nearside/edge/catalogue"
)

// shown is a team without the fields that only its members, or its administrators, may see.
func (s *Service) shown(c *api.Call, t core.Team) (core.Team, error) {
	manage, err := s.MayInTeam(c, t.ID, authz.ManageTeam)
	if err != nil {
		return t, err
	}
	invite, err := s.MayInTeam(c, t.ID, authz.InviteUser)
	if !manage {
		t.Email = ""
	}
	if !invite {
		t.InviteID = ""
	}
	return t, err
}

func (s *Service) shownTeams(c *api.Call, teams []core.Team, err error) ([]core.Team, error) {
	for i := range teams {
		if teams[i], err = s.shown(c, teams[i]); err != nil {
			return nil, err
		}
	}
	return teams, err
}

// unbuilt has the fields of a team that a client may not set yet.
type unbuilt struct {
	SchemeID         api.Unbuilt `json:"scheme_id"`
	GroupConstrained api.Unbuilt `json:"group_constrained"`
}

type newTeam struct {
	core.Team
	unbuilt
}

type teamPatch struct {
	core.TeamPatch
	unbuilt
}

func (s *Service) createTeam(c *api.Call, _ core.User, in newTeam) (core.Team, error) {
	t := core.Team{
		ID: core.NewID[core.Team](time.Now()), Name: api.Lower(in.Name), DisplayName: in.DisplayName, Description: in.Description,
		Type: in.Type, CompanyName: in.CompanyName, AllowedDomains: in.AllowedDomains, AllowOpenInvite: in.AllowOpenInvite,
		Email: api.Lower(in.Email), InviteID: core.NewID[core.Team](time.Now()).String(),
	}
	if err := t.Check(); err != nil {
		return t, err
	}
	return api.Changed(c, &command.CreateTeam{Team: t, TownSquare: catalogue.ChannelName(core.TownSquare), OffTopic: catalogue.ChannelName(core.OffTopic)}, s.Read.Team, t.ID)
}

// countedTeams is a page of teams with the total number.
type countedTeams struct {
	Teams []core.Team `json:"teams"`
	Total int64       `json:"total_count"`
}

func (s *Service) listTeams(c *api.Call, _ core.User) (api.Answer, error) {
	all := access.May(c, authz.ListPrivateTeams)
	teams, err := s.Read.Teams(c, all, c.Page(), c.User.Locale)
	if teams, err = s.shownTeams(c, teams, err); err != nil || !c.Flag("include_total_count") {
		return api.Value(http.StatusOK, teams), err
	}
	n, err := s.Read.CountTeams(c, all)
	return api.Value(http.StatusOK, countedTeams{teams, n}), err
}

func (s *Service) getTeam(c *api.Call, t core.Team) (core.Team, error) { return s.shown(c, t) }

func (s *Service) teamExists(c *api.Call, _ core.User) (map[string]bool, error) {
	t, ok, err := s.Read.TeamByName(c, api.Lower(c.Param("name")))
	if err == nil && ok {
		_, err = s.VisibleTeam(c, t.ID)
		ok = err == nil
		if core.KindOf(err) == core.KindForbidden {
			err = nil
		}
	}
	return map[string]bool{"exists": ok}, err
}

func (s *Service) patchTeam(c *api.Call, id core.TeamID, in teamPatch) (core.Team, error) {
	out, err := api.Changed(c, &command.PatchTeam{TeamID: id, TeamPatch: in.TeamPatch}, s.Read.Team, id)
	if err != nil {
		return out, err
	}
	return s.shown(c, out)
}

func (s *Service) deleteTeam(c *api.Call, id core.TeamID) (api.Done, error) {
	if c.Flag("permanent") {
		return api.Done{}, api.NoPermanentDeletion
	}
	return api.Done{}, c.Propose(&command.DeleteTeam{TeamID: id}, nil)
}

func (s *Service) teamsOfUser(c *api.Call, id core.UserID) ([]core.Team, error) {
	teams, err := s.Read.TeamsOf(c, id, c.User.Locale)
	return s.shownTeams(c, teams, err)
}

// teamStats is the numbers of a team's members.
type teamStats struct {
	TeamID core.TeamID `json:"team_id"`
	Total  int64       `json:"total_member_count"`
	Active int64       `json:"active_member_count"`
}

func (s *Service) teamStats(c *api.Call, t core.Team) (teamStats, error) {
	total, active, err := s.Read.TeamStats(c, t.ID)
	return teamStats{t.ID, total, active}, err
}
