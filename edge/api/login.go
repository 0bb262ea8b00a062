package api

import (
	"context"
	"strings"
	"time"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/command"
	"github.com/nearside/nearside/edge/session"
)

// badLogin is what every failed sign-in is told, so that it does not tell who has an account.
func badLogin() *core.Error {
	return core.E(core.KindUnauthorized, "Enter a valid email or username and/or password.").
		WithID("api.user.login.invalid_credentials_email_username")
}

func (a *API) login(c *call) error {
	var in struct {
		ID          string `json:"id"`
		LoginID     string `json:"login_id"`
		Password    string `json:"password"`
		DeviceID    string `json:"device_id"`
		OldDeviceID string `json:"deviceId"`
	}
	if err := c.decode(&in); err != nil {
		return err
	}
	if in.Password == "" {
		return core.E(core.KindUnauthorized, "Password field must not be blank.").WithID("api.user.login.blank_pwd.app_error")
	}
	if in.DeviceID == "" {
		in.DeviceID = in.OldDeviceID
	}
	u, err := a.checkPassword(c, in.ID, in.LoginID, in.Password)
	if err != nil {
		return err
	}
	return a.signIn(c, u, in.DeviceID)
}

// checkPassword gives the user who has a login and a password.
func (a *API) checkPassword(c *call, id, login, password string) (core.User, error) {
	key := clip(lower(login))
	if _, ok := core.ParseID[core.User](id); ok { // then findLogin does not look at the login
		key = id
	}
	if !a.attempts.Allowed(key) {
		return core.User{}, core.E(core.KindUnauthorized, "There were too many wrong passwords. Try again in a minute.").
			WithID("api.user.check_user_login_attempts.too_many.app_error")
	}
	u, found, err := a.findLogin(c.ctx, id, login)
	if err == nil && !found && c.caughtUpWithHome("login "+key) {
		u, found, err = a.findLogin(c.ctx, id, login)
	}
	if err != nil {
		return u, err
	}
	right, err := a.hasher.Verify(c.ctx, u.PasswordHash, password) // for nobody it takes as long
	switch {
	case err != nil:
		return u, err
	case !right || !found:
		a.attempts.Wrong(key)
		return u, badLogin()
	}
	a.attempts.Right(key)
	if u.DeleteAt != 0 {
		return u, core.E(core.KindUnauthorized, "Login failed because your account has been deactivated.").WithID("api.user.login.inactive.app_error")
	}
	return u, nil
}

// clip bounds what a client may make us remember.
func clip(s string) string { return s[:min(len(s), core.MaxEmail)] }

func (a *API) findLogin(ctx context.Context, id, login string) (core.User, bool, error) {
	if uid, ok := core.ParseID[core.User](id); ok {
		return a.cfg.Read.User(ctx, uid)
	}
	login = lower(login)
	if login == "" || len(login) > core.MaxEmail {
		return core.User{}, false, nil
	}
	u, ok, err := a.cfg.Read.UserByName(ctx, login)
	if err != nil || ok {
		return u, ok, err
	}
	return a.cfg.Read.UserByEmail(ctx, login)
}

// signIn begins a session and gives its token to the client alone.
func (a *API) signIn(c *call, u core.User, device string) error {
	token := session.NewToken()
	s := core.Session{
		ID: core.NewID[core.Session](time.Now()), Token: core.HashToken(token), UserID: u.ID, DeviceID: device, Props: agent(c.r.UserAgent()),
	}
	var out core.Session
	if err := c.propose(core.TeamID{}, &command.CreateSession{Session: s, PasswordHash: u.PasswordHash}, &out); err != nil {
		if e := core.AsError(err); e.Kind == core.KindUnauthorized && e.ID == "" {
			return badLogin()
		}
		return err
	}
	c.header().Set("Token", token)
	if c.r.Header.Get("X-Requested-With") == "XMLHttpRequest" {
		session.SetCookies(c.w, c.r, token, u.ID, time.UnixMilli(out.ExpiresAt))
	}
	return c.ok(profile(u, true))
}

// agent says in three words what a client is.
func agent(ua string) map[string]string {
	pick := func(names ...string) string {
		for i := 0; i+1 < len(names); i += 2 {
			if strings.Contains(ua, names[i]) {
				return names[i+1]
			}
		}
		return ""
	}
	return map[string]string{
		"os":       pick("Windows", "Windows", "Android", "Android", "iPhone", "iOS", "iPad", "iOS", "Mac OS", "Mac OS", "Linux", "Linux"),
		"platform": pick("Windows", "Windows", "Android", "Linux", "iPhone", "iPhone", "iPad", "iPad", "Mac OS", "Macintosh", "Linux", "Linux"),
		"browser":  pick("Mattermost", "Mattermost", "Edg/", "Edge", "Firefox", "Firefox", "Chrome", "Chrome", "Safari", "Safari"),
	}
}

// loginType says how an account signs in: with a password, which is the empty string.
func (a *API) loginType(c *call) error {
	var in struct {
		LoginID string `json:"login_id"`
	}
	if err := c.decode(&in); err != nil {
		return err
	}
	return c.ok(map[string]string{"auth_service": ""})
}

// logout ends the session, if there is one, and always succeeds for a client that has none.
func (a *API) logout(c *call) error {
	session.ClearCookie(c.w, c.r)
	if c.session.ID.IsZero() {
		return c.done()
	}
	if err := c.propose(core.TeamID{}, &command.EndSession{SessionID: c.session.ID}, nil); err != nil {
		return err
	}
	return c.done()
}

// wireSession is a session as its user sees it; the token is nowhere to be had.
type wireSession struct {
	core.Session
	Token       string            `json:"token"`
	IsOAuth     bool              `json:"is_oauth"`
	TeamMembers []core.TeamMember `json:"team_members"`
	Local       bool              `json:"local"`
}

func (a *API) listSessions(c *call) error {
	id, err := c.ownUser()
	if err != nil {
		return err
	}
	list, err := a.cfg.Read.SessionsOf(c.ctx, id)
	if err != nil {
		return err
	}
	out := []wireSession{}
	for _, s := range list {
		if s.Expired(time.Now().UnixMilli()) {
			continue
		}
		if s.Props == nil {
			s.Props = map[string]string{}
		}
		out = append(out, wireSession{Session: s, TeamMembers: []core.TeamMember{}})
	}
	return c.ok(out)
}
