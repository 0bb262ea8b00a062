package region

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/backoff"
)

const (
	standPause   = 100 * time.Millisecond // between two rounds of asking the others
	standAsk     = time.Second            // for the answers of one round
	startAsk     = 3 * time.Second        // for the leader to register a start
	maxTextBytes = 16 << 10               // of a question or an answer below
)

// peerState is what a home node answers about itself. It answers also while it does not take part yet.
type peerState struct {
	ofStore
	Node    string    `json:"node"`
	Running bool      `json:"running"` // takes part
	Leads   bool      `json:"leads"`
	At      watermark `json:"at"`
	Config  seats     `json:"config"` // the newest voters in its log
}

// seats are the servers in Raft's configuration, with the place of the entry that has it.
type seats struct {
	Term    uint64        `json:"term"`
	Index   uint64        `json:"index"`
	Servers []raft.Server `json:"servers"`
}

func (s seats) newer(than seats) bool {
	return s.Term > than.Term || s.Term == than.Term && s.Index > than.Index
}

func (s seats) of(id raft.ServerID) (raft.Server, bool) {
	i := slices.IndexFunc(s.Servers, func(v raft.Server) bool { return v.ID == id })
	if i < 0 {
		return raft.Server{}, false
	}
	return s.Servers[i], true
}

// start is the question by which a node asks the leader to register that it was started.
type start struct {
	Node        string    `json:"node"`
	Addr        string    `json:"addr"`
	Deployment  string    `json:"deployment"`
	Store       string    `json:"store"`
	Incarnation uint64    `json:"incarnation"`
	Start       string    `json:"start"`   // a random name of this start
	Further     bool      `json:"further"` // it knows that its disk was further once
	Running     bool      `json:"running"` // it takes part already
	Voters      []string  `json:"voters"`  // by its configuration
	At          watermark `json:"at"`
}

// started is the leader's answer.
type started struct {
	Deployment  string `json:"deployment"`
	Incarnation uint64 `json:"incarnation"` // to use from now on
	Floor       floor  `json:"floor"`
}

// self is what this node knows of itself while it runs.
type self struct {
	mu  sync.Mutex // guards all below
	id  identity
	log *guard // nil before it is open
	// snaps has the pointers beside log.
	snaps   raft.SnapshotStore
	running bool
	waiting string // why this node does not take part; "" if it does
	trusted bool   // an operator says that the disk is whole
}

func (s *self) identity() identity {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.id
}

func (s *self) edit(change func(*self)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s)
}

func (s *self) why() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.waiting
}

func (s *self) trust() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.trusted
}

// Trust is an operator's word that the disk of this node has everything that it ever acknowledged, for when
// nobody is left who could tell. It has an effect only while the node waits to take part.
func (r *Region) Trust() error {
	if r.self.why() == "" {
		return core.E(core.KindConflict, "%s takes part already", r.cfg.Node)
	}
	if st, err := r.state(); err != nil || st.At.LogIndex == 0 {
		return core.E(core.KindInvalid, "%s has no log: another home node must lead before it can join", r.cfg.Node)
	}
	r.self.edit(func(s *self) { s.trusted = true })
	r.cfg.Logger.Warn("an operator says that this disk is whole", "node", r.cfg.Node)
	return nil
}

// Waiting says why this node does not take part yet; "" if it does.
func (r *Region) Waiting() string { return r.self.why() }

// id is how Raft knows this node.
func (r *Region) id() raft.ServerID { return serverID(r.cfg.Node, r.self.identity().Store) }

// state answers what another home node asks before it takes part.
func (r *Region) state() (peerState, error) {
	r.self.mu.Lock()
	st := peerState{ofStore: r.self.id.ofStore, Node: r.cfg.Node, Running: r.self.running}
	log, snaps := r.self.log, r.self.snaps
	r.self.mu.Unlock()
	if log == nil {
		return st, core.E(core.KindUnavailable, "%s is starting", r.cfg.Node)
	}
	var err error
	if st.At, err = log.watermark(snaps); err != nil {
		return st, err
	}
	st.At.Incarnation = st.Incarnation
	if st.Config, err = readSeats(log, snaps); err != nil {
		return st, err
	}
	st.Leads = st.Running && r.IsLeader()
	return st, nil
}

func seatsOf(l *raft.Log) seats {
	return seats{Term: l.Term, Index: l.Index, Servers: raft.DecodeConfiguration(l.Data).Servers}
}

// findSeats gives the newest configuration that a log has; none if it is only in a snapshot.
func findSeats(log raft.LogStore) (s seats, err error) {
	first, err := log.FirstIndex()
	if err != nil {
		return s, fmt.Errorf("reading the log's start: %w", err)
	}
	last, err := log.LastIndex()
	if err != nil {
		return s, fmt.Errorf("reading the log's end: %w", err)
	}
	for i := last; i >= first && i > 0; i-- {
		var l raft.Log
		if err := log.GetLog(i, &l); err != nil {
			return s, fmt.Errorf("reading log %d: %w", i, err)
		}
		if l.Type == raft.LogConfiguration {
			return seatsOf(&l), nil
		}
	}
	return s, nil
}

// readSeats gives the newest configuration that the log and the snapshots have.
func readSeats(log *guard, snaps raft.SnapshotStore) (seats, error) {
	s := log.newestSeats()
	list, err := snaps.List()
	if err != nil {
		return s, fmt.Errorf("listing the snapshots: %w", err)
	}
	if len(list) > 0 && list[0].ConfigurationIndex > s.Index {
		s = seats{Term: list[0].Term, Index: list[0].ConfigurationIndex, Servers: list[0].Configuration.Servers}
	}
	return s, nil
}

// stand finds out from when on this node may vote, before Raft runs. A disk that is whole by its witness, or
// by an operator's word, needs nobody. Otherwise the leader registers the start in the log, by an entry that
// is committed without this node; or, if nobody leads, all voters say how far they are. Nothing less is
// enough: with a vote of a node whose disk was replaced or is an older copy, one that was behind could be
// elected, and what the others acknowledged would be gone.
func (r *Region) stand(ctx context.Context, says verdict) (floor, error) {
	if says == whole {
		return floor{}, nil
	}
	for n := 0; ; n++ {
		f, why, err := r.tryStand(ctx, says)
		if err != nil || why == "" {
			r.self.edit(func(s *self) { s.waiting = "" })
			return f, err
		}
		if r.self.why() != why && n > 0 {
			r.cfg.Logger.Warn("this home node does not take part yet", "node", r.cfg.Node, "why", why)
		}
		r.self.edit(func(s *self) { s.waiting = why })
		if !backoff.Pause(ctx, standPause) {
			return f, context.Cause(ctx)
		}
	}
}

// tryStand is one round of stand. why is "" if the node may take part.
func (r *Region) tryStand(ctx context.Context, says verdict) (f floor, why string, err error) {
	own, err := r.state()
	if err != nil {
		return f, "", err
	}
	f.raise(own.At.Term, own.At.LogTerm, own.At.LogIndex)
	states := r.askStates(ctx)
	newest := own.Config
	for _, st := range states {
		if own.Deployment != "" && st.Deployment != "" && own.Deployment != st.Deployment {
			return f, "", core.E(core.KindInvalid, "home: %s belongs to another deployment (%.8s) than this node (%.8s)", st.Node, st.Deployment, own.Deployment)
		}
		f.raise(st.At.Term, st.At.LogTerm, st.At.LogIndex)
		if st.Config.newer(newest) {
			newest = st.Config
		}
		if st.Leads {
			return r.register(ctx, st, own, says)
		}
	}
	if own.At.LogIndex == 0 {
		return f, "its log is empty, and no other home node leads: if this is a new deployment, run `nearside home init` once, on one of its home nodes", nil
	}
	if r.self.trust() {
		return f, "", nil
	}
	if says == contradicts {
		return f, "its disk was further once: it needs a leader among the others, from which it catches up", nil
	}
	return f, missing(newest, states, r.cfg.Node, r.id()), nil
}

// missing says which of the voters are not known to have their disks; "" if all do.
func missing(voters seats, states map[string]peerState, node string, id raft.ServerID) string {
	var gone []string
	for _, v := range voters.Servers {
		name, store := splitID(v.ID)
		st, ok := states[name]
		switch {
		case v.Suffrage != raft.Voter || v.ID == id:
		case name == node:
			return "it was a voter with another disk: it needs a leader among the others, from which it catches up"
		case !ok:
			gone = append(gone, name+" does not answer")
		case st.Store != store:
			gone = append(gone, name+" has another disk")
		}
	}
	if v, ok := voters.of(id); !ok || v.Suffrage != raft.Voter {
		return "it is not a voter, and no other home node leads"
	}
	if len(gone) == 0 {
		return ""
	}
	return "it was started again, and cannot know alone whether its disk has everything that it acknowledged: no other home node leads, and " +
		strings.Join(gone, ", ") + "; it goes on when they are back, or with `nearside home trust`, if you know that the disk is whole"
}

// askStates asks all other home nodes for their state; those that do not answer are left out.
func (r *Region) askStates(ctx context.Context) map[string]peerState {
	ctx, cancel := context.WithTimeout(ctx, standAsk)
	defer cancel()
	var mu sync.Mutex
	states := map[string]peerState{}
	var wg sync.WaitGroup
	for _, v := range r.voters() {
		if v.Node == r.cfg.Node {
			continue
		}
		wg.Go(func() {
			var st peerState
			if err := r.askJSON(ctx, v.Addr, askState, nil, &st); err != nil || st.Node != v.Node {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			states[v.Node] = st
		})
	}
	wg.Wait()
	return states
}

// register asks the leader to register this start, and gives the floor.
func (r *Region) register(ctx context.Context, leader, own peerState, says verdict) (f floor, why string, err error) {
	ctx, cancel := context.WithTimeout(ctx, startAsk)
	defer cancel()
	var got started
	err = r.askJSON(ctx, r.addrOf(leader.Node), askStart, r.startOf(own, says == contradicts, false), &got)
	switch kind := core.KindOf(err); {
	case err != nil && (kind == core.KindInvalid || kind == core.KindForbidden || kind == core.KindNotFound):
		return f, leader.Node + " leads and does not let it in: " + err.Error(), nil
	case err != nil:
		return f, leader.Node + " leads but could not register the start: " + err.Error(), nil
	}
	if err := r.checkMachine(ctx, leader, own); errors.Is(err, ErrOutvoted) {
		return f, "", err
	} else if err != nil {
		return f, err.Error(), nil
	}
	return got.Floor, "", r.adopt(got)
}

// checkMachine refuses a machine that has another history than the leader, if the log that it was made from
// is gone: what the log brings next would be skipped as known.
func (r *Region) checkMachine(ctx context.Context, leader, own peerState) error {
	at := r.cfg.Machine.Position()
	if at.Index == 0 || own.At.LogIndex > 0 {
		return nil
	}
	d, ok, err := r.askDigest(ctx, r.addrOf(leader.Node), at.Index)
	if err != nil {
		return fmt.Errorf("comparing the replica with %s: %w", leader.Node, err)
	}
	if ok && d == at.Digest {
		return nil
	}
	return core.E(core.KindDiverged, "the log is gone, and the replica at %s is not known to be part of what %s has", at, leader.Node).WithCause(ErrOutvoted)
}

func (r *Region) startOf(own peerState, further, running bool) start {
	s := start{
		Node: r.cfg.Node, Addr: r.cfg.addrOf(r.cfg.Node), Deployment: own.Deployment, Store: own.Store, Incarnation: own.Incarnation,
		Start: r.start, Further: further, Running: running, At: own.At,
	}
	for _, v := range r.cfg.Voters {
		s.Voters = append(s.Voters, v.Node)
	}
	return s
}

// adopt keeps what the leader said of this node.
func (r *Region) adopt(got started) error {
	id := r.self.identity()
	if id.Deployment == got.Deployment && id.Incarnation == got.Incarnation {
		return nil
	}
	id.Deployment, id.Incarnation = got.Deployment, got.Incarnation
	if err := saveIdentity(r.cfg.Dir, id); err != nil {
		return err
	}
	r.self.edit(func(s *self) { s.id = id })
	return nil
}

// registerLoop registers the start of a node that took part without asking.
func (r *Region) registerLoop(ctx context.Context) error {
	for {
		id := r.self.identity()
		state := r.roster.get()
		if me, ok := state.of(r.cfg.Node); ok && me.Store == id.Store && me.Incarnation >= id.Incarnation {
			return nil
		}
		r.tryRegister(ctx)
		if !backoff.Pause(ctx, 2*standPause) {
			return nil
		}
	}
}

func (r *Region) tryRegister(ctx context.Context) {
	own, err := r.state()
	if err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, startAsk)
	defer cancel()
	s := r.startOf(own, false, true)
	if r.IsLeader() {
		_, err = r.admit(ctx, s)
	} else if addr := r.leaderAddr(ctx); addr != "" {
		err = r.askJSON(ctx, addr, askStart, s, &started{})
	}
	if err != nil && ctx.Err() == nil {
		r.cfg.Logger.Info("this start is not registered yet", "node", r.cfg.Node, "err", err)
	}
}

// leaderAddr gives where the leader is, "" if none is found. A node that is no longer in Raft's configuration
// hears of no leader, and must ask.
func (r *Region) leaderAddr(ctx context.Context) string {
	if _, addr, ok := r.Leader(); ok {
		return addr
	}
	for _, st := range r.askStates(ctx) {
		if st.Leads {
			return r.addrOf(st.Node)
		}
	}
	return ""
}

// askJSON puts a question to a home node.
func (r *Region) askJSON(ctx context.Context, addr string, kind byte, question, answer any) error {
	if addr == "" {
		return errors.New("its address is not known")
	}
	q := []byte{kind}
	if question != nil {
		raw, err := json.Marshal(question)
		if err != nil {
			return err
		}
		q = append(q, raw...)
	}
	raw, err := r.cfg.Ask(ctx, addr, q)
	if err != nil {
		return err
	}
	if len(raw) > maxTextBytes {
		return errors.New("the answer is too long")
	}
	return json.Unmarshal(raw, answer)
}
