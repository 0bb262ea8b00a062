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
type checked struct{ next replication.Orderer }

// Propose implements replication.Orderer.
func (c checked) Propose(ctx context.Context, p core.Proposal) (core.Receipt, error) {
	if err := command.Check(p.Data); err != nil {
		return core.Receipt{}, err
	}
	return c.next.Propose(ctx, p)
}
