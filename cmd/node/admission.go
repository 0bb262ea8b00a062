package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/backoff"
	"github.com/nearside/nearside/core/command"
	"github.com/nearside/nearside/core/event"
	"github.com/nearside/nearside/core/read"
	"github.com/nearside/nearside/region"
	"github.com/nearside/nearside/replication/link"
	"github.com/nearside/nearside/replication/roll"
)

const (
	recheckEvery = time.Second            // certificates end, and so does the time of a former key
	homesEvery   = 100 * time.Millisecond // while home nodes wait to be admitted
	foundingWait = 2 * time.Second        // for the other home nodes of a new deployment, so that one entry admits all
	lateAfter    = 10 * time.Second       // without all that home has, this node may not know the newest keys
)

// newRoll makes the list of admitted nodes, and fills it from the replica.
func (n *Node) newRoll(ctx context.Context) (*roll.Roll, error) {
	r := roll.New(roll.Config{Late: n.late, Listed: func(node string) bool {
		reg := n.parts.Load().region
		return reg != nil && reg.Lists(node)
	}})
	nodes, err := read.New(n.parts.Load().db, nil).Nodes(ctx)
	r.Set(nodes)
	return r, err
}

// late reports whether this node may lack entries that home has.
func (n *Node) late() bool {
	p := n.parts.Load()
	var lag time.Duration
	ok := false
	switch {
	case p.region != nil:
		lag, ok = p.region.Lag()
	case p.follower != nil:
		lag, ok = p.follower.Status().Lag(p.replica.Position(), time.Now())
	}
	return !ok || lag > lateAfter
}

// startAdmission keeps the list true, and ends the connections of those that may no longer take part.
func (n *Node) startAdmission(s *stages, ep *link.Endpoint, admitted *roll.Roll) {
	rep := n.parts.Load().replica
	events := rep.Subscribe()
	store := read.New(n.parts.Load().db, nil)
	load := func(ctx context.Context) {
		for failures := 0; ; failures++ {
			nodes, err := store.Nodes(ctx)
			if err == nil {
				admitted.Set(nodes)
				return
			}
			n.log.Warn("cannot read the list of nodes", "error", err)
			if !backoff.Pause(ctx, backoff.Backoff{Min: 50 * time.Millisecond, Max: time.Second}.After(failures)) {
				return
			}
		}
	}
	s.start("list of nodes", stopInner, func(ctx context.Context) error {
		load(ctx) // again: entries may have been applied since newRoll
		for changed := true; ; {
			if changed {
				ep.Recheck()
			}
			changed = false
			batches, err := events.Next(ctx)
			switch {
			case ctx.Err() != nil:
				return nil
			case errors.Is(err, core.ErrDiverged):
				load(ctx)
				changed = true
			}
			for _, b := range batches {
				for _, ev := range b.Events {
					if ev, ok := ev.(event.NodeChanged); ok {
						admitted.Change(ev.Node)
						changed = true
					}
				}
			}
		}
	})
	s.start("check of connections", stopInner, func(ctx context.Context) error {
		tick := time.NewTicker(recheckEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-tick.C:
				ep.Recheck()
			}
		}
	})
}

// admitHomes admits, while this node leads, the home nodes that the log lists and that have come. The first time it waits
// a moment for all of them, so that no node ever knows of some of them only.
func (n *Node) admitHomes(reg *region.Region, ep *link.Endpoint, admitted *roll.Roll) func(context.Context) error {
	return func(ctx context.Context) error {
		tick := time.NewTicker(homesEvery)
		defer tick.Stop()
		var since time.Time // when this node began to lead
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-tick.C:
			}
			if !reg.IsLeader() {
				since = time.Time{}
				continue
			}
			if since.IsZero() {
				since = time.Now()
			}
			waiting, away := newHomes(reg.Homes(), append(ep.Peers(), ep.Own()), admitted)
			if len(waiting) == 0 || away && len(admitted.Nodes()) == 0 && time.Since(since) < foundingWait {
				continue
			}
			err := n.order(ctx, reg, &command.AdmitNodes{Nodes: waiting, OnlyNew: true})
			if err != nil && ctx.Err() == nil {
				n.log.Warn("home nodes are not admitted yet", "error", err)
			}
		}
	}
}

// newHomes gives the home nodes among those that are connected that the list does not have yet; away reports whether more
// of them are missing.
func newHomes(homes []region.Voter, peers []link.Peer, admitted *roll.Roll) (waiting []core.Node, away bool) {
	connected := map[string]link.Peer{}
	for _, p := range peers {
		connected[p.Node] = p
	}
	for _, h := range homes {
		if _, known := admitted.Of(h.Node); known {
			continue
		}
		p, ok := connected[h.Node]
		if !ok || !p.Has(link.RoleHome) {
			away = true
			continue
		}
		waiting = append(waiting, nodeOf(p))
	}
	return waiting, away
}

// nodeOf gives what is admitted of a peer.
func nodeOf(p link.Peer) core.Node {
	return core.Node{Name: p.Node, Region: p.Region, Roles: p.RoleList(), Key: p.Key}
}

// order orders one of home's own commands at the leader, which has applied it when order returns.
func (n *Node) order(ctx context.Context, reg *region.Region, c command.Command) error {
	data, err := command.Encode(command.Caller{}, c)
	if err != nil {
		return err
	}
	receipt, err := reg.ProposeHere(ctx, core.Proposal{ID: core.NewID[core.Proposal](time.Now()), Data: data})
	if err != nil {
		return fmt.Errorf("the leader did not order it: %w", err)
	}
	return command.DecodeOutcome(receipt.Outcome, nil)
}
