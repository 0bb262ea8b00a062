package node

import (
	"context"

	"github.com/nearside/nearside/cdn"
	"github.com/nearside/nearside/cdn/origin"
	"github.com/nearside/nearside/cmd/admin"
	"github.com/nearside/nearside/edge"
	"github.com/nearside/nearside/region"
)

const keepConns = 2 // to the database, for the ledger of blobs

// The places where blobs can be.
const (
	kindDisk = "disk" // on the home nodes' disks
	kindS3   = "s3"   // in a bucket
	kindLink = "home" // at home, over the link
)

// keeping has the parts of a node that keep files. It does not change after it is published.
type keeping struct {
	admin.Files
	origin edge.Blobs
	kept   origin.Sweepable // nil away from home
	signer cdn.Signer       // nil: clients are not sent to the bucket
}

// reach gives the place where an edge keeps bytes and finds them.
func (k *keeping) reach() edge.Blobs {
	if k.Tier != nil {
		return k.Tier
	}
	return k.origin
}

// startKeeping starts repair and sweep of the blobs at home.
func (n *Node) startKeeping(ctx context.Context, s *stages, k *keeping, reg *region.Region) error {
	if err := n.openLedger(ctx, s, k); err != nil {
		return err
	}
	rep := n.parts.Load().replica
	fresh := func(ctx context.Context) error {
		at, err := reg.LeaderPosition(ctx)
		if err != nil {
			return err
		}
		return rep.WaitApplied(ctx, at.Index)
	}
	var mine func() bool // every home node sweeps its own disk
	if k.Disks != nil {
		k.Repair = origin.NewRepair(origin.RepairConfig{Disks: k.Disks, Ledger: k.Ledger, Fresh: fresh, Every: n.cfg.Tuning.RepairEvery, Jobs: n.metrics.jobs, Logger: n.log})
		s.start("blob repair", stopInner, k.Repair.Run)
	} else {
		mine = reg.IsLeader
	}
	k.Sweeper = origin.NewSweeper(origin.SweeperConfig{
		Store: k.kept, Ledger: k.Ledger, Fresh: fresh, Mine: mine, Grace: n.cfg.Files.Grace, Keep: n.cfg.Files.KeepDeleted,
		Every: n.cfg.Tuning.SweepEvery, Jobs: n.metrics.jobs, Logger: n.log,
	})
	s.start("blob sweep", stopInner, k.Sweeper.Run)
	n.update(func(p *parts) { p.keeping = k })
	return nil
}

// openLedger opens the database for the ledger: which blobs are referred to.
func (n *Node) openLedger(ctx context.Context, s *stages, k *keeping) (err error) {
	if k.Ledger == nil {
		k.Ledger, err = n.openReader(ctx, s, keepConns)
	}
	return err
}
