package apply_test

import (
	"testing"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/apply"
	"github.com/nearside/nearside/core/apply/applytest"
	"github.com/nearside/nearside/core/command"
)

func init() {
	applytest.Nouns = append(applytest.Nouns, applytest.Noun{Name: "invitations", Make: inviteCommand})
}

// inviteCommand makes a team that one can be invited to, an account or a membership by an invitation, or guesses at
// invitations.
func inviteCommand(c *applytest.Chaos, who int, _ core.ChannelID) command.Command {
	var teams []core.Team
	for _, row := range c.Model.Rows(apply.Teams.Shape) {
		if t := *(*core.Team)(row); t.InviteID != "" {
			teams = append(teams, t)
		}
	}
	name := c.Word() + c.Word() + "-" + c.Word()
	if len(teams) == 0 || c.Rnd.IntN(8) == 0 {
		return &command.CreateTeam{Team: core.Team{ID: applytest.ID[core.Team](c.Log), Name: name, DisplayName: name, Type: core.TeamInvite, InviteID: name}}
	}
	t := applytest.Pick(c, teams)
	switch c.Rnd.IntN(4) {
	case 0:
		return &command.CreateUser{InviteID: t.InviteID, User: core.User{ID: applytest.ID[core.User](c.Log), Username: name, Email: name + "@x.org", PasswordSeal: applytest.PasswordSeal}}
	case 1:
		return &command.AddTeamMember{TeamID: t.ID, UserID: c.User(who), InviteID: applytest.Pick(c, []string{t.InviteID, c.Word()})}
	}
	var cmd command.CountAttempts
	for range 1 + c.Rnd.IntN(8) {
		a := core.Attempt{ID: applytest.ID[core.Attempt](c.Log), Kind: core.AttemptInvitation, SubjectID: core.SubjectOfAll(core.AttemptInvitation), AddressID: core.DeriveID[core.Source](c.Word())}
		cmd.Attempts = append(cmd.Attempts, a)
		if c.Rnd.IntN(8) == 0 {
			cmd.Right = append(cmd.Right, a.ID)
		}
	}
	return &cmd
}

// Who has an invitation may sign up where nobody else may, and joins the team. The rules of the team stay.
func TestCreateUser_Invited(t *testing.T) {
	w := newWorld(t)
	w.person("ada")
	team := core.Team{ID: core.NewID[core.Team](w.at), Name: "crew", DisplayName: "Crew", Type: core.TeamInvite, InviteID: "come"}
	w.must("ada", &command.CreateTeam{Team: team}, nil)
	signUp := func(name, invite string) *command.CreateUser {
		return &command.CreateUser{InviteID: invite, User: core.User{ID: core.NewID[core.User](w.at), Username: name, Email: name + "@example.com"}}
	}
	w.refused("", signUp("eve", ""), core.KindForbidden)
	w.refused("", signUp("eve", "go"), core.KindNotFound)
	open := signUp("eve", "go")
	open.OpenServer = true
	w.refused("", open, core.KindNotFound) // an invitation that is not valid is not ignored
	bob := signUp("bob", "come")
	w.must("", bob, nil)
	if _, member := apply.TeamMembers.Live(w.rows(), apply.TeamUser{Team: team.ID, User: bob.User.ID}); !member {
		t.Error("bob is not in the team")
	}
	domains := "example.com"
	w.must("ada", &command.PatchTeam{TeamID: team.ID, TeamPatch: core.TeamPatch{AllowedDomains: &domains}}, nil)
	w.refused("", signUp("cy", "come"), core.KindInvalid) // nobody has verified the address
	domains = ""
	w.must("ada", &command.PatchTeam{TeamID: team.ID, TeamPatch: core.TeamPatch{AllowedDomains: &domains}}, nil)
	w.must("ada", &command.DeleteTeam{TeamID: team.ID}, nil)
	w.refused("", signUp("cy", "come"), core.KindNotFound)
}
