package region

import (
	"encoding/binary"
	"time"

	"github.com/hashicorp/raft"

	"github.com/nearside/nearside/core"
)

// The first byte of what we put into a Raft log. Append-only: never renumber or reuse.
const (
	formatEntry byte = 1 // term, time, proposal id, scope, data
	formatMark  byte = 2 // term; ordered once by every new leader, and not an entry
)

// Offsets in formatEntry, whose integers are big-endian.
const (
	offTerm  = 1
	offAt    = offTerm + 8
	offID    = offAt + 8
	offScope = offID + 16
	offData  = offScope + 16
)

// what is the kind of a committed log.
type what int

const (
	isNothing what = iota // Raft's own, or void: ordered in another term than it was stamped for
	isEntry
	isMark
)

// encodeEntry encodes a proposal; the leader adds term and time with stampEntry.
func encodeEntry(p core.Proposal) []byte {
	b := make([]byte, offData+len(p.Data))
	b[0] = formatEntry
	copy(b[offID:], p.ID[:])
	copy(b[offScope:], p.Scope.Team[:])
	copy(b[offData:], p.Data)
	return b
}

func stampEntry(b []byte, term uint64, at int64) {
	binary.BigEndian.PutUint64(b[offTerm:], term)
	binary.BigEndian.PutUint64(b[offAt:], uint64(at))
}

func encodeMark(term uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{formatMark}, term)
}

// decodeLog reads a committed log. An entry that a leader stamped for one term, but that Raft ordered in
// another, is void on every replica: another leader may have given later times in between, and time
// would run backwards. No caller was told that it succeeded.
func decodeLog(l *raft.Log) (what, core.Entry, error) {
	if l.Type != raft.LogCommand {
		return isNothing, core.Entry{}, nil
	}
	short := len(l.Data) < offAt || l.Data[0] == formatEntry && len(l.Data) < offData
	if short || l.Data[0] != formatEntry && l.Data[0] != formatMark {
		return isNothing, core.Entry{}, core.E(core.KindUpgrade, "entry %d has a form unknown here: upgrade this node", l.Index)
	}
	if binary.BigEndian.Uint64(l.Data[offTerm:]) != l.Term {
		return isNothing, core.Entry{}, nil
	}
	if l.Data[0] == formatMark {
		return isMark, core.Entry{}, nil
	}
	e := core.Entry{
		Index: core.Index(l.Index),
		At:    time.Unix(0, int64(binary.BigEndian.Uint64(l.Data[offAt:]))).UTC(),
		Data:  l.Data[offData:],
	}
	copy(e.ID[:], l.Data[offID:])
	copy(e.Scope.Team[:], l.Data[offScope:])
	return isEntry, e, nil
}
