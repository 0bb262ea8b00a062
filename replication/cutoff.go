package replication

import (
	"context"
	"errors"

	"github.com/nearside/nearside/core"
)

// The reasons why a question to home has no answer.
var (
	cutOff   = core.Refusal{Kind: core.KindUnavailable, ID: "api.nearside.unavailable.app_error"}.With("reason", "cut_off")
	canceled = core.Refusal{Kind: core.KindCanceled, ID: "api.nearside.canceled.app_error"}
	timeout  = core.Refusal{Kind: core.KindTimeout, ID: "api.nearside.timeout.app_error"}
)

// CutOff is the error for a client if no home node can be reached.
func CutOff(cause error) error {
	return cutOff.WithCause(cause)
}

// GaveUp is the error of a question to home whose context has ended.
func GaveUp(ctx context.Context, cause error) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return canceled.WithCause(cause)
	}
	return timeout.WithCause(cause)
}
