package apply

import "github.com/nearside/nearside/core"

// What the machine itself refuses, whatever the command.
var (
	sessionOver   = core.E(core.KindUnauthorized, "Sign in again: the session is over.")
	accountClosed = core.E(core.KindUnauthorized, "Sign in again: the account is closed.")
	internalFault = core.E(core.KindInternal, "")
	wrongScope    = core.E(core.KindInvalid, "scope")
	overLimit     = core.E(core.KindInvalid, "over limit")
	tooMuch       = core.E(core.KindTooLarge, "too much")
	stillLeaving  = core.E(core.KindUnavailable, "leaving")
	wrongVersion  = core.E(core.KindInvalid, "version")
)

func forbidden() error {
	return core.E(core.KindForbidden, "You do not have the appropriate permissions.")
}

func notFound(id, format string, args ...any) error {
	return core.E(core.KindNotFound, format, args...).WithID(id)
}

func invalid(id, format string, args ...any) error {
	return core.E(core.KindInvalid, format, args...).WithID(id)
}
