package simtest

import (
	"context"

	"github.com/nearside/nearside/core"
)

// shared is the log of a home node: the one that the home nodes of the World share now, or the
// node's own if it is stranded or spoiled.
type shared struct{ n *Node }

func (s shared) log() *Chain {
	if c := s.n.stranded(); c != nil {
		return c
	}
	return s.n.w.Source()
}

// Position implements replication.Source.
func (s shared) Position() core.Position { return s.log().Position() }

// Tail implements replication.Source. If the log is replaced while it waits, it starts again.
func (s shared) Tail(ctx context.Context, after core.Position, maxBytes int) (core.Batch, error) {
	for {
		c := s.log()
		b, err := c.Tail(ctx, after, maxBytes)
		if c == s.log() || ctx.Err() != nil {
			return b, err
		}
	}
}

// Snapshot implements replication.Source.
func (s shared) Snapshot(ctx context.Context, id string, sealed bool) (core.Snapshot, error) {
	return s.log().Snapshot(ctx, id, sealed)
}

// Propose implements replication.Orderer.
func (s shared) Propose(ctx context.Context, p core.Proposal) (core.Receipt, error) {
	if s.n.stranded() != nil {
		return core.Receipt{}, core.E(core.KindUnavailable, "no leader")
	}
	return s.n.w.Source().Propose(ctx, p)
}
