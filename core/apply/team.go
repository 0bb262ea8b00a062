package apply

import (
	"cmp"
	"slices"
	"strings"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/authz"
	"github.com/nearside/nearside/core/command"
	"github.com/nearside/nearside/core/event"
	"github.com/nearside/nearside/core/schema"
)

// Teams has the teams; TeamMembers says who belongs to which.
var (
	Teams       = table[core.TeamID, core.Team]("teams", "id")
	TeamByName  = unique[string](Teams, "name")
	byInvite    = index[string](Teams, []string{"invite_id"}, schema.WhereZero("delete_at"), schema.AtMost(1))
	setTeam     = schema.PatchOf[core.TeamPatch, core.Team]()
	TeamMembers = table[TeamUser, core.TeamMember]("team_members")
)

// TeamUser is the key of a team membership.
type TeamUser struct {
	Team core.TeamID `db:"team_id"`
	User core.UserID `db:"user_id"`
}

var (
	teamNotFound       = core.Refusal{Kind: core.KindNotFound, ID: "app.team.get.find.app_error"}
	teamMemberNotFound = core.Refusal{Kind: core.KindNotFound, ID: "app.team.get_member.missing.app_error"}
	teamNameTaken      = core.Refusal{Kind: core.KindInvalid, ID: "app.team.save.existing.app_error"}
	teamFull           = core.Refusal{Kind: core.KindInvalid, ID: "app.team.join_user_to_team.max_accounts.app_error"}
	inviteNotFound     = core.Refusal{Kind: core.KindNotFound, ID: "app.team.get_by_invite_id.finding.app_error"}
	domainNotAllowed   = core.Refusal{Kind: core.KindInvalid, ID: "api.team.join_user_to_team.allowed_domains.app_error"}
	stillLeaving       = core.Refusal{Kind: core.KindUnavailable, ID: "nearside.still_leaving.app_error"}
)

func createTeam(x *exec, c *command.CreateTeam) (any, error) {
	u, err := x.caller()
	if err != nil {
		return nil, err
	}
	if err := x.may(u, authz.CreateTeam); err != nil {
		return nil, err
	}
	t := newTeam(c.Team)
	if err := t.Check(); err != nil {
		return nil, err
	}
	if _, taken := TeamByName.Find(x, t.Name); taken {
		return nil, teamNameTaken
	}
	if _, taken := Teams.Get(x, t.ID); taken || t.ID.IsZero() {
		return nil, conflict.With("reason", "team")
	}
	t.CreateAt, t.UpdateAt, t.Email = x.now, x.now, u.Email
	Teams.Put(x, t)
	x.emit(event.TeamCreated{Team: t.ID})
	for _, d := range [...][2]string{{core.TownSquare, c.TownSquare}, {core.OffTopic, c.OffTopic}} {
		ch := core.Channel{ID: defaultChannel(t.ID, d[0]), TeamID: t.ID, Type: core.ChannelOpen, Name: d[0], DisplayName: cmp.Or(d[1], d[0])}
		if err := ch.Check(); err != nil {
			return nil, err
		}
		if _, taken := Channels.Get(x, ch.ID); taken { // whoever knew the team's id could have made it, in another team
			return nil, conflict.With("reason", "channel")
		}
		ch = x.saveChannel(ch)
		x.emit(event.ChannelCreated{Channel: ch.ID, Team: t.ID})
	}
	x.join(t, u, u, true)
	return nil, nil
}

// newTeam gives a team with the fields that a command may set.
func newTeam(in core.Team) core.Team {
	return core.Team{
		ID: in.ID, DisplayName: in.DisplayName, Name: in.Name, Description: in.Description, Type: in.Type, CompanyName: in.CompanyName,
		AllowedDomains: in.AllowedDomains, InviteID: in.InviteID, AllowOpenInvite: in.AllowOpenInvite,
	}
}

// defaultChannel is the id of a team's default channel: the same on every replica.
func defaultChannel(t core.TeamID, name string) core.ChannelID {
	return core.DeriveID[core.Channel]("default channel", t.String(), name)
}

func patchTeam(x *exec, c *command.PatchTeam) (any, error) {
	t, err := x.managedTeam(c.TeamID)
	if err != nil {
		return nil, err
	}
	setTeam(&t, &c.TeamPatch)
	if err := t.Check(); err != nil {
		return nil, err
	}
	x.emit(event.TeamUpdated{Team: Teams.Save(x, t)})
	return nil, nil
}

func deleteTeam(x *exec, c *command.DeleteTeam) (any, error) {
	t, err := x.managedTeam(c.TeamID)
	if err != nil {
		return nil, err
	}
	t.DeleteAt = x.now
	x.emit(event.TeamDeleted{Team: Teams.Save(x, t)})
	return nil, nil
}

// managedTeam gives a team that is not archived, if the caller may manage it.
func (x *exec) managedTeam(id core.TeamID) (core.Team, error) {
	u, err := x.caller()
	if err != nil {
		return core.Team{}, err
	}
	t, err := x.team(id)
	if err != nil {
		return t, err
	}
	return t, x.mayInTeam(u, t.ID, authz.ManageTeam)
}

// team gives a team that is not archived, or refuses.
func (x *exec) team(id core.TeamID) (core.Team, error) {
	t, ok := Teams.Live(x, id)
	if !ok {
		return t, teamNotFound
	}
	return t, nil
}

func addTeamMember(x *exec, c *command.AddTeamMember) (any, error) {
	me, err := x.caller()
	if err != nil {
		return nil, err
	}
	t, err := x.team(c.TeamID)
	if err != nil {
		return nil, err
	}
	if err := x.mayJoin(me, t, c); err != nil {
		return nil, err
	}
	u, ok := Users.Live(x, c.UserID)
	if !ok {
		return nil, userNotFound
	}
	if _, ok := TeamMembers.Live(x, TeamUser{t.ID, u.ID}); ok {
		return nil, nil
	}
	if _, leaving := Tasks.Get(x, core.TaskIDOf(core.Task{Kind: core.TaskLeaveTeam, TeamID: t.ID, UserID: u.ID})); leaving {
		return nil, stillLeaving // the old channel memberships would count again
	}
	if err := x.takes(t, u); err != nil {
		return nil, err
	}
	x.join(t, u, me, false)
	return nil, nil
}

// takes refuses if a team does not take a user as one more member.
func (x *exec) takes(t core.Team, u core.User) error {
	if !emailAllowed(u, t.AllowedDomains) {
		return domainNotAllowed
	}
	if x.count(memberCount(t.ID)) >= core.MaxUsersPerTeam {
		return teamFull.With("max", core.MaxUsersPerTeam)
	}
	return nil
}

// invitedTo gives the team that has an invite id, if it is not archived.
func (x *exec) invitedTo(invite string) (core.Team, error) {
	if list := byInvite.List(x, invite); invite != "" && len(list) > 0 {
		return list[0], nil
	}
	return core.Team{}, inviteNotFound
}

func (x *exec) mayJoin(me core.User, t core.Team, c *command.AddTeamMember) error {
	if me.ID != c.UserID {
		return x.mayInTeam(me, t.ID, authz.AddUserToTeam)
	}
	if c.InviteID != "" && c.InviteID == t.InviteID {
		return nil
	}
	if t.AllowOpenInvite {
		return x.may(me, authz.JoinPublicTeams)
	}
	return x.may(me, authz.JoinPrivateTeams)
}

// emailAllowed reports whether an account has an address in one of the domains of a list such as
// "a.org, @b.org"; an empty list allows all. An address that nobody has verified is only a claim.
func emailAllowed(u core.User, domains string) bool {
	list := core.Domains(domains)
	return len(list) == 0 || u.EmailVerified && slices.Contains(list, u.Email[strings.LastIndexByte(u.Email, '@')+1:])
}

func memberCount(t core.TeamID) string { return "team_members:" + t.String() }

// join makes u a member of t and of its default channels; by is the user who adds them.
func (x *exec) join(t core.Team, u, by core.User, admin bool) {
	TeamMembers.Put(x, core.TeamMember{TeamID: t.ID, UserID: u.ID, CreateAt: x.now, SchemeAdmin: admin})
	x.add(memberCount(t.ID), 1)
	x.emit(event.TeamJoined{User: u.ID, Team: t.ID})
	for _, name := range [...]string{core.TownSquare, core.OffTopic} {
		ch, ok := Channels.Live(x, defaultChannel(t.ID, name))
		if !ok {
			continue
		}
		x.addMember(ch, u, admin)
		x.joinMessage(ch, u, by, name == core.TownSquare)
		x.emit(event.UserAdded{User: u.ID, Channel: ch.ID, Team: t.ID, WithTeam: true})
	}
	x.emit(event.AddedToTeam{User: u.ID, Team: t.ID})
}

func removeTeamMember(x *exec, c *command.RemoveTeamMember) (any, error) {
	me, err := x.caller()
	if err != nil {
		return nil, err
	}
	t, err := x.team(c.TeamID)
	if err != nil {
		return nil, err
	}
	if me.ID != c.UserID {
		if err := x.mayInTeam(me, t.ID, authz.RemoveUserFromTeam); err != nil {
			return nil, err
		}
	}
	m, ok := TeamMembers.Live(x, TeamUser{t.ID, c.UserID})
	if !ok {
		return nil, teamMemberNotFound
	}
	u, _ := Users.Get(x, c.UserID)
	x.beginTask(core.Task{Kind: core.TaskLeaveTeam, TeamID: t.ID, UserID: u.ID})
	x.leaveMessage(t, u, me)
	m.DeleteAt, m.SchemeAdmin = x.now, false
	TeamMembers.Put(x, m)
	x.add(memberCount(t.ID), -1)
	x.emit(event.TeamLeft{User: u.ID, Team: t.ID})
	return nil, nil
}

// leaveChannels removes a former member from some of the team's channels. The other memberships give
// no rights meanwhile: see mayInChannel.
func leaveChannels(x *exec, t core.Task) bool {
	list := membershipsOf.List(x, UserTeam{t.UserID, t.TeamID})
	for _, m := range list {
		ChannelMembers.Delete(x, ChannelUser{m.ChannelID, t.UserID})
		x.emit(event.ChannelLeft{User: t.UserID, Channel: m.ChannelID})
	}
	return len(list) < channelsAtOnce
}

func (x *exec) leaveMessage(t core.Team, u, by core.User) {
	ch, ok := Channels.Get(x, defaultChannel(t.ID, core.TownSquare))
	if !ok {
		return
	}
	if u.ID == by.ID {
		x.systemPost(ch, by, core.TypeLeaveTeam, map[string]any{"username": u.Username})
		return
	}
	x.systemPost(ch, by, core.TypeRemoveFromTm, map[string]any{"username": u.Username})
}
