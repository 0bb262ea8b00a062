package apply

import (
	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/command"
	"github.com/nearside/nearside/core/event"
	"github.com/nearside/nearside/core/schema"
)

// Sessions has the signed-in clients.
var (
	Sessions        = table[core.SessionID, core.Session]("sessions", "id")
	oldestSessionOf = index[core.UserID](Sessions, []string{"user_id"}, schema.OrderBy("create_at"), schema.AtMost(1))
)

func sessionCount(u core.UserID) string { return "sessions:" + u.String() }

var (
	wrongPassword   = core.Refusal{Kind: core.KindUnauthorized, ID: "api.user.login.invalid_credentials_email_username"}
	accountInactive = core.Refusal{Kind: core.KindUnauthorized, ID: "api.user.login.inactive.app_error"}
)

func createSession(x *exec, c *command.CreateSession) (any, error) {
	in := c.Session
	s := core.Session{ID: in.ID, Token: in.Token, UserID: in.UserID, DeviceID: in.DeviceID, Props: in.Props}
	u, ok := Users.Get(x, s.UserID)
	switch {
	case !ok || u.PasswordSeal.IsZero() || u.PasswordSeal != c.PasswordSeal:
		return nil, wrongPassword
	case u.DeleteAt != 0:
		return nil, accountInactive
	case len(s.DeviceID) > core.MaxDeviceID:
		return nil, badRequest.With("reason", "device_id", "max", core.MaxDeviceID)
	}
	if _, taken := Sessions.Get(x, s.ID); taken || s.ID.IsZero() {
		return nil, conflict.With("reason", "session")
	}
	s.CreateAt, s.LastActivityAt, s.Roles = x.now, x.now, u.Roles
	s.ExpiresAt = x.now + core.SessionLength.Milliseconds()
	if x.count(sessionCount(u.ID)) >= core.MaxSessions {
		for _, oldest := range oldestSessionOf.List(x, u.ID) {
			x.endSession(oldest)
		}
	}
	x.signedInFrom(u.ID, c.Attempt)
	x.signer(u, s.ID)
	x.add(sessionCount(u.ID), 1)
	Sessions.Put(x, s)
	return nil, nil
}

func (x *exec) endSession(s core.Session) {
	Sessions.Delete(x, s.ID)
	x.add(sessionCount(s.UserID), -1)
	x.emit(event.SessionEnded{User: s.UserID, Session: s.ID, Token: s.Token})
}

func endSession(x *exec, c *command.EndSession) (any, error) {
	u, err := x.caller()
	if err != nil {
		return nil, err
	}
	s, ok := Sessions.Get(x, c.SessionID)
	if !ok || s.UserID != u.ID {
		return nil, badRequest.With("reason", "session")
	}
	x.endSession(s)
	return nil, nil
}
