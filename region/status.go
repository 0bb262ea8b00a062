package region

import (
	"slices"
	"time"

	"github.com/hashicorp/raft"

	"github.com/nearside/nearside/core"
)

// Status is the state of the home region as this node sees it, for operators.
type Status struct {
	Node       string        `json:"node"`
	State      string        `json:"state"` // starting, Follower, Candidate, Leader, Shutdown
	Leader     string        `json:"leader"`
	Term       uint64        `json:"term"`
	First      core.Index    `json:"first_index"`  // in this node's log; earlier entries are only in snapshots
	Last       core.Index    `json:"last_index"`   // in this node's log
	Commit     core.Index    `json:"commit_index"` // known to be committed
	Applied    core.Position `json:"applied"`      // by this node's machine
	Voters     []Voter       `json:"voters"`
	Free       uint64        `json:"disk_free_bytes"`
	Trouble    string        `json:"trouble,omitempty"` // why this node cannot write its log
	Waiting    string        `json:"waiting,omitempty"` // why this node does not take part yet
	Short      string        `json:"short,omitempty"`   // at the leader: why too few home nodes vote, so that nothing is ordered
	Voting     []string      `json:"voting"`            // the home nodes that vote now
	Leaderless int64         `json:"leaderless_ms"`     // for how long no leader has been known; 0: one is
	Differs    string        `json:"differs,omitempty"` // how the home nodes' digests differ, if no majority agrees
}

// Leader gives the known leader's node and address.
func (r *Region) Leader() (node, addr string, ok bool) {
	v := r.lead.view()
	return v.node, r.addrOf(v.node), v.node != ""
}

// IsLeader reports whether this node orders proposals right now.
func (r *Region) IsLeader() bool { return r.lead.view().ready }

// Leaderless gives for how long this node has known no leader; 0 if there is one. Without a majority there is
// no leader, and nothing can be ordered.
func (r *Region) Leaderless() time.Duration { return r.lead.leaderless() }

// Lag gives how long ago this node had everything that the leader had; false if no leader is known.
func (r *Region) Lag() (time.Duration, bool) {
	v := r.lead.view()
	if v.node == "" {
		return 0, false
	}
	lag := r.applier.behind()
	if v.node != r.cfg.Node {
		if silent := time.Since(r.raft.LastContact()); silent > r.cfg.ElectionTimeout {
			lag = max(lag, silent)
		}
	}
	return lag, true
}

// TakesPart reports whether this node votes and proposals can be ordered now, as far as it knows.
func (r *Region) TakesPart() bool {
	v := r.lead.view()
	return v.node != "" && (v.node != r.cfg.Node || v.ready) && r.short.Load() == nil && slices.Contains(r.voting(), r.cfg.Node)
}

// voting gives the home nodes that vote, by the newest configuration in this node's log.
func (r *Region) voting() []string {
	conf := r.raft.GetConfiguration()
	if conf.Error() != nil {
		return nil
	}
	var voting []string
	for _, v := range conf.Configuration().Servers {
		if v.Suffrage == raft.Voter {
			voting = append(voting, nodeOf(v.ID))
		}
	}
	return voting
}

// Status gives the state of this node.
func (r *Region) Status() Status {
	st := Status{Node: r.cfg.Node, State: "starting", Applied: r.Position(), Voters: r.voters(), Waiting: r.self.why()}
	st.Leader, _, _ = r.Leader()
	st.Leaderless = r.Leaderless().Milliseconds()
	if why := r.short.Load(); why != nil {
		st.Short = *why
	}
	if how := r.differs.Load(); how != nil {
		st.Differs = *how
	}
	select {
	case <-r.started:
	default:
		return st
	}
	st.State, st.Term = r.raft.State().String(), r.raft.CurrentTerm()
	st.Last, st.Commit = core.Index(r.raft.LastIndex()), core.Index(r.raft.CommitIndex())
	if first, err := r.log.FirstIndex(); err == nil {
		st.First = core.Index(first)
	}
	st.Voting = r.voting()
	st.Free, st.Trouble = r.disk.free.Load(), r.log.Trouble()
	if err := r.disk.refusal(); err != nil {
		st.Trouble = err.Error()
	}
	return st
}
