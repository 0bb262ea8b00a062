package node

import (
	"context"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/command"
	"github.com/nearside/nearside/replication"
)

// checked orders only what every replica can read, and what an edge may propose at all. An entry that
// cannot be decoded stops the replicas, so without this one edge, newer than home or hostile, could
// stop them all.
type checked struct {
	next    replication.Orderer
	version func() int64 // of the log
}

// Propose implements replication.Orderer.
func (c checked) Propose(ctx context.Context, p core.Proposal) (core.Receipt, error) {
	if err := command.Check(p.Data, c.version()); err != nil {
		return core.Receipt{}, err
	}
	return c.next.Propose(ctx, p)
}

// gated is what the edge in a home node proposes by: it is of this program, so it is only checked
// while the log is in an earlier version than this program's.
type gated struct{ checked }

// Propose implements edge.Proposer.
func (g gated) Propose(ctx context.Context, p core.Proposal) (core.Receipt, error) {
	if g.version() < core.LogVersion {
		return g.checked.Propose(ctx, p)
	}
	return g.next.Propose(ctx, p)
}
