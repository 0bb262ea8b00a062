package node

import (
	"cmp"
	"context"
	"sync"
	"time"

	"github.com/nearside/nearside/cdn"
	"github.com/nearside/nearside/cdn/tier"
	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/read"
	"github.com/nearside/nearside/core/replica"
	"github.com/nearside/nearside/edge"
	"github.com/nearside/nearside/region"
	"github.com/nearside/nearside/replication/forward"
	"github.com/nearside/nearside/replication/link"
)

// How often a home node looks after its blobs.
const (
	repairEvery = 5 * time.Minute
	sweepEvery  = time.Hour
	keepConns   = 2 // to the database
)

// The places where blobs can be.
const (
	kindDisk = "disk" // on the home nodes' disks
	kindS3   = "s3"   // in a bucket
	kindLink = "home" // at home, over the link
)

// keeping is what a node does with files, as the administration sees it. It is not changed once
// it is published; nil fields are parts that this node has not.
type keeping struct {
	kind, where string
	blobs       edge.Blobs    // the origin
	signer      cdn.Signer    // nil: clients are not sent to the bucket
	trouble     func() string // why the origin cannot be used; nil: nobody knows
	tier        *tier.Tier    // of an edge
	counted     *counted      // the tier's requests to the origin
	store       cdn.Getter    // what verify reads; nil away from home
	origin      *origin       // of the home nodes' disks
	ledger      *read.Store   // opened by openLedger
	repair      *repair
	sweeper     *sweeper
	verifying   sync.Mutex // one at a time
}

// reach is where an edge keeps bytes and finds them.
func (k *keeping) reach() edge.Blobs {
	if k.tier != nil {
		return k.tier
	}
	return k.blobs
}

// startKeeping looks after the blobs at home: what is missing comes, what nobody needs goes.
func (n *Node) startKeeping(ctx context.Context, s *stages, k *keeping, reg *region.Region, fwd *forward.Client) error {
	if err := n.openLedger(ctx, s, k); err != nil {
		return err
	}
	fresh := func(ctx context.Context) error { return caughtUp(ctx, n.parts.Load().replica, reg, fwd) }
	mine := func() bool { return true }
	if k.origin != nil {
		k.repair = &repair{origin: k.origin, ledger: k.ledger, fresh: fresh, every: cmp.Or(n.cfg.Tuning.RepairEvery, repairEvery), log: n.log}
		s.start("blob repair", stopInner, k.repair.Run)
	} else {
		mine = reg.IsLeader
	}
	if store, ok := k.store.(sweepable); ok {
		k.sweeper = &sweeper{store: store, ledger: k.ledger, fresh: fresh, mine: mine, grace: n.cfg.Files.Grace,
			keep: n.cfg.Files.KeepDeleted, every: cmp.Or(n.cfg.Tuning.SweepEvery, sweepEvery), log: n.log}
		s.start("blob sweep", stopInner, k.sweeper.Run)
	}
	n.update(func(p *parts) { p.keeping = k })
	return nil
}

// openLedger lets k ask what the log knows of blobs.
func (n *Node) openLedger(ctx context.Context, s *stages, k *keeping) (err error) {
	if k.ledger == nil {
		k.ledger, err = n.openReader(ctx, s, keepConns)
	}
	return err
}

// caughtUp returns once the replica has everything that the leader had when it was called.
func caughtUp(ctx context.Context, rep *replica.Replica, reg *region.Region, fwd *forward.Client) error {
	if reg.IsLeader() { // it applied all that was before it
		return nil
	}
	_, addr, ok := reg.Leader()
	if !ok {
		return core.E(core.KindUnavailable, "no home node leads")
	}
	answer, err := fwd.AskAt(ctx, addr, askPosition, nil)
	if err != nil {
		return err
	}
	pos, err := core.ParsePosition(string(answer))
	if err != nil {
		return err
	}
	return rep.WaitApplied(ctx, pos.Index)
}

// answerPosition answers caughtUp. A node that was elected but has not applied yet what was before
// it knows less than its followers, and nobody may take its word, itself included.
func answerPosition(rep interface{ Position() core.Position }, reg interface{ IsLeader() bool }) forward.AskHandler {
	return func(context.Context, link.Identity, []byte) ([]byte, error) {
		if !reg.IsLeader() {
			return nil, core.E(core.KindUnavailable, "this node does not lead, or is not ready to")
		}
		return []byte(rep.Position().String()), nil
	}
}
