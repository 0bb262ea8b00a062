package event

import "github.com/nearside/nearside/core"

// SessionEnded makes a session worthless: its token, and its sockets.
type SessionEnded struct {
	quiet
	User    core.UserID
	Session core.SessionID
	Token   core.TokenHash
}
