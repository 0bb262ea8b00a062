package accounts

import (
	"cmp"
	"strings"
	"time"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/command"
	"github.com/nearside/nearside/core/guard"
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

	LDAPOnly  api.Unbuilt `json:"ldap_only"`
	MagicLink api.Unbuilt `json:"magic_link_token"`
}

// name is the login, or the id of the account.
func (in loginBody) name() string { return clip(cmp.Or(in.ID, in.LoginID)) }

// clip bounds a client's text before we store it in memory.
func clip(s string) string { return s[:min(len(s), core.MaxEmail)] }

func (s *Service) login(c *api.Call, _ api.Nobody, in loginBody) (core.User, error) {
	if in.Password == "" {
		return core.User{}, noPassword
	}
	if in.DeviceID == "" {
		in.DeviceID = in.OldDeviceID
	}
	token := session.NewToken()
	answer, err := s.Verify(c, guard.Question{ID: core.AttemptFor(core.HashToken(token).Seal()), Kind: core.AttemptPassword, UserID: accountID(in.ID), Login: login(in), Secret: in.Password, Device: device(in)})
	switch {
	case err != nil:
		return core.User{}, err
	case answer.Verdict == guard.Locked:
		return core.User{}, tooManyAttempts
	case answer.Verdict != guard.Right:
		return core.User{}, badLogin
	}
	u, err := api.ReadBack(c, s.Read.User, answer.UserID)
	if err != nil {
		return u, err
	}
	if u.DeleteAt != 0 {
		return u, inactive
	}
	return s.signIn(c, u, token, answer.Attempt, in.DeviceID)
}

// accountID gives the account that a login names by its id, in which case its other name is ignored.
func accountID(id string) core.UserID {
	u, _ := core.ParseID[core.User](id)
	return u
}

// login gives the name that home looks up; one that is too long is nobody's.
func login(in loginBody) string {
	name := api.Lower(in.LoginID)
	if len(name) > core.MaxEmail {
		return ""
	}
	return name
}

// device gives the id of the device that signs in, if it says what it is.
func device(in loginBody) core.SourceID { return guard.Device("push", in.DeviceID) }

// signIn begins a session and returns its token only to this client.
func (s *Service) signIn(c *api.Call, u core.User, token string, attempt core.AttemptID, device string) (core.User, error) {
	hash := core.HashToken(token)
	begun := core.Session{
		ID: core.NewID[core.Session](time.Now()), Token: hash.Seal(), UserID: u.ID, DeviceID: device, Props: agent(c.Request.UserAgent()),
	}
	cmd := &command.CreateSession{Session: begun, PasswordSeal: u.PasswordSeal, Attempt: attempt}
	out, err := api.ChangedSealed(c, cmd, [][]byte{hash[:]}, s.Read.SessionByToken, begun.Token)
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
