package simtest

import (
	"context"

	"github.com/nearside/nearside/core"
)

// shared is whichever log the homes of a World share at the moment.
type shared struct{ w *World }

// Position implements replication.Source.
func (s shared) Position() core.Position { return s.w.Source().Position() }

// Tail implements replication.Source. When the log is replaced while it waits it looks again.
func (s shared) Tail(ctx context.Context, after core.Position, maxBytes int) (core.Batch, error) {
	for {
		c := s.w.Source()
		b, err := c.Tail(ctx, after, maxBytes)
		if c == s.w.Source() || ctx.Err() != nil {
			return b, err
		}
	}
}

// Snapshot implements replication.Source.
func (s shared) Snapshot(ctx context.Context, id string) (core.Snapshot, error) {
	return s.w.Source().Snapshot(ctx, id)
}

// Propose implements replication.Orderer.
func (s shared) Propose(ctx context.Context, p core.Proposal) (core.Receipt, error) {
	return s.w.Source().Propose(ctx, p)
}
