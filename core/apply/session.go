package apply

import (
	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/command"
	"github.com/nearside/nearside/core/event"
)

// Sessions is the signed-in clients.
var Sessions = table[core.SessionID, core.Session]("sessions")

func createSession(x *exec, c *command.CreateSession) (any, error) {
	s := c.Session
	u, ok := Users.Get(x, s.UserID)
	switch {
	case !ok || u.PasswordHash == "" || u.PasswordHash != c.PasswordHash:
		return nil, core.E(core.KindUnauthorized, "Enter a valid email or username and/or password.").
			WithID("api.user.login.invalid_credentials_email_username")
	case u.DeleteAt != 0:
		return nil, core.E(core.KindUnauthorized, "The account is closed.").WithID("api.user.login.inactive.app_error")
	case len(s.DeviceID) > core.MaxDeviceID:
		return nil, core.E(core.KindInvalid, "A device id has at most %d bytes.", core.MaxDeviceID)
	}
	if _, taken := Sessions.Get(x, s.ID); taken || s.ID.IsZero() {
		return nil, core.E(core.KindConflict, "A session with that id already exists.")
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
		return nil, core.E(core.KindInvalid, "There is no such session.")
	}
	Sessions.Delete(x, s.ID)
	x.emit(event.SessionEnded{User: u.ID, Session: s.ID, Token: s.Token})
	return nil, nil
}
