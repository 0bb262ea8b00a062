package accounts

import (
	"cmp"
	"context"
	"strings"
	"time"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/command"
	"github.com/nearside/nearside/edge/api"
	"github.com/nearside/nearside/edge/session"
)

// What a login can be refused for.
var (
	noPassword      = core.Refusal{Kind: core.KindUnauthorized, ID: "api.user.login.blank_pwd.app_error"}
	tooManyAttempts = core.Refusal{Kind: core.KindUnauthorized, ID: "api.user.check_user_login_attempts.too_many.app_error"}
	inactive        = core.Refusal{Kind: core.KindUnauthorized, ID: "api.user.login.inactive.app_error"}
)

// badLogin is the refusal of every failed sign-in, so that it does not reveal which accounts
// exist.
var badLogin = core.Refusal{Kind: core.KindUnauthorized, ID: "api.user.login.invalid_credentials_email_username"}

type loginBody struct {
	ID          string `json:"id"`
	LoginID     string `json:"login_id"`
	Password    string `json:"password"`
	DeviceID    string `json:"device_id"`
	OldDeviceID string `json:"deviceId"`
}

// name is the login, or the id of the account.
func (in loginBody) name() string { return clip(cmp.Or(in.ID, in.LoginID)) }

func (s *Service) login(c *api.Call, _ api.Nobody, in loginBody) (core.User, error) {
	if in.Password == "" {
		return core.User{}, noPassword
	}
	if in.DeviceID == "" {
		in.DeviceID = in.OldDeviceID
	}
	u, err := s.checkPassword(c, in.ID, in.LoginID, in.Password)
	if err != nil {
		return u, err
	}
	return s.signIn(c, u, in.DeviceID)
}

// checkPassword returns the user with a login and a password.
func (s *Service) checkPassword(c *api.Call, id, login, password string) (core.User, error) {
	key := clip(api.Lower(login))
	if _, ok := core.ParseID[core.User](id); ok { // with an id, findLogin ignores the login
		key = id
	}
	if !s.attempts.Allowed(key) {
		return core.User{}, tooManyAttempts
	}
	u, found, err := s.findLogin(c, id, login)
	if err == nil && !found && c.CaughtUpWithHome("login "+key) {
		u, found, err = s.findLogin(c, id, login)
	}
	if err != nil {
		return u, err
	}
	right, err := s.hasher.Verify(c, u.PasswordHash, password) // it takes as long if there is no such user
	switch {
	case err != nil:
		return u, err
	case !right || !found:
		s.attempts.Wrong(key)
		return u, badLogin
	}
	s.attempts.Right(key)
	if u.DeleteAt != 0 {
		return u, inactive
	}
	return u, nil
}

// clip bounds a client's text before we store it in memory.
func clip(s string) string { return s[:min(len(s), core.MaxEmail)] }

func (s *Service) findLogin(ctx context.Context, id, login string) (core.User, bool, error) {
	if uid, ok := core.ParseID[core.User](id); ok {
		return s.Read.User(ctx, uid)
	}
	login = api.Lower(login)
	if login == "" || len(login) > core.MaxEmail {
		return core.User{}, false, nil
	}
	u, ok, err := s.Read.UserByName(ctx, login)
	if err != nil || ok {
		return u, ok, err
	}
	return s.Read.UserByEmail(ctx, login)
}

// signIn begins a session and returns its token only to this client.
func (s *Service) signIn(c *api.Call, u core.User, device string) (core.User, error) {
	token := session.NewToken()
	begun := core.Session{
		ID: core.NewID[core.Session](time.Now()), Token: core.HashToken(token), UserID: u.ID, DeviceID: device, Props: agent(c.Request.UserAgent()),
	}
	out, err := api.Changed(c, &command.CreateSession{Session: begun, PasswordHash: u.PasswordHash}, s.Read.SessionByToken, begun.Token)
	if err != nil {
		if e := core.AsError(err); e.Kind == core.KindUnauthorized && e.ID == "" {
			return u, badLogin
		}
		return u, err
	}
	c.Header().Set("Token", token)
	if c.Request.Header.Get("X-Requested-With") == "XMLHttpRequest" {
		session.SetCookies(c.Writer, c.Request, token, u.ID, time.UnixMilli(out.ExpiresAt))
	}
	return profile(u, true), nil
}

// agent describes the client in three words.
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

type loginTypeBody struct {
	LoginID string `json:"login_id"`
}

// loginType answers how an account signs in: with a password, which is the empty string.
func (s *Service) loginType(*api.Call, api.Nobody, loginTypeBody) (map[string]string, error) {
	return map[string]string{"auth_service": ""}, nil
}

// logout ends the session, if there is one, and succeeds without one too.
func (s *Service) logout(c *api.Call, _ api.Nobody) (api.Done, error) {
	session.ClearCookie(c.Writer, c.Request)
	if c.Session.ID.IsZero() {
		return api.Done{}, nil
	}
	return api.Done{}, c.Propose(&command.EndSession{SessionID: c.Session.ID}, nil)
}

// wireSession is a session as its user sees it, without the token.
type wireSession struct {
	core.Session
	Token       string            `json:"token"`
	IsOAuth     bool              `json:"is_oauth"`
	TeamMembers []core.TeamMember `json:"team_members"`
	Local       bool              `json:"local"`
}

func (s *Service) listSessions(c *api.Call, id core.UserID) (out []wireSession, err error) {
	list, err := s.Read.SessionsOf(c, id)
	for _, one := range list {
		if one.Expired(time.Now().UnixMilli()) {
			continue
		}
		if one.Props == nil {
			one.Props = map[string]string{}
		}
		out = append(out, wireSession{Session: one, TeamMembers: []core.TeamMember{}})
	}
	return out, err
}
