package region

import (
	"context"
	"encoding/binary"
	"encoding/json"

	"github.com/nearside/nearside/core"
)

// What home nodes ask each other, by the first byte of a question; append-only.
const (
	askDigest   byte = 1 // the digest after an index, 8 bytes
	askPosition byte = 2 // how far the leader is
	askState    byte = 3 // peerState; asked before a node takes part, and answered also by one that does not yet
	askStart    byte = 4 // start as JSON, to the leader, which answers started
	askVoid     byte = 5 // what a node does at an entry, 8 bytes: one of voidAsk, voidHold and voidRelease
)

// Answer answers a question of another home node's region.
func (r *Region) Answer(ctx context.Context, question []byte) ([]byte, error) {
	switch {
	case len(question) == 9 && question[0] == askDigest:
		d, ok, err := r.digestAt(ctx, core.Index(binary.BigEndian.Uint64(question[1:])))
		if err != nil || !ok {
			return nil, err
		}
		return d[:], nil
	case len(question) == 10 && question[0] == askVoid:
		return r.answerVoid(core.Index(binary.BigEndian.Uint64(question[1:])), question[9])
	case len(question) == 1 && question[0] == askPosition:
		// A node that was elected but has not applied all earlier entries may know less than its
		// followers, so its position must not be used, not even by itself.
		if !r.IsLeader() {
			return nil, core.E(core.KindUnavailable, "this node does not lead, or is not ready yet")
		}
		return []byte(r.cfg.Machine.Position().String()), nil
	case len(question) == 1 && question[0] == askState:
		st, err := r.state()
		if err != nil {
			return nil, err
		}
		return json.Marshal(st)
	case len(question) > 1 && len(question) <= maxTextBytes && question[0] == askStart:
		var s start
		if err := json.Unmarshal(question[1:], &s); err != nil {
			return nil, core.E(core.KindInvalid, "the start of a home node cannot be read")
		}
		got, err := r.admit(ctx, s)
		if err != nil {
			return nil, err
		}
		return json.Marshal(got)
	}
	return nil, core.E(core.KindInvalid, "unknown question of a home node")
}

// LeaderPosition asks for the position of the leader. A replica at that position has everything that was
// acknowledged before the call.
func (r *Region) LeaderPosition(ctx context.Context) (core.Position, error) {
	if r.IsLeader() {
		return r.cfg.Machine.Position(), nil
	}
	_, addr, ok := r.Leader()
	if !ok || r.cfg.Ask == nil {
		return core.Position{}, core.E(core.KindUnavailable, "no home node leads")
	}
	answer, err := r.cfg.Ask(ctx, addr, []byte{askPosition})
	if err != nil {
		return core.Position{}, err
	}
	return core.ParsePosition(string(answer))
}

// askDigest asks another home node for its digest after an entry; ok is false if that node does not know it.
func (r *Region) askDigest(ctx context.Context, addr string, i core.Index) (d core.Digest, ok bool, err error) {
	answer, err := r.cfg.Ask(ctx, addr, binary.BigEndian.AppendUint64([]byte{askDigest}, uint64(i)))
	if err != nil || len(answer) != len(d) {
		return d, false, err
	}
	return core.Digest(answer), true, nil
}

// digestAt gives this node's digest after an entry; false if the entry is not applied yet or no longer
// remembered.
func (r *Region) digestAt(ctx context.Context, i core.Index) (core.Digest, bool, error) {
	select {
	case <-r.ended:
		return core.Digest{}, false, stopped
	default:
	}
	if i > r.cfg.Machine.Position().Index {
		return core.Digest{}, false, nil
	}
	return r.cfg.Machine.DigestAt(ctx, i)
}
