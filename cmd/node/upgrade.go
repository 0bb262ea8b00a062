package node

import (
	"context"
	"path/filepath"
	"strconv"
	"time"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/command"
	"github.com/nearside/nearside/region"
)

// startUpgrade starts the part that begins the next version of the log when all nodes understand it.
func (n *Node) startUpgrade(s *stages, reg *region.Region) error {
	p := n.parts.Load()
	voters := []string{n.cfg.Name}
	for _, h := range n.cfg.Home {
		if h.Node != n.cfg.Name {
			voters = append(voters, h.Node)
		}
	}
	u, err := region.NewUpgrade(region.UpgradeConfig{
		Voters: voters, LogVersion: p.replica.LogVersion, Leads: reg.IsLeader, File: filepath.Join(n.cfg.Data, "seen.json"),
		After: n.cfg.Tuning.RaiseAfter, Logger: n.log,
		Members: func() []region.Member {
			list := []region.Member{{Node: n.cfg.Name, Seen: time.Now(), LogVersion: core.LogVersion}}
			for _, m := range p.gossip.Members() {
				seen := m.Since
				if m.Alive {
					seen = time.Now()
				}
				if !m.Itself {
					list = append(list, region.Member{Node: m.Node.Node, Seen: seen, LogVersion: m.LogVersion})
				}
			}
			return list
		},
		Raise: func(ctx context.Context, to int64) error {
			data, err := command.Encode(command.Caller{}, &command.RaiseVersion{To: to})
			if err != nil {
				return err
			}
			id := core.DeriveID[core.Proposal]("log version", strconv.FormatInt(to, 10))
			receipt, err := reg.Propose(ctx, core.Proposal{ID: id, Data: data}) // a new leader refuses it, and begins the version itself
			if err != nil {
				return err
			}
			return command.DecodeOutcome(receipt.Outcome, nil)
		},
	})
	if err != nil {
		return err
	}
	s.start("upgrade", stopInner, u.Run)
	n.update(func(p *parts) { p.upgrade = u })
	return nil
}
