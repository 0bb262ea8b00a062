package apply

import (
	"strings"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/authz"
	"github.com/nearside/nearside/core/command"
	"github.com/nearside/nearside/core/event"
	"github.com/nearside/nearside/core/schema"
)

const userCount = "users"

// Users has the accounts.
var (
	Users       = table[core.UserID, core.User]("users", "id")
	UserByName  = unique[string](Users, "username")
	UserByEmail = unique[string](Users, "email")
	setUser     = schema.PatchOf[core.UserPatch, core.User]()
)

var (
	userNotFound    = core.Refusal{Kind: core.KindNotFound, ID: "app.user.missing_account.const"}
	notOpen         = core.Refusal{Kind: core.KindForbidden, ID: "api.user.create_user.no_open_server"}
	usernameTaken   = core.Refusal{Kind: core.KindInvalid, ID: "app.user.save.username_exists.app_error"}
	emailTaken      = core.Refusal{Kind: core.KindInvalid, ID: "app.user.save.email_exists.app_error"}
	pictureTooLarge = core.Refusal{Kind: core.KindInvalid, ID: "api.user.upload_profile_user.too_large.app_error"}
)

func createUser(x *exec, c *command.CreateUser) (any, error) {
	u := newUser(c.User)
	team, invited, err := x.maySignUp(c, u)
	if err != nil {
		return nil, err
	}
	if err := x.checkUser(u); err != nil {
		return nil, err
	}
	if _, taken := Users.Get(x, u.ID); taken || u.ID.IsZero() {
		return nil, conflict.With("reason", "user")
	}
	u.Roles = authz.SystemUser
	if x.add(userCount, 1) == 1 {
		u.Roles = authz.SystemAdmin + " " + authz.SystemUser
	}
	u.CreateAt, u.UpdateAt, u.LastPasswordUpdate = x.now, x.now, x.now
	u.Props = orEmpty(u.Props)
	if u.NotifyProps == nil {
		u.NotifyProps = core.DefaultNotifyProps()
	}
	if u.Timezone == nil {
		u.Timezone = core.DefaultTimezone()
	}
	Users.Put(x, u)
	x.firstPreferences(u.ID)
	x.emit(event.UserCreated{User: u.ID})
	if invited {
		x.join(team, u, u, false)
	}
	return nil, nil
}

// newUser gives an account with the fields that a command may set.
func newUser(in core.User) core.User {
	return core.User{
		ID: in.ID, Username: in.Username, PasswordSeal: in.PasswordSeal, Email: in.Email, Nickname: in.Nickname,
		FirstName: in.FirstName, LastName: in.LastName, Position: in.Position, Locale: in.Locale,
		Props: in.Props, NotifyProps: in.NotifyProps, Timezone: in.Timezone,
	}
}

// maySignUp refuses unless the account may be made: the first one always, later ones on an open server
// by an administrator, or with an invitation to a team, which the account then joins.
func (x *exec) maySignUp(c *command.CreateUser, u core.User) (t core.Team, invited bool, err error) {
	if c.InviteID != "" {
		if t, err = x.invitedTo(c.InviteID); err != nil {
			return t, false, err
		}
		return t, true, x.takes(t, u)
	}
	if x.count(userCount) == 0 || c.OpenServer {
		return t, false, nil
	}
	if !x.by.Session.IsZero() {
		u, err := x.caller()
		if err != nil {
			return t, false, err
		}
		if authz.Allows(authz.ManageSystem, u.Roles) {
			return t, false, nil
		}
	}
	return t, false, notOpen
}

func (x *exec) checkUser(u core.User) error {
	if err := u.Check(); err != nil {
		return err
	}
	if other, taken := UserByName.Find(x, u.Username); taken && other.ID != u.ID {
		return usernameTaken
	}
	if other, taken := UserByEmail.Find(x, u.Email); taken && other.ID != u.ID {
		return emailTaken
	}
	return nil
}

// firstPreferences are the rows that clients expect with a new account.
func (x *exec) firstPreferences(u core.UserID) {
	x.putPreferences(u, []core.Preference{
		{UserID: u, Category: "tutorial_step", Name: u.String(), Value: "0"},
		{UserID: u, Category: "recommended_next_steps", Name: "hide", Value: "false"},
		{UserID: u, Category: "system_notice", Name: "GMasDM", Value: "true"},
	})
}

// account gives the user with an id if the caller may change that account.
func (x *exec) account(id core.UserID) (core.User, error) {
	me, err := x.caller()
	if err != nil {
		return core.User{}, err
	}
	u, ok := Users.Get(x, id)
	switch {
	case !ok:
		return u, userNotFound
	case me.ID != u.ID:
		err = x.may(me, authz.EditOtherUsers)
	}
	return u, err
}

func patchUser(x *exec, c *command.PatchUser) (any, error) {
	u, err := x.account(c.UserID)
	if err != nil {
		return nil, err
	}
	before := u.Email
	setUser(&u, &c.UserPatch)
	u.EmailVerified = u.EmailVerified && u.Email == before
	if err := x.checkUser(u); err != nil {
		return nil, err
	}
	x.emit(event.UserUpdated{User: public(Users.Save(x, u))})
	return nil, nil
}

func verifyEmail(x *exec, c *command.VerifyEmail) (any, error) {
	me, err := x.caller()
	if err != nil {
		return nil, err
	}
	if err := x.may(me, authz.ManageSystem); err != nil {
		return nil, err
	}
	u, ok := Users.Get(x, c.UserID)
	switch {
	case !ok:
		return nil, userNotFound
	case u.EmailVerified || u.Email != c.Email:
		return nil, nil
	}
	u.EmailVerified = true
	x.emit(event.UserUpdated{User: public(Users.Save(x, u))})
	return nil, nil
}

func setUserImage(x *exec, c *command.SetUserImage) (any, error) {
	u, err := x.account(c.UserID)
	if err != nil {
		return nil, err
	}
	if c.Picture.Size > core.MaxUserImage {
		return nil, pictureTooLarge.With("max", core.MaxUserImage)
	}
	if err := x.hold(c.Picture); err != nil {
		return nil, err
	}
	x.release(u.Picture)
	u.Picture = named(c.Picture)
	u.LastPictureUpdate = max(x.now, u.LastPictureUpdate+1) // also when it is removed: clients fetch again when this changes
	x.emit(event.UserUpdated{User: public(Users.Save(x, u))})
	return nil, nil
}

// public gives a user without the fields that must not leave the database.
func public(u core.User) core.User {
	u.PasswordSeal = core.Seal{}
	return u
}

func orEmpty(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}

func lower(s string) string { return strings.ToLower(s) }
