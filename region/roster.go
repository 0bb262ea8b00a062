package region

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/hashicorp/raft"

	"github.com/nearside/nearside/core"
)

// Bounds of what the log can say about the home nodes.
const (
	maxVoters   = 9
	maxNameSize = 256
)

// HomeNode is a home node as the log knows it.
type HomeNode struct {
	Node        string `json:"node"`
	Addr        string `json:"addr"`
	Store       string `json:"store,omitempty"`       // of its disk; "" before it first came
	Incarnation uint64 `json:"incarnation,omitempty"` // the newest start that was registered
	Start       string `json:"start,omitempty"`       // a random name of that start, so that asking twice registers once
	Term        uint64 `json:"term,omitempty"`        // of the entry that registered it
	Index       uint64 `json:"index,omitempty"`       // of the entry that registered it
}

// change is an entry about the home nodes. Exactly one of Members and Start is set.
type change struct {
	Deployment string    `json:"deployment,omitempty"` // with Members
	Members    []Voter   `json:"members,omitempty"`    // all home nodes from here on
	Start      *HomeNode `json:"start,omitempty"`      // a start of one of them
}

// encodeChange gives the data of a log; see formatRoster.
func encodeChange(term uint64, c change) ([]byte, error) {
	raw, err := json.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("encoding a change of the home nodes: %w", err)
	}
	return append(binary.BigEndian.AppendUint64([]byte{formatRoster}, term), raw...), nil
}

// roster has the home nodes by the log: who they are, with which disks, and how often they started. It
// changes only by entries of the log, and is part of every snapshot pointer.
type roster struct {
	mu      sync.Mutex // guards all below
	state   rosterState
	changed chan struct{} // closed and replaced on every change
}

// rosterState is the roster at one index.
type rosterState struct {
	Deployment string     `json:"deployment,omitempty"`
	Nodes      []HomeNode `json:"nodes,omitempty"`
}

func newRoster() *roster { return &roster{changed: make(chan struct{})} }

func (r *roster) get() rosterState {
	r.mu.Lock()
	defer r.mu.Unlock()
	return rosterState{Deployment: r.state.Deployment, Nodes: slices.Clone(r.state.Nodes)}
}

func (r *roster) set(s rosterState) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.state = rosterState{Deployment: s.Deployment, Nodes: slices.Clone(s.Nodes)}
	close(r.changed)
	r.changed = make(chan struct{})
}

// wait waits until ok accepts the roster.
func (r *roster) wait(ctx context.Context, ok func(rosterState) bool) error {
	for {
		r.mu.Lock()
		changed := r.changed
		r.mu.Unlock()
		if ok(r.get()) {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// apply applies the change in a committed log.
func (r *roster) apply(term, index uint64, data []byte) error {
	var c change
	if err := json.Unmarshal(data, &c); err != nil {
		return core.E(core.KindUpgrade, "entry %d about the home nodes cannot be read: upgrade this node", index).WithCause(err)
	}
	s := r.get()
	switch {
	case c.Start != nil:
		s.started(*c.Start, term, index)
	case len(c.Members) > 0:
		s.replaced(c)
	}
	r.set(s)
	return nil
}

// started notes a start of a node. An older incarnation of the same disk changes nothing.
func (s *rosterState) started(n HomeNode, term, index uint64) {
	i := slices.IndexFunc(s.Nodes, func(h HomeNode) bool { return h.Node == n.Node })
	if i < 0 || s.Nodes[i].Store == n.Store && s.Nodes[i].Incarnation >= n.Incarnation {
		return
	}
	n.Term, n.Index = term, index
	s.Nodes[i] = n
}

// replaced sets who the home nodes are; those that stay keep their disks.
func (s *rosterState) replaced(c change) {
	if s.Deployment == "" {
		s.Deployment = c.Deployment
	}
	nodes := make([]HomeNode, 0, len(c.Members))
	for _, m := range c.Members[:min(len(c.Members), maxVoters)] {
		n, _ := s.of(m.Node)
		n.Node, n.Addr = m.Node, m.Addr
		nodes = append(nodes, n)
	}
	s.Nodes = nodes
}

func (s *rosterState) of(node string) (HomeNode, bool) {
	for _, n := range s.Nodes {
		if n.Node == node {
			return n, true
		}
	}
	return HomeNode{}, false
}

func (s *rosterState) voters() []Voter {
	voters := make([]Voter, 0, len(s.Nodes))
	for _, n := range s.Nodes {
		voters = append(voters, Voter{Node: n.Node, Addr: n.Addr})
	}
	return voters
}

// readRoster gives the home nodes by the newest pointer and the log after it. The end of the log may not be
// committed; what it says is corrected when the log is applied again. It reads the whole log and fails with
// errDamaged if an entry is not what was written.
func readRoster(log *guard, snaps raft.SnapshotStore) (state rosterState, err error) {
	list, err := snaps.List()
	if err != nil {
		return state, fmt.Errorf("listing the snapshots: %w", err)
	}
	var from uint64
	if len(list) > 0 {
		_, rc, err := snaps.Open(list[0].ID)
		if err != nil {
			return state, fmt.Errorf("opening a snapshot pointer: %w", err)
		}
		defer rc.Close()
		p, err := readPointer(rc)
		if err != nil {
			return state, err
		}
		state, from = p.Roster, list[0].Index
	}
	first, err := log.FirstIndex()
	if err != nil {
		return state, fmt.Errorf("reading the log's start: %w", err)
	}
	last, err := log.LastIndex()
	if err != nil {
		return state, fmt.Errorf("reading the log's end: %w", err)
	}
	r := &roster{state: state, changed: make(chan struct{})}
	for i := first; i <= last && i > 0; i++ {
		var l raft.Log
		if err := log.GetLog(i, &l); err != nil {
			return state, fmt.Errorf("reading log %d: %w", i, err)
		}
		kind, e, err := decodeLog(&l)
		if errors.Is(err, errDamaged) {
			return state, err
		}
		if err == nil && kind == isRoster && i > from {
			if err := r.apply(l.Term, l.Index, e.Data); err != nil {
				return state, err
			}
		}
	}
	return r.get(), nil
}

// checkVoters refuses names and addresses that do not fit, before they get into the log.
func checkVoters(voters []Voter) error {
	if len(voters) > maxVoters {
		return core.E(core.KindInvalid, "a deployment has at most %d home nodes", maxVoters)
	}
	seen := map[string]bool{}
	for _, v := range voters {
		switch {
		case v.Node == "" || v.Addr == "" || len(v.Node) > maxNameSize || len(v.Addr) > maxNameSize:
			return core.E(core.KindInvalid, "home node %.40q at %.40q: a name and an address are needed, of at most %d bytes each", v.Node, v.Addr, maxNameSize)
		case strings.ContainsAny(v.Node, "@|"):
			return core.E(core.KindInvalid, "home node %q: a name has no @ and no |", v.Node)
		case seen[v.Node]:
			return core.E(core.KindInvalid, "home node %q is named twice", v.Node)
		}
		seen[v.Node] = true
	}
	return nil
}
