package api

import (
	"time"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/authz"
	"github.com/nearside/nearside/core/command"
)

// shownTeam is a team without what only its own people, or its administrators, may know.
func (c *call) shownTeam(t core.Team) (core.Team, error) {
	manage, err := c.mayInTeam(t.ID, authz.ManageTeam)
	if err != nil {
		return t, err
	}
	invite, err := c.mayInTeam(t.ID, authz.InviteUser)
	if !manage {
		t.Email = ""
	}
	if !invite {
		t.InviteID = ""
	}
	return t, err
}

func (c *call) shownTeams(teams []core.Team) ([]core.Team, error) {
	for i := range teams {
		t, err := c.shownTeam(teams[i])
		if err != nil {
			return nil, err
		}
		teams[i] = t
	}
	return teams, nil
}

func (c *call) oneTeam(t core.Team, err error) error {
	if err != nil {
		return err
	}
	if t, err = c.shownTeam(t); err != nil {
		return err
	}
	return c.ok(t)
}

func (a *API) createTeam(c *call) error {
	var in core.Team
	if err := c.decode(&in); err != nil {
		return err
	}
	t := core.Team{
		ID: core.NewID[core.Team](time.Now()), Name: lower(in.Name), DisplayName: in.DisplayName, Description: in.Description,
		Type: in.Type, CompanyName: in.CompanyName, AllowedDomains: in.AllowedDomains, AllowOpenInvite: in.AllowOpenInvite,
		Email: lower(in.Email), InviteID: core.NewID[core.Team](time.Now()).String(),
	}
	if err := t.Check(); err != nil {
		return err
	}
	var out core.Team
	if err := c.propose(t.ID, &command.CreateTeam{Team: t}, &out); err != nil {
		return err
	}
	return c.created(out)
}

func (a *API) listTeams(c *call) error {
	all := c.may(authz.ListPrivateTeams)
	if !all {
		if err := c.need(authz.ListPublicTeams); err != nil {
			return err
		}
	}
	teams, err := a.cfg.Read.Teams(c.ctx, all, c.pageOf())
	if err == nil {
		teams, err = c.shownTeams(teams)
	}
	if err != nil || !c.flag("include_total_count") {
		return c.list(teams, err)
	}
	n, err := a.cfg.Read.CountTeams(c.ctx, all)
	if err != nil {
		return err
	}
	return c.ok(map[string]any{"teams": teams, "total_count": n})
}

func (a *API) getTeam(c *call) error {
	id, err := c.teamID()
	if err != nil {
		return err
	}
	return c.oneTeam(c.visibleTeam(id))
}

func (a *API) teamByName(c *call) error {
	t, ok, err := a.cfg.Read.TeamByName(c.ctx, lower(c.param("name")))
	if err == nil && !ok {
		err = core.E(core.KindNotFound, "Unable to find the team.").WithID("app.team.get_by_name.missing.app_error")
	}
	if err != nil {
		return err
	}
	return c.oneTeam(c.visibleTeam(t.ID))
}

func (a *API) teamExists(c *call) error {
	t, ok, err := a.cfg.Read.TeamByName(c.ctx, lower(c.param("name")))
	if err == nil && ok {
		_, err = c.visibleTeam(t.ID)
		ok = err == nil
		if core.KindOf(err) == core.KindForbidden {
			err = nil
		}
	}
	if err != nil {
		return err
	}
	return c.ok(map[string]bool{"exists": ok})
}

func (a *API) patchTeam(c *call) error {
	id, err := c.teamID()
	if err != nil {
		return err
	}
	var in struct {
		DisplayName     *string `json:"display_name"`
		Description     *string `json:"description"`
		CompanyName     *string `json:"company_name"`
		AllowedDomains  *string `json:"allowed_domains"`
		AllowOpenInvite *bool   `json:"allow_open_invite"`
	}
	if err := c.decode(&in); err != nil {
		return err
	}
	cmd := &command.PatchTeam{
		TeamID: id, DisplayName: in.DisplayName, Description: in.Description, CompanyName: in.CompanyName,
		AllowedDomains: in.AllowedDomains, AllowOpenInvite: in.AllowOpenInvite,
	}
	var out core.Team
	err = c.propose(id, cmd, &out)
	return c.oneTeam(out, err)
}

func (a *API) deleteTeam(c *call) error {
	id, err := c.teamID()
	if err != nil {
		return err
	}
	if c.flag("permanent") {
		return notBuilt("permanent deletion of teams")
	}
	if err := c.propose(id, &command.DeleteTeam{TeamID: id}, nil); err != nil {
		return err
	}
	return c.done()
}

func (a *API) teamsOfUser(c *call) error {
	id, err := c.ownUser()
	if err != nil {
		return err
	}
	teams, err := a.cfg.Read.TeamsOf(c.ctx, id)
	if err == nil {
		teams, err = c.shownTeams(teams)
	}
	return c.list(teams, err)
}

func (a *API) teamStats(c *call) error {
	t, err := c.teamOf(authz.ViewTeam)
	if err != nil {
		return err
	}
	total, active, err := a.cfg.Read.TeamStats(c.ctx, t.ID)
	if err != nil {
		return err
	}
	return c.ok(map[string]any{"team_id": t.ID, "total_member_count": total, "active_member_count": active})
}
