package region

import (
	"errors"
	"io"

	"github.com/hashicorp/raft"
)

// floor is the least that a node must know of before it takes part in an election. A node that was started
// again cannot know whether its disk is an older copy. What it acknowledged before may then be missing, and
// its vote forgotten. So it learns from others how far they are, and below that it neither votes, nor is
// elected, nor acknowledges anything to a leader of an earlier term. The zero floor allows everything.
type floor struct {
	Term     uint64 `json:"term"`      // votes only in later terms, acknowledges only to leaders of it or later ones
	LogTerm  uint64 `json:"log_term"`  // of the last entry that a candidate must have at least
	LogIndex uint64 `json:"log_index"` // likewise
}

// raise makes the floor at least as high as where another node is.
func (f *floor) raise(term, logTerm, logIndex uint64) {
	f.Term = max(f.Term, term)
	if logTerm > f.LogTerm || logTerm == f.LogTerm && logIndex > f.LogIndex {
		f.LogTerm, f.LogIndex = logTerm, logIndex
	}
}

// reached reports whether a log that ends there has all that the floor asks for.
func (f floor) reached(logTerm, logIndex uint64) bool {
	return logTerm > f.LogTerm || logTerm == f.LogTerm && logIndex >= f.LogIndex
}

// allows reports whether a candidate may have this node's vote.
func (f floor) allows(term, logTerm, logIndex uint64) bool {
	return f == floor{} || term > f.Term && f.reached(logTerm, logIndex)
}

// elections is Raft's transport with a floor under it.
type elections struct {
	*raft.NetworkTransport
	floor
	alone bool                              // there is no other home node at the start
	own   func() (logTerm, logIndex uint64) // the end of this node's log
	in    chan raft.RPC
	end   chan struct{} // closed when Raft has ended
}

func newElections(t *raft.NetworkTransport, f floor, alone bool, own func() (logTerm, logIndex uint64)) *elections {
	e := &elections{NetworkTransport: t, floor: f, alone: alone, own: own, in: make(chan raft.RPC), end: make(chan struct{})}
	if e.between() {
		go e.filter()
	}
	return e
}

// between reports whether calls go through filter before Raft gets them.
func (e *elections) between() bool { return e.alone || e.floor != (floor{}) }

// Consumer implements raft.Transport.
func (e *elections) Consumer() <-chan raft.RPC {
	if !e.between() {
		return e.NetworkTransport.Consumer()
	}
	return e.in
}

// filter hands on what the floor allows until end is closed. The only home node first tells itself to lead at once. It
// has no shorter timeouts instead, because Raft's lease cannot be changed while it runs: a node that others have
// joined since would go on with one that is shorter than the pause between two heartbeats.
func (e *elections) filter() {
	if e.alone {
		now := raft.RPC{Command: &raft.TimeoutNowRequest{RPCHeader: raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax}}, RespChan: make(chan raft.RPCResponse, 1)}
		select {
		case e.in <- now:
		case <-e.end:
			return
		}
	}
	for {
		var rpc raft.RPC
		select {
		case rpc = <-e.NetworkTransport.Consumer():
		case <-e.end:
			return
		}
		if e.refused(&rpc) {
			continue
		}
		select {
		case e.in <- rpc:
		case <-e.end:
			return
		}
	}
}

var errBelowFloor = errors.New("this node does not have all yet that it may have acknowledged before it was started")

// refused answers a call that the floor does not allow.
func (e *elections) refused(rpc *raft.RPC) bool {
	head := raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax}
	switch c := rpc.Command.(type) {
	case *raft.RequestVoteRequest:
		if e.allows(c.Term, c.LastLogTerm, c.LastLogIndex) {
			return false
		}
		rpc.Respond(&raft.RequestVoteResponse{RPCHeader: head, Term: max(c.Term, e.Term)}, nil)
	case *raft.RequestPreVoteRequest:
		if e.allows(c.Term, c.LastLogTerm, c.LastLogIndex) {
			return false
		}
		rpc.Respond(&raft.RequestPreVoteResponse{RPCHeader: head, Term: max(c.Term, e.Term)}, nil)
	case *raft.TimeoutNowRequest:
		if e.reached(e.own()) {
			return false
		}
		rpc.Respond(nil, errBelowFloor)
	case *raft.AppendEntriesRequest:
		if c.Term >= e.Term {
			return false
		}
		rpc.Respond(&raft.AppendEntriesResponse{RPCHeader: head, Term: e.Term}, nil)
	case *raft.InstallSnapshotRequest:
		if c.Term >= e.Term {
			return false
		}
		_, _ = io.Copy(io.Discard, rpc.Reader) // or the next call would be read from the middle of this one
		rpc.Respond(nil, errBelowFloor)
	default:
		return false
	}
	return true
}

// SetHeartbeatHandler implements raft.Transport.
func (e *elections) SetHeartbeatHandler(handle func(raft.RPC)) {
	e.NetworkTransport.SetHeartbeatHandler(func(rpc raft.RPC) {
		if !e.refused(&rpc) {
			handle(rpc)
		}
	})
}

// RequestVote implements raft.Transport. Below the floor this node asks nobody.
func (e *elections) RequestVote(id raft.ServerID, to raft.ServerAddress, c *raft.RequestVoteRequest, resp *raft.RequestVoteResponse) error {
	if !e.allows(c.Term, c.LastLogTerm, c.LastLogIndex) {
		resp.Term = max(c.Term, e.Term)
		return nil
	}
	return e.NetworkTransport.RequestVote(id, to, c, resp)
}

// RequestPreVote implements raft.WithPreVote. Below the floor this node asks nobody.
func (e *elections) RequestPreVote(id raft.ServerID, to raft.ServerAddress, c *raft.RequestPreVoteRequest, resp *raft.RequestPreVoteResponse) error {
	if !e.allows(c.Term, c.LastLogTerm, c.LastLogIndex) {
		resp.Term = max(c.Term, e.Term)
		return nil
	}
	return e.NetworkTransport.RequestPreVote(id, to, c, resp)
}
