package apply

import "github.com/nearside/nearside/core"

// Refusals that any command may give. The others are declared where they are used. The texts of all
// are in the catalogue at the edge.
var (
	sessionOver   = core.Refusal{Kind: core.KindUnauthorized, ID: "api.context.session_expired.app_error"}
	accountClosed = sessionOver.With("reason", "account_closed")
	forbidden     = core.Refusal{Kind: core.KindForbidden, ID: "api.context.permissions.app_error"}
	badRequest    = core.Refusal{Kind: core.KindInvalid, ID: "api.context.invalid_body_param.app_error"}
	conflict      = core.Refusal{Kind: core.KindConflict, ID: "api.nearside.conflict.app_error"}
	internalFault = core.Refusal{Kind: core.KindInternal, ID: "api.nearside.internal.app_error"}
	wrongScope    = core.Refusal{Kind: core.KindInvalid, ID: "nearside.scope.app_error"}
	tooMuch       = core.Refusal{Kind: core.KindTooLarge, ID: "api.context.request_body_too_large.app_error"}.With("reason", "too_much")
)
