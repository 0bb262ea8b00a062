package api

import (
	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/authz"
	"github.com/nearside/nearside/core/command"
)

// maxBatchMembers is how many people one request may add to a team.
const maxBatchMembers = 20

func (a *API) listTeamMembers(c *call) error {
	t, err := c.teamOf(authz.ViewTeam)
	if err != nil {
		return err
	}
	return c.list(a.cfg.Read.TeamMembers(c.ctx, t.ID, c.pageOf()))
}

func (a *API) teamMembersByIDs(c *call) error {
	t, err := c.teamOf(authz.ViewTeam)
	if err != nil {
		return err
	}
	ids, err := bodyIDs[core.User](c, "user_ids")
	if err != nil {
		return err
	}
	return c.list(a.cfg.Read.TeamMembersByIDs(c.ctx, t.ID, ids))
}

// memberBody is a membership as clients send it.
type memberBody struct {
	TeamID core.TeamID `json:"team_id"`
	UserID string      `json:"user_id"`
}

// user gives the user of a membership in a team.
func (m memberBody) user(c *call, team core.TeamID) (core.UserID, error) {
	if m.TeamID != team {
		return core.UserID{}, badParam("team_id")
	}
	if m.UserID == "me" {
		return c.user.ID, nil
	}
	id, ok := core.ParseID[core.User](m.UserID)
	if !ok {
		return id, badParam("user_id")
	}
	return id, nil
}

func (a *API) addTeamMember(c *call) error {
	team, err := c.teamID()
	if err != nil {
		return err
	}
	var in memberBody
	if err := c.decode(&in); err != nil {
		return err
	}
	user, err := in.user(c, team)
	if err != nil {
		return err
	}
	var out core.TeamMember
	if err := c.propose(team, &command.AddTeamMember{TeamID: team, UserID: user}, &out); err != nil {
		return err
	}
	return c.created(out)
}

// batchResult is what came of adding one of many, when the others go on all the same.
type batchResult struct {
	UserID core.UserID      `json:"user_id"`
	Member *core.TeamMember `json:"member"`
	Error  *problem         `json:"error"`
}

func (a *API) addTeamMembers(c *call) error {
	team, err := c.teamID()
	if err != nil {
		return err
	}
	var in []memberBody
	if err := c.decode(&in); err != nil {
		return err
	}
	if len(in) == 0 || len(in) > maxBatchMembers {
		return badParam("members")
	}
	graceful := c.flag("graceful")
	members, results := []core.TeamMember{}, []batchResult{}
	for _, m := range in {
		user, err := m.user(c, team)
		if err != nil {
			return err
		}
		var out core.TeamMember
		err = c.propose(team, &command.AddTeamMember{TeamID: team, UserID: user}, &out)
		switch {
		case err == nil:
			members = append(members, out)
			results = append(results, batchResult{UserID: user, Member: &out})
		case !graceful || core.AsError(err).Kind.Temporary():
			return err
		default:
			p := problemOf(err, c.id)
			results = append(results, batchResult{UserID: user, Error: &p})
		}
	}
	if graceful {
		return c.created(results)
	}
	return c.created(members)
}

func (a *API) getTeamMember(c *call) error {
	t, err := c.teamOf(authz.ViewTeam)
	if err != nil {
		return err
	}
	user, err := c.userID()
	if err != nil {
		return err
	}
	m, ok, err := a.cfg.Read.TeamMember(c.ctx, t.ID, user)
	if err == nil && !ok {
		err = noTeamMember()
	}
	return c.list(m, err)
}

func (a *API) removeTeamMember(c *call) error {
	team, err := c.teamID()
	if err != nil {
		return err
	}
	user, err := c.userID()
	if err != nil {
		return err
	}
	if err := c.propose(team, &command.RemoveTeamMember{TeamID: team, UserID: user}, nil); err != nil {
		return err
	}
	return c.done()
}

func (a *API) teamMembersOfUser(c *call) error {
	user, err := c.ownUser()
	if err != nil {
		return err
	}
	return c.list(a.cfg.Read.TeamMembersOf(c.ctx, user))
}
