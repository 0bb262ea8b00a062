package api

import (
	"strings"
	"time"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/authz"
	"github.com/nearside/nearside/core/command"
	"github.com/nearside/nearside/core/read"
)

// profile is a user as others see them, or as they see themselves.
func profile(u core.User, self bool) core.User {
	if u.Props == nil {
		u.Props = map[string]string{}
	}
	if u.Timezone == nil {
		u.Timezone = core.DefaultTimezone()
	}
	switch {
	case !self:
		u.NotifyProps, u.EmailVerified, u.LastPasswordUpdate = nil, false, 0
	case u.NotifyProps == nil:
		u.NotifyProps = core.DefaultNotifyProps()
	}
	return u
}

func (c *call) profile(u core.User) core.User {
	return profile(u, c.isMe(u.ID) || c.may(authz.ManageSystem))
}

func (c *call) profiles(users []core.User, err error) error {
	if err != nil {
		return err
	}
	for i := range users {
		users[i] = c.profile(users[i])
	}
	return c.ok(users)
}

func (a *API) createUser(c *call) error {
	var in struct {
		core.User
		Password string `json:"password"`
	}
	if err := c.decode(&in); err != nil {
		return err
	}
	u := core.User{
		ID: core.NewID[core.User](time.Now()), Username: lower(in.Username), Email: lower(in.Email), Nickname: in.Nickname,
		FirstName: in.FirstName, LastName: in.LastName, Position: in.Position, Locale: in.Locale, Props: in.Props,
		NotifyProps: in.NotifyProps, Timezone: in.Timezone,
	}
	if u.Locale == "" {
		u.Locale = "en"
	}
	if err := u.Check(); err != nil {
		return err
	}
	if err := core.CheckPassword(in.Password); err != nil {
		return err
	}
	var err error
	if u.PasswordHash, err = a.hasher.Hash(c.ctx, in.Password); err != nil {
		return err
	}
	var out core.User
	if err := c.propose(core.TeamID{}, &command.CreateUser{User: u, OpenServer: a.cfg.OpenServer, InviteID: c.query("iid")}, &out); err != nil {
		return err
	}
	return c.created(profile(out, true))
}

func lower(s string) string { return strings.ToLower(strings.TrimSpace(s)) }

func (a *API) getUser(c *call) error {
	id, err := c.userID()
	if err != nil {
		return err
	}
	u, err := a.facts.user(c.ctx, id)
	return c.oneUser(u, !u.ID.IsZero(), err)
}

func (a *API) userByName(c *call) error {
	u, ok, err := a.cfg.Read.UserByName(c.ctx, lower(c.param("username")))
	return c.oneUser(u, ok, err)
}

func (a *API) userByEmail(c *call) error {
	u, ok, err := a.cfg.Read.UserByEmail(c.ctx, lower(c.param("email")))
	return c.oneUser(u, ok, err)
}

func (c *call) oneUser(u core.User, ok bool, err error) error {
	switch {
	case err != nil:
		return err
	case !ok:
		return noUser()
	}
	return c.ok(c.profile(u))
}

func (a *API) usersByIDs(c *call) error {
	ids, err := bodyIDs[core.User](c, "user_ids")
	if err != nil {
		return err
	}
	since, err := c.millis("since")
	if err != nil {
		return err
	}
	return c.profiles(a.cfg.Read.UsersByIDs(c.ctx, ids, since))
}

func (a *API) usersByNames(c *call) error {
	var names []string
	if err := c.decode(&names); err != nil {
		return err
	}
	if len(names) == 0 || len(names) > read.MaxIDs {
		return badParam("usernames")
	}
	for i := range names {
		names[i] = lower(names[i])
	}
	return c.profiles(a.cfg.Read.UsersByNames(c.ctx, names))
}

// sorts are the orders of a list of users that clients ask for; those that need what is not
// kept here fall back to the username.
var sorts = map[string]bool{"": true, "username": true, "create_at": true, "last_activity_at": true, "status": true, "admin": true, "display_name": true}

func (a *API) listUsers(c *call) error {
	f := read.UserFilter{
		Role: c.query("role"), Active: c.flag("active"), Inactive: c.flag("inactive"), WithoutTeam: c.flag("without_team"),
		Newest: c.query("sort") == "create_at",
	}
	if !sorts[c.query("sort")] {
		return badURL("sort")
	}
	if f.Active && f.Inactive {
		return badURL("inactive")
	}
	if err := c.placeFilter(&f, c.query); err != nil {
		return err
	}
	if f.WithoutTeam {
		if err := c.need(authz.ListUsersWithoutTeam); err != nil {
			return err
		}
	}
	if f.InTeam.IsZero() && f.InChannel.IsZero() {
		if err := c.need(authz.ViewMembers); err != nil {
			return err
		}
	}
	return c.profiles(a.cfg.Read.Users(c.ctx, f, c.pageOf()))
}

// placeFilter reads the teams and channels that users are looked for in, and refuses those
// that who asks may not look into.
func (c *call) placeFilter(f *read.UserFilter, get func(string) string) (err error) {
	if f.InTeam, err = c.teamFilter(get("in_team"), "in_team"); err != nil {
		return err
	}
	if f.NotInTeam, err = c.teamFilter(get("not_in_team"), "not_in_team"); err != nil {
		return err
	}
	if f.InChannel, err = c.channelFilter(get("in_channel"), "in_channel"); err != nil {
		return err
	}
	f.NotInChannel, err = c.channelFilter(get("not_in_channel"), "not_in_channel")
	return err
}

func (c *call) teamFilter(s, name string) (core.TeamID, error) {
	if s == "" {
		return core.TeamID{}, nil
	}
	id, ok := core.ParseID[core.Team](s)
	if !ok {
		return id, badQuery(name)
	}
	return id, c.needInTeam(id, authz.ViewTeam)
}

func (c *call) channelFilter(s, name string) (core.ChannelID, error) {
	if s == "" {
		return core.ChannelID{}, nil
	}
	id, ok := core.ParseID[core.Channel](s)
	if !ok {
		return id, badQuery(name)
	}
	_, err := c.readable(id)
	return id, err
}

func (a *API) searchUsers(c *call) error {
	var in struct {
		Term          string `json:"term"`
		TeamID        string `json:"team_id"`
		NotInTeamID   string `json:"not_in_team_id"`
		InChannelID   string `json:"in_channel_id"`
		NotInChannel  string `json:"not_in_channel_id"`
		AllowInactive bool   `json:"allow_inactive"`
		WithoutTeam   bool   `json:"without_team"`
		Role          string `json:"role"`
		Limit         int    `json:"limit"`
	}
	if err := c.decode(&in); err != nil {
		return err
	}
	if strings.TrimSpace(in.Term) == "" {
		return badParam("term")
	}
	if in.Limit <= 0 || in.Limit > read.MaxIDs {
		in.Limit = 100
	}
	f := read.UserFilter{Term: term(in.Term), Active: !in.AllowInactive, WithoutTeam: in.WithoutTeam, Role: in.Role}
	places := map[string]string{"in_team": in.TeamID, "not_in_team": in.NotInTeamID, "in_channel": in.InChannelID, "not_in_channel": in.NotInChannel}
	if err := c.placeFilter(&f, func(name string) string { return places[name] }); err != nil {
		return err
	}
	return c.profiles(a.cfg.Read.Users(c.ctx, f, read.Page{Size: in.Limit}))
}

func term(s string) string { return strings.TrimPrefix(strings.TrimSpace(s), "@") }

func (a *API) autocompleteUsers(c *call) error {
	limit := c.number("limit", 100, read.MaxIDs)
	team, err := c.teamFilter(c.query("in_team")+c.query("team_id"), "in_team") // clients say the first, the description the second
	if err != nil {
		return err
	}
	channel, err := c.channelFilter(c.query("in_channel")+c.query("channel_id"), "in_channel")
	if err != nil {
		return err
	}
	name := term(c.query("name"))
	in, err := a.cfg.Read.Users(c.ctx, read.UserFilter{Term: name, Active: true, InTeam: team, InChannel: channel}, read.Page{Size: limit})
	if err != nil {
		return err
	}
	out := map[string][]core.User{"users": in}
	if !channel.IsZero() {
		out["out_of_channel"], err = a.cfg.Read.Users(c.ctx, read.UserFilter{Term: name, Active: true, InTeam: team, NotInChannel: channel}, read.Page{Size: limit})
		if err != nil {
			return err
		}
	}
	for _, list := range out {
		for i := range list {
			list[i] = c.profile(list[i])
		}
	}
	return c.ok(out)
}

func (a *API) userStats(c *call) error {
	n, err := a.cfg.Read.CountUsers(c.ctx, read.UserFilter{})
	if err != nil {
		return err
	}
	return c.ok(map[string]int64{"total_users_count": n})
}

func (a *API) patchUser(c *call) error {
	id, err := c.userID()
	if err != nil {
		return err
	}
	var in struct {
		Username    *string            `json:"username"`
		Nickname    *string            `json:"nickname"`
		FirstName   *string            `json:"first_name"`
		LastName    *string            `json:"last_name"`
		Position    *string            `json:"position"`
		Email       *string            `json:"email"`
		Props       *map[string]string `json:"props"`
		NotifyProps *map[string]string `json:"notify_props"`
		Locale      *string            `json:"locale"`
		Timezone    *map[string]string `json:"timezone"`
		Password    string             `json:"password"` // the present one, to change one's own address
	}
	if err := c.decode(&in); err != nil {
		return err
	}
	for _, s := range []*string{in.Username, in.Email} {
		if s != nil {
			*s = lower(*s)
		}
	}
	if in.Email != nil && c.isMe(id) && *in.Email != c.user.Email {
		if err := a.ownPassword(c, in.Password); err != nil {
			return err
		}
	}
	cmd := &command.PatchUser{
		UserID: id, Username: in.Username, Nickname: in.Nickname, FirstName: in.FirstName, LastName: in.LastName, Position: in.Position,
		Email: in.Email, Props: in.Props, NotifyProps: in.NotifyProps, Locale: in.Locale, Timezone: in.Timezone,
	}
	var out core.User
	if err := c.propose(core.TeamID{}, cmd, &out); err != nil {
		return err
	}
	return c.ok(c.profile(out))
}

// ownPassword refuses unless who asks knows their password. 401 would sign the client out.
func (a *API) ownPassword(c *call, password string) error {
	key := c.user.ID.String()
	if !a.attempts.Allowed(key) {
		return badParam("password")
	}
	right, err := a.hasher.Verify(c.ctx, c.user.PasswordHash, password)
	switch {
	case err != nil:
		return err
	case !right:
		a.attempts.Wrong(key)
		return badParam("password")
	}
	a.attempts.Right(key)
	return nil
}
