package event

import "github.com/nearside/nearside/core"

// TeamCreated is a new team, which has no members yet.
type TeamCreated struct {
	quiet
	Team core.TeamID
}

func (e TeamCreated) TeamChanged() core.TeamID { return e.Team }

// TeamUpdated is a changed team.
type TeamUpdated struct{ Team core.Team }

func (TeamUpdated) Name() string                 { return "update_team" }
func (e TeamUpdated) To() []Audience             { return toTeam(e.Team.ID) }
func (e TeamUpdated) Write(d *Data, _ *Audience) { writeTeam(d, e.Team) }
func (e TeamUpdated) TeamChanged() core.TeamID   { return e.Team.ID }

// TeamDeleted is an archived team.
type TeamDeleted struct{ Team core.Team }

func (TeamDeleted) Name() string                 { return "delete_team" }
func (e TeamDeleted) To() []Audience             { return toTeam(e.Team.ID) }
func (e TeamDeleted) Write(d *Data, _ *Audience) { writeTeam(d, e.Team) }
func (e TeamDeleted) TeamChanged() core.TeamID   { return e.Team.ID }

// writeTeam leaves out fields that only users who may invite others may see.
func writeTeam(d *Data, t core.Team) {
	t.Email, t.InviteID = "", ""
	d.JSON("team", &t)
}

// TeamJoined makes a user a member of a team. It comes before every other event about that.
type TeamJoined struct {
	quiet
	User core.UserID
	Team core.TeamID
}

func (e TeamJoined) MembershipChanged() Membership {
	return Membership{User: e.User, Team: e.Team, Joined: true}
}

// AddedToTeam tells a user that they are a member of a team now.
type AddedToTeam struct {
	User core.UserID
	Team core.TeamID
}

func (AddedToTeam) Name() string     { return "added_to_team" }
func (e AddedToTeam) To() []Audience { return toUser(e.User) }
func (e AddedToTeam) Write(d *Data, _ *Audience) {
	d.String("team_id", e.Team.String())
	d.String("user_id", e.User.String())
}

// TeamLeft is the end of a user's membership of a team. It also ends the user's memberships of the
// team's channels; a ChannelLeft for each of them may follow later.
type TeamLeft struct {
	User core.UserID
	Team core.TeamID
}

func (TeamLeft) Name() string { return "leave_team" }

func (e TeamLeft) To() []Audience {
	return []Audience{{Team: e.Team, Omit: []core.UserID{e.User}}, {User: e.User}}
}

func (e TeamLeft) Write(d *Data, _ *Audience) {
	d.String("user_id", e.User.String())
	d.String("team_id", e.Team.String())
}

func (e TeamLeft) MembershipChanged() Membership { return Membership{User: e.User, Team: e.Team} }
