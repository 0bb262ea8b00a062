package node

import (
	"context"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/guard"
	"github.com/nearside/nearside/core/pg"
	"github.com/nearside/nearside/core/trail"
	"github.com/nearside/nearside/region"
	"github.com/nearside/nearside/replication/forward"
)

// guardConns is how many connections to the database the guard has: more than passwords are checked at once.
const guardConns = 4

// homeGuard is the guard of a home node. The leader answers by itself; at another node the edge asks the leader.
type homeGuard struct {
	here *guard.Guard
	away guard.Remote
	reg  *region.Region
}

// startGuard makes the guard of this home node.
func (n *Node) startGuard(ctx context.Context, s *stages, reg *region.Region, fwd *forward.Client, trail *trail.Trail) (*homeGuard, error) {
	store, err := n.openReader(ctx, s, guardConns)
	if err != nil {
		return nil, err
	}
	db := n.parts.Load().db
	unseal := func(ctx context.Context, seal core.Seal) ([]byte, bool, error) { return pg.Unseal(ctx, db, seal) }
	g, err := guard.New(guard.Config{Store: store, Unseal: unseal, Hasher: n.hasher, Propose: reg.ProposeHere, Applied: n.parts.Load().replica.WaitApplied, Failed: trail.Failed})
	if err != nil {
		return nil, err
	}
	return &homeGuard{g, remoteGuard(fwd), reg}, nil
}

// remoteGuard asks home.
func remoteGuard(fwd *forward.Client) guard.Remote {
	return guard.Remote{Ask: func(ctx context.Context, question []byte) ([]byte, error) { return fwd.Ask(ctx, askGuard, question) }}
}

// Verify implements access.Guard.
func (g *homeGuard) Verify(ctx context.Context, q guard.Question) (guard.Answer, error) {
	if g.reg.IsLeader() {
		a, err := g.here.Verify(ctx, q)
		if core.KindOf(err) != core.KindUnavailable || g.reg.IsLeader() {
			return a, err
		}
	}
	a, err := g.away.Verify(ctx, q)
	if core.KindOf(err) == core.KindUnavailable && g.reg.IsLeader() { // in the meantime this node was elected
		return g.here.Verify(ctx, q)
	}
	return a, err
}
