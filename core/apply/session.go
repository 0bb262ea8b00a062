package apply

import (
	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/command"
	"github.com/nearside/nearside/core/event"
)

// Sessions has the signed-in clients.
var Sessions = table[core.SessionID, core.Session]("sessions")

var (
	wrongPassword   = core.Refusal{Kind: core.KindUnauthorized, ID: "api.user.login.invalid_credentials_email_username"}
	accountInactive = core.Refusal{Kind: core.KindUnauthorized, ID: "api.user.login.inactive.app_error"}
)

func createSession(x *exec, c *command.CreateSession) (any, error) {
	s := c.Session
	u, ok := Users.Get(x, s.UserID)
	switch {
	case !ok || u.PasswordHash == "" || u.PasswordHash != c.PasswordHash:
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
	Sessions.Put(x, s)
	return nil, nil
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
	Sessions.Delete(x, s.ID)
	x.emit(event.SessionEnded{User: u.ID, Session: s.ID, Token: s.Token})
	return nil, nil
}
