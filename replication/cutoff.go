package replication

import (
	"context"
	"errors"

	"github.com/nearside/nearside/core"
)

// CutOff is what a client is told when no home node can be reached.
func CutOff(cause error) error {
	return core.E(core.KindUnavailable, "This server is cut off from its home region.").WithCause(cause)
}

// GaveUp says why a question to home has no answer: its context has ended.
func GaveUp(ctx context.Context, cause error) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return core.E(core.KindCanceled, "the caller went away").WithCause(cause)
	}
	return core.E(core.KindTimeout, "home did not answer in time").WithCause(cause)
}
