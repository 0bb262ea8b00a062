package teams

import (
	"context"
	"net/http"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/command"
	"github.com/nearside/nearside/edge/api"
	"github.com/nearside/nearside/edge/api/access"
)

var (
	notOpenTeam  = core.Refusal{Kind: core.KindForbidden, ID: "api.team.get_invite_info.not_open_team"}
	noInvitation = core.Refusal{Kind: core.KindInvalid, ID: "api.team.add_user_to_team.missing_parameter.app_error"}
)

// maxBatchMembers is how many users one request may add to a team.
const maxBatchMembers = 20

func (s *Service) listTeamMembers(c *api.Call, t core.Team) ([]core.TeamMember, error) {
	return s.Read.TeamMembers(c, t.ID, c.Page())
}

func (s *Service) teamMembersByIDs(c *api.Call, t core.Team, ids []core.UserID) ([]core.TeamMember, error) {
	return s.Read.TeamMembersByIDs(c, t.ID, ids)
}

// memberBody is a membership as clients send it.
type memberBody struct {
	TeamID core.TeamID `json:"team_id"`
	UserID string      `json:"user_id"`
}

// user returns the user of a membership in a team.
func (m memberBody) user(c *api.Call, team core.TeamID) (core.UserID, error) {
	if m.TeamID != team {
		return core.UserID{}, api.BadParam("team_id")
	}
	if m.UserID == "me" {
		return c.User.ID, nil
	}
	id, ok := core.ParseID[core.User](m.UserID)
	if !ok {
		return id, api.BadParam("user_id")
	}
	return id, nil
}

func (s *Service) addTeamMember(c *api.Call, team core.TeamID, in memberBody) (core.TeamMember, error) {
	user, err := in.user(c, team)
	if err != nil {
		return core.TeamMember{}, err
	}
	return s.add(c, team, user)
}

func (s *Service) add(c *api.Call, team core.TeamID, user core.UserID) (core.TeamMember, error) {
	return s.join(c, &command.AddTeamMember{TeamID: team, UserID: user})
}

func (s *Service) join(c *api.Call, cmd *command.AddTeamMember) (core.TeamMember, error) {
	find := func(ctx context.Context, u core.UserID) (core.TeamMember, bool, error) {
		return s.Read.TeamMember(ctx, cmd.TeamID, u)
	}
	return api.Changed(c, cmd, find, cmd.UserID)
}

// inviteInfo shows the team of an invitation to whoever has it, before they have an account.
func (s *Service) inviteInfo(c *api.Call, _ api.Nobody) (map[string]string, error) {
	t, err := s.Invitation(c, c.Param("invite_id"))
	if err == nil && t.Type != core.TeamOpen {
		err = notOpenTeam
	}
	if err != nil {
		return nil, err
	}
	return map[string]string{"id": t.ID.String(), "name": t.Name, "display_name": t.DisplayName, "description": t.Description}, nil
}

// joinByInvite makes the caller a member of the team of an invitation.
func (s *Service) joinByInvite(c *api.Call, me core.User) (core.TeamMember, error) {
	invite := c.Query("invite_id")
	if err := c.UnbuiltQuery("token"); err != nil { // invitations by e-mail
		return core.TeamMember{}, err
	}
	if invite == "" {
		return core.TeamMember{}, noInvitation
	}
	t, err := s.Invitation(c, invite)
	if err != nil {
		return core.TeamMember{}, err
	}
	return s.join(c, &command.AddTeamMember{TeamID: t.ID, UserID: me.ID, InviteID: invite})
}

// batchResult is the result of adding one of several users; a failure does not stop the others.
type batchResult struct {
	UserID core.UserID      `json:"user_id"`
	Member *core.TeamMember `json:"member"`
	Error  *api.Problem     `json:"error"`
}

func (s *Service) addTeamMembers(c *api.Call, team core.TeamID, in []memberBody) (api.Answer, error) {
	if len(in) == 0 || len(in) > maxBatchMembers {
		return nil, api.BadParam("members")
	}
	graceful := c.Flag("graceful")
	var members []core.TeamMember
	var results []batchResult
	for _, m := range in {
		user, err := m.user(c, team)
		if err != nil {
			return nil, err
		}
		out, err := s.add(c, team, user)
		switch {
		case err == nil:
			members = append(members, out)
			results = append(results, batchResult{UserID: user, Member: &out})
		case !graceful || core.AsError(err).Kind.Temporary():
			return nil, err
		default:
			p := c.ProblemOf(err)
			results = append(results, batchResult{UserID: user, Error: &p})
		}
	}
	if graceful {
		return api.Value(http.StatusCreated, results), nil
	}
	return api.Value(http.StatusCreated, members), nil
}

func (s *Service) getTeamMember(c *api.Call, in api.Two[core.Team, core.UserID]) (core.TeamMember, error) {
	return api.Found[core.TeamMember](access.NoTeamMember)(s.Read.TeamMember(c, in.First.ID, in.Second))
}

func (s *Service) removeTeamMember(c *api.Call, in api.Two[core.TeamID, core.UserID]) (api.Done, error) {
	return api.Done{}, c.Propose(&command.RemoveTeamMember{TeamID: in.First, UserID: in.Second}, nil)
}

func (s *Service) teamMembersOfUser(c *api.Call, user core.UserID) ([]core.TeamMember, error) {
	return s.Read.TeamMembersOf(c, user)
}
