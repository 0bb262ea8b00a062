package event

import "github.com/nearside/nearside/core"

// SessionEnded ends a session: its token is no longer valid, and its sockets are closed.
type SessionEnded struct {
	quiet
	User    core.UserID
	Session core.SessionID
	Token   core.Seal
}
