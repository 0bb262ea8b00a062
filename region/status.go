package region

import "github.com/nearside/nearside/core"

// Status is the state of the home region as this node sees it, for operators.
type Status struct {
	Node    string        `json:"node"`
	State   string        `json:"state"` // starting, Follower, Candidate, Leader, Shutdown
	Leader  string        `json:"leader"`
	Term    uint64        `json:"term"`
	First   core.Index    `json:"first_index"`  // in this node's log; earlier entries are only in snapshots
	Last    core.Index    `json:"last_index"`   // in this node's log
	Commit  core.Index    `json:"commit_index"` // known to be committed
	Applied core.Position `json:"applied"`      // by this node's machine
	Voters  []Voter       `json:"voters"`
	Free    uint64        `json:"disk_free_bytes"`
	Trouble string        `json:"trouble,omitempty"` // why this node cannot write its log
	Differs string        `json:"differs,omitempty"` // how the home nodes' digests differ, if no majority agrees
}

// Leader gives the known leader's node and address.
func (r *Region) Leader() (node, addr string, ok bool) {
	v := r.lead.view()
	return v.node, r.cfg.addrOf(v.node), v.node != ""
}

// IsLeader reports whether this node orders proposals right now.
func (r *Region) IsLeader() bool { return r.lead.view().ready }

// Status gives the state of this node.
func (r *Region) Status() Status {
	st := Status{Node: r.cfg.Node, State: "starting", Applied: r.Position(), Voters: r.cfg.Voters}
	st.Leader, _, _ = r.Leader()
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
	st.Free, st.Trouble = r.disk.free.Load(), r.log.Trouble()
	if err := r.disk.refusal(); err != nil {
		st.Trouble = err.Error()
	}
	return st
}
