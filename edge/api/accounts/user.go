package accounts

import (
	"strings"
	"time"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/authz"
	"github.com/nearside/nearside/core/command"
	"github.com/nearside/nearside/core/guard"
	"github.com/nearside/nearside/core/read"
	"github.com/nearside/nearside/edge/api"
	"github.com/nearside/nearside/edge/api/access"
)

// profile is a user as others see them, or with self, as they see themselves.
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

func shown(c *api.Call, u core.User) core.User {
	return profile(u, c.IsMe(u.ID) || access.May(c, authz.ManageSystem))
}

func shownUsers(c *api.Call, users []core.User, err error) ([]core.User, error) {
	for i := range users {
		users[i] = shown(c, users[i])
	}
	return users, err
}

// newUser is an account as clients ask for it.
type newUser struct {
	core.User
	Password    string      `json:"password"`
	AuthService api.Unbuilt `json:"auth_service"`
	AuthData    api.Unbuilt `json:"auth_data"`
}

func (s *Service) createUser(c *api.Call, _ api.Nobody, in newUser) (core.User, error) {
	u := core.User{
		ID: core.NewID[core.User](time.Now()), Username: api.Lower(in.Username), Email: api.Lower(in.Email), Nickname: in.Nickname,
		FirstName: in.FirstName, LastName: in.LastName, Position: in.Position, Locale: in.Locale, Props: in.Props,
		NotifyProps: in.NotifyProps, Timezone: in.Timezone,
	}
	if u.Locale == "" {
		u.Locale = "en"
	}
	if err := u.Check(); err != nil {
		return u, err
	}
	if err := s.cfg.Passwords.Check(in.Password, u); err != nil {
		return u, err
	}
	invite := c.Query("iid")
	if invite != "" {
		if _, err := s.Invitation(c, invite); err != nil {
			return u, err
		}
	}
	hash, err := s.cfg.Hasher.Hash(c, c.Who(), in.Password)
	if err != nil {
		return u, err
	}
	sealed := []byte(hash)
	u.PasswordSeal = core.SealOf(sealed)
	out, err := api.ChangedSealed(c, &command.CreateUser{User: u, OpenServer: s.cfg.OpenServer, InviteID: invite}, [][]byte{sealed}, s.Read.User, u.ID)
	return profile(out, true), err
}

func (s *Service) getUser(c *api.Call, u core.User) (core.User, error) { return shown(c, u), nil }

func (s *Service) userByName(c *api.Call, _ core.User) (core.User, error) {
	u, err := api.Found[core.User](access.NoUser)(s.Read.UserByName(c, api.Lower(c.Param("username"))))
	return shown(c, u), err
}

func (s *Service) userByEmail(c *api.Call, _ core.User) (core.User, error) {
	u, err := api.Found[core.User](access.NoUser)(s.Read.UserByEmail(c, api.Lower(c.Param("email"))))
	return shown(c, u), err
}

func (s *Service) usersByIDs(c *api.Call, _ core.User, ids []core.UserID) ([]core.User, error) {
	since, err := c.Millis("since")
	if err != nil {
		return nil, err
	}
	users, err := s.Read.UsersByIDs(c, ids, since)
	return shownUsers(c, users, err)
}

func (s *Service) usersByNames(c *api.Call, _ core.User, names []string) ([]core.User, error) {
	if len(names) == 0 || len(names) > read.MaxIDs {
		return nil, api.BadParam("usernames")
	}
	for i := range names {
		names[i] = api.Lower(names[i])
	}
	users, err := s.Read.UsersByNames(c, names)
	return shownUsers(c, users, err)
}

// sorts has the orders of a list of users that clients request; if an order needs data that is
// not stored here, the list is sorted by username.
var sorts = map[string]bool{"": true, "username": true, "create_at": true, "last_activity_at": true, "status": true, "admin": true, "display_name": true}

func (s *Service) listUsers(c *api.Call, _ core.User) ([]core.User, error) {
	f := read.UserFilter{
		Role: c.Query("role"), Active: c.Flag("active"), Inactive: c.Flag("inactive"), WithoutTeam: c.Flag("without_team"),
		Newest: c.Query("sort") == "create_at",
	}
	if err := c.UnbuiltQuery("in_group", "not_in_group", "group_constrained", "roles", "team_roles", "channel_roles"); err != nil {
		return nil, err
	}
	if !sorts[c.Query("sort")] {
		return nil, api.BadURL("sort")
	}
	if f.Active && f.Inactive {
		return nil, api.BadURL("inactive")
	}
	if err := s.placeFilter(c, &f, c.Query); err != nil {
		return nil, err
	}
	if f.WithoutTeam && !access.May(c, authz.ListUsersWithoutTeam) || f.InTeam.IsZero() && f.InChannel.IsZero() && !access.May(c, authz.ViewMembers) {
		return nil, api.Forbidden
	}
	users, err := s.Read.Users(c, f, c.Page())
	return shownUsers(c, users, err)
}

// placeFilter reads the teams and channels to which a list of users is restricted, and refuses
// those that the caller may not see.
func (s *Service) placeFilter(c *api.Call, f *read.UserFilter, get func(string) string) (err error) {
	if f.InTeam, err = s.teamFilter(c, get("in_team"), "in_team"); err != nil {
		return err
	}
	if f.NotInTeam, err = s.teamFilter(c, get("not_in_team"), "not_in_team"); err != nil {
		return err
	}
	if f.InChannel, err = s.channelFilter(c, get("in_channel"), "in_channel"); err != nil {
		return err
	}
	f.NotInChannel, err = s.channelFilter(c, get("not_in_channel"), "not_in_channel")
	return err
}

func (s *Service) teamFilter(c *api.Call, said, name string) (core.TeamID, error) {
	if said == "" {
		return core.TeamID{}, nil
	}
	id, ok := core.ParseID[core.Team](said)
	if !ok {
		return id, api.BadQuery(name)
	}
	return id, s.NeedInTeam(c, id, authz.ViewTeam)
}

func (s *Service) channelFilter(c *api.Call, said, name string) (core.ChannelID, error) {
	if said == "" {
		return core.ChannelID{}, nil
	}
	id, ok := core.ParseID[core.Channel](said)
	if !ok {
		return id, api.BadQuery(name)
	}
	_, err := s.Readable(c, id)
	return id, err
}

type userSearch struct {
	Term          string `json:"term"`
	TeamID        string `json:"team_id"`
	NotInTeamID   string `json:"not_in_team_id"`
	InChannelID   string `json:"in_channel_id"`
	NotInChannel  string `json:"not_in_channel_id"`
	AllowInactive bool   `json:"allow_inactive"`
	WithoutTeam   bool   `json:"without_team"`
	Role          string `json:"role"`
	Limit         int    `json:"limit"`

	InGroup          api.Unbuilt `json:"in_group_id"`
	NotInGroup       api.Unbuilt `json:"not_in_group_id"`
	GroupConstrained api.Unbuilt `json:"group_constrained"`
	Roles            api.Unbuilt `json:"roles"`
	TeamRoles        api.Unbuilt `json:"team_roles"`
	ChannelRoles     api.Unbuilt `json:"channel_roles"`
}

func (s *Service) searchUsers(c *api.Call, _ core.User, in userSearch) ([]core.User, error) {
	if strings.TrimSpace(in.Term) == "" {
		return nil, api.BadParam("term")
	}
	if in.Limit <= 0 || in.Limit > read.MaxIDs {
		in.Limit = 100
	}
	f := read.UserFilter{Term: term(in.Term), Active: !in.AllowInactive, WithoutTeam: in.WithoutTeam, Role: in.Role}
	places := map[string]string{"in_team": in.TeamID, "not_in_team": in.NotInTeamID, "in_channel": in.InChannelID, "not_in_channel": in.NotInChannel}
	if err := s.placeFilter(c, &f, func(name string) string { return places[name] }); err != nil {
		return nil, err
	}
	users, err := s.Read.Users(c, f, read.Page{Size: in.Limit})
	return shownUsers(c, users, err)
}

func term(s string) string { return strings.TrimPrefix(strings.TrimSpace(s), "@") }

// userSuggestions are users whose names begin with a prefix.
type userSuggestions struct {
	Users        []core.User  `json:"users"`
	OutOfChannel *[]core.User `json:"out_of_channel,omitempty"` // present if the request names a channel
}

func (s *Service) autocompleteUsers(c *api.Call, _ core.User) (out userSuggestions, err error) {
	limit := read.Page{Size: c.Number("limit", 100, read.MaxIDs)}
	f := read.UserFilter{Term: term(c.Query("name")), Active: true}
	if f.InTeam, err = s.teamFilter(c, c.Query("in_team")+c.Query("team_id"), "in_team"); err != nil { // clients send the first, the API's description has the second
		return out, err
	}
	if f.InChannel, err = s.channelFilter(c, c.Query("in_channel")+c.Query("channel_id"), "in_channel"); err != nil {
		return out, err
	}
	users, err := s.Read.Users(c, f, limit)
	if out.Users, err = shownUsers(c, users, err); err != nil || f.InChannel.IsZero() {
		return out, err
	}
	f.NotInChannel, f.InChannel = f.InChannel, core.ChannelID{}
	users, err = s.Read.Users(c, f, limit)
	users, err = shownUsers(c, users, err)
	out.OutOfChannel = &users
	return out, err
}

func (s *Service) userStats(c *api.Call, _ core.User) (map[string]int64, error) {
	n, err := s.Read.CountUsers(c, read.UserFilter{})
	return map[string]int64{"total_users_count": n}, err
}

type userPatch struct {
	core.UserPatch
	Password string `json:"password"` // the current password, for changing one's own address
}

func (s *Service) patchUser(c *api.Call, id core.UserID, in userPatch) (core.User, error) {
	for _, text := range []*string{in.Username, in.Email} {
		if text != nil {
			*text = api.Lower(*text)
		}
	}
	if in.Email != nil && c.IsMe(id) && *in.Email != c.User.Email {
		if err := s.ownPassword(c, in.Password); err != nil {
			return core.User{}, err
		}
	}
	out, err := api.Changed(c, &command.PatchUser{UserID: id, UserPatch: in.UserPatch}, s.Read.User, id)
	return shown(c, out), err
}

// verifyEmail records that an administrator knows the user's address to be theirs.
func (s *Service) verifyEmail(c *api.Call, u core.User) (core.User, error) {
	out, err := api.Changed(c, &command.VerifyEmail{UserID: u.ID, Email: u.Email}, s.Read.User, u.ID)
	return shown(c, out), err
}

// ownPassword refuses if the caller's password is wrong. The status is not 401, which would sign
// the client out.
func (s *Service) ownPassword(c *api.Call, password string) error {
	answer, err := s.Verify(c, guard.Question{ID: core.NewID[core.Attempt](time.Now()), Kind: core.AttemptPassword, UserID: c.User.ID, Secret: password})
	switch {
	case err != nil:
		return err
	case answer.Verdict != guard.Right:
		return api.BadParam("password")
	}
	return nil
}
