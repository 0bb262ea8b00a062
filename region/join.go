package region

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/hashicorp/raft"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/backoff"
)

const (
	keepEvery   = 100 * time.Millisecond // how often the leader looks whether the voters are as they should be
	configLimit = 2 * time.Second        // for one change of Raft's configuration to be taken
	configPoll  = 5 * time.Millisecond
)

// admit registers a start at the leader, and gives from where on the node may vote. A node with another disk
// than before, or one that was further once, loses its vote first; keepVoters gives it back.
func (r *Region) admit(ctx context.Context, s start) (started, error) {
	if !r.IsLeader() {
		return started{}, notLeader.With("reason", "node")
	}
	select {
	case r.admitting <- struct{}{}:
	case <-ctx.Done():
		return started{}, core.E(core.KindUnavailable, "the leader is busy with another home node").WithCause(context.Cause(ctx))
	}
	defer func() { <-r.admitting }()
	now := r.roster.get()
	known, ok := now.of(s.Node)
	if !ok {
		return started{}, core.E(core.KindNotFound, "%s is no home node of this deployment: add it with `nearside home add %s --addr %s`", s.Node, s.Node, s.Addr)
	}
	if err := s.check(now); err != nil {
		return started{}, err
	}
	if known.Store == s.Store && known.Start == s.Start {
		return known.answer(now.Deployment), nil // it asks again
	}
	n := HomeNode{Node: s.Node, Addr: s.Addr, Store: s.Store, Start: s.Start, Incarnation: s.Incarnation}
	further := s.Further || known.Store == s.Store && s.Incarnation <= known.Incarnation
	if err := r.seat(ctx, n); err != nil {
		return started{}, err
	}
	switch {
	case known.Store != "" && known.Store != s.Store:
		r.cfg.Logger.Warn("a home node comes with another disk; it votes when it has caught up", "node", s.Node)
	case further:
		n.Incarnation = max(n.Incarnation, known.Incarnation) + 1
		if err := r.unseat(ctx, n); err != nil {
			return started{}, err
		}
		r.cfg.Logger.Warn("a home node's disk was further once; it votes when it has caught up", "node", s.Node)
	}
	term := r.lead.ledTerm()
	data, err := encodeChange(term, change{Start: &n})
	if err != nil {
		return started{}, err
	}
	r.raft.ApplyLog(raft.Log{Data: data}, 0)
	var got HomeNode
	err = r.roster.wait(ctx, func(state rosterState) bool {
		got, ok = state.of(n.Node)
		return ok && got.Store == n.Store && got.Start == n.Start
	})
	if err != nil {
		return started{}, core.E(core.KindUnavailable, "no majority of the other home nodes has written the start of %s", s.Node).WithCause(err)
	}
	return got.answer(now.Deployment), nil
}

// answer gives what a node is told when its start is registered. The entry was committed without the node,
// so whoever leads later has all that was acknowledged before.
func (n HomeNode) answer(deployment string) started {
	return started{Deployment: deployment, Incarnation: n.Incarnation, Floor: floor{Term: n.Term, LogTerm: n.Term, LogIndex: n.Index}}
}

// check refuses a node whose configuration contradicts the log.
func (s start) check(now rosterState) error {
	if err := checkVoters([]Voter{{Node: s.Node, Addr: s.Addr}}); err != nil {
		return err
	}
	if s.Deployment != "" && s.Deployment != now.Deployment {
		return core.E(core.KindInvalid, "%s belongs to another deployment (%.8s) than this one (%.8s)", s.Node, s.Deployment, now.Deployment)
	}
	if s.Store == "" || len(s.Store) > maxNameSize || s.Start == "" || len(s.Start) > maxNameSize {
		return core.E(core.KindInvalid, "%s does not name its store", s.Node)
	}
	return now.checkFile(s.Voters)
}

// checkFile refuses a configuration that lists home nodes which the log does not have.
func (s *rosterState) checkFile(listed []string) error {
	for _, name := range listed {
		if _, ok := s.of(name); !ok {
			return core.E(core.KindInvalid, "home: the file lists %.80q, but the log of this deployment has %s; voters change through the log: `nearside home add`",
				name, s.names())
		}
	}
	return nil
}

func (s *rosterState) names() string {
	var names string
	for i, n := range s.Nodes {
		if i > 0 {
			names += ", "
		}
		names += n.Node
	}
	return names
}

// seat removes what a node was with another disk, and adds it without a vote if it is not there.
func (r *Region) seat(ctx context.Context, n HomeNode) error {
	id := serverID(n.Node, n.Store)
	return r.reseat(ctx, func(servers []raft.Server) (func(), bool) {
		for _, v := range servers {
			if node, _ := splitID(v.ID); node == n.Node && v.ID != id {
				return func() { r.raft.RemoveServer(v.ID, 0, configLimit) }, false
			}
		}
		if _, ok := (seats{Servers: servers}).of(id); ok {
			return nil, true
		}
		return func() { r.raft.AddNonvoter(id, raft.ServerAddress(n.Addr), 0, configLimit) }, false
	})
}

// unseat takes a node's vote.
func (r *Region) unseat(ctx context.Context, n HomeNode) error {
	id := serverID(n.Node, n.Store)
	return r.reseat(ctx, func(servers []raft.Server) (func(), bool) {
		if v, ok := (seats{Servers: servers}).of(id); ok && v.Suffrage == raft.Voter {
			return func() { r.raft.DemoteVoter(id, 0, configLimit) }, false
		}
		return nil, true
	})
}

// reseat changes Raft's configuration step by step until next reports that it is as it should be. Each
// step is committed before the next one begins.
func (r *Region) reseat(ctx context.Context, next func([]raft.Server) (step func(), done bool)) error {
	for {
		conf := r.raft.GetConfiguration()
		if err := conf.Error(); err != nil {
			return err
		}
		if r.raft.CommitIndex() >= r.log.newestSeats().Index {
			step, done := next(conf.Configuration().Servers)
			if done {
				return nil
			}
			if !r.IsLeader() {
				return notLeader.With("reason", "node")
			}
			step()
		}
		if !backoff.Pause(ctx, configPoll) {
			return core.E(core.KindUnavailable, "no majority of the home nodes agrees to change the voters").WithCause(context.Cause(ctx))
		}
	}
}

// keepLoop keeps Raft's voters as the roster says, while this node leads.
func (r *Region) keepLoop(ctx context.Context) error {
	t := time.NewTicker(keepEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
		if r.IsLeader() {
			r.keepVoters(ctx)
		}
	}
}

// keepVoters removes one server that the roster does not have, or gives one that has caught up its vote.
func (r *Region) keepVoters(ctx context.Context) {
	select {
	case r.admitting <- struct{}{}:
	default:
		return
	}
	defer func() { <-r.admitting }()
	conf := r.raft.GetConfiguration()
	if conf.Error() != nil || r.raft.CommitIndex() < r.log.newestSeats().Index {
		return
	}
	now, servers := r.roster.get(), conf.Configuration().Servers
	r.count(now, servers)
	for _, v := range servers {
		node, store := splitID(v.ID)
		n, ok := now.of(node)
		switch {
		case !ok || n.Store != "" && n.Store != store:
			r.cfg.Logger.Info("removing a server that is no home node any more", "server", v.ID)
			r.raft.RemoveServer(v.ID, 0, configLimit)
			return
		case v.Suffrage != raft.Voter && r.caughtUp(ctx, n):
			r.cfg.Logger.Info("a home node has caught up and votes", "node", node)
			r.raft.AddVoter(v.ID, v.Address, 0, configLimit)
			return
		}
	}
}

// count notes whether enough of the home nodes vote: what fewer than a majority of them acknowledge would
// not survive the loss of any minority.
func (r *Region) count(now rosterState, servers []raft.Server) {
	voters := 0
	for _, v := range servers {
		if v.Suffrage == raft.Voter {
			voters++
		}
	}
	if voters > len(now.Nodes)/2 {
		r.short.Store(nil)
		return
	}
	why := fmt.Sprintf("%d of %d home nodes vote; the others have not joined yet", voters, len(now.Nodes))
	r.short.Store(&why)
}

// caughtUp asks a node without a vote whether it has all that is committed here.
func (r *Region) caughtUp(ctx context.Context, n HomeNode) bool {
	ctx, cancel := context.WithTimeout(ctx, standAsk)
	defer cancel()
	commit, term := r.raft.CommitIndex(), r.lead.ledTerm()
	var st peerState
	err := r.askJSON(ctx, n.Addr, askState, nil, &st)
	return err == nil && st.Running && st.Store == n.Store && st.At.LogIndex >= commit && st.At.LogTerm == term
}

// SetMembers orders who the home nodes are from now on. Only one may be added or removed at a time, and
// removing needs those that stay to be a majority that votes.
func (r *Region) SetMembers(ctx context.Context, want func(now []Voter) ([]Voter, error)) ([]Voter, error) {
	if !r.IsLeader() {
		return nil, notLeader.With("reason", "node")
	}
	now := r.roster.get()
	next, err := want(now.voters())
	if err != nil {
		return nil, err
	}
	if err := checkVoters(next); err != nil {
		return nil, err
	}
	if d := len(next) - len(now.Nodes); len(next) == 0 || d < -1 || d > 1 {
		return nil, core.E(core.KindInvalid, "one home node is added or removed at a time, and one stays")
	}
	data, err := encodeChange(r.lead.ledTerm(), change{Deployment: now.Deployment, Members: next})
	if err != nil {
		return nil, err
	}
	r.raft.ApplyLog(raft.Log{Data: data}, 0)
	err = r.roster.wait(ctx, func(s rosterState) bool { return slices.Equal(s.voters(), next) })
	if err != nil {
		return nil, core.E(core.KindUnavailable, "no majority of the home nodes has written the change").WithCause(err)
	}
	return next, nil
}
