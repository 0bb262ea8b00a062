package region

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"time"

	"github.com/hashicorp/raft"

	"github.com/nearside/nearside/core"
)

// The first byte of what we put into a Raft log. Append-only: never renumber or reuse.
const (
	formatEntry  byte = 1 // term, time, proposal id, scope, checksum, sealed part, data
	formatMark   byte = 2 // term; ordered once by every new leader, and not an entry
	formatRoster byte = 3 // term, a change of the home nodes as JSON; not an entry
	formatVoid   byte = 4 // the order to skip an earlier entry: see encodeVoid; not an entry
)

// Offsets in formatEntry, whose integers are big-endian.
const (
	offTerm   = 1
	offAt     = offTerm + 8
	offID     = offAt + 8
	offScope  = offID + 16
	offSum    = offScope + 16 // CRC-32C of all else
	offSealed = offSum + 4    // how many sealed values in one byte, then each with its length in two; the data follow
)

// what is the kind of a committed log.
type what int

const (
	isNothing what = iota // Raft's own, or stale: ordered in another term than it was stamped for
	isEntry
	isMark
	isRoster
	isVoid // the entry that comes with it is the one to skip: only its index and its Void are set
)

// encodeEntry encodes a proposal; the leader adds term and time with stampEntry.
func encodeEntry(p core.Proposal) []byte {
	b := make([]byte, offSealed+1, offSealed+1+sealedSize(p.Sealed)+len(p.Data))
	b[0] = formatEntry
	copy(b[offID:], p.ID[:])
	copy(b[offScope:], p.Scope.Team[:])
	b[offSealed] = byte(len(p.Sealed))
	for _, v := range p.Sealed {
		b = append(binary.BigEndian.AppendUint16(b, uint16(len(v))), v...)
	}
	return append(b, p.Data...)
}

// sealedSize gives about how much a sealed part takes.
func sealedSize(values [][]byte) (n int) {
	for _, v := range values {
		n += 2 + len(v)
	}
	return n
}

// cutSealed reads a sealed part and gives what follows it.
func cutSealed(b []byte) (values [][]byte, rest []byte, ok bool) {
	n, rest := int(b[0]), b[1:]
	for range n {
		if len(rest) < 2 {
			return nil, nil, false
		}
		size := int(binary.BigEndian.Uint16(rest))
		if rest = rest[2:]; len(rest) < size {
			return nil, nil, false
		}
		values, rest = append(values, rest[:size:size]), rest[size:]
	}
	return values, rest, core.CheckSealed(values) == nil
}

func stampEntry(b []byte, term uint64, at int64) {
	binary.BigEndian.PutUint64(b[offTerm:], term)
	binary.BigEndian.PutUint64(b[offAt:], uint64(at))
	binary.BigEndian.PutUint32(b[offSum:], checksum(b))
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checksum guards an entry on a disk that rots. Without it, a damaged entry would be applied as it is, and
// this node would differ from the others for ever.
func checksum(b []byte) uint32 {
	return crc32.Update(crc32.Checksum(b[:offSum], castagnoli), castagnoli, b[offSealed:])
}

// errDamaged says that an entry is not what was written.
var errDamaged = errors.New("the log on this disk is damaged")

func encodeMark(term uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{formatMark}, term)
}

// decodeLog reads a committed log. An entry that a leader stamped for one term, but that Raft ordered in
// another, is stale on every replica: another leader may have given later times in between, and time
// would run backwards. No caller was told that it succeeded.
func decodeLog(l *raft.Log) (what, core.Entry, error) {
	if l.Type != raft.LogCommand {
		return isNothing, core.Entry{}, nil
	}
	if len(l.Data) > 0 && l.Data[0] == formatVoid {
		return decodeVoid(l)
	}
	short := len(l.Data) < offAt || l.Data[0] == formatEntry && len(l.Data) <= offSealed
	if short || l.Data[0] < formatEntry || l.Data[0] > formatRoster {
		return isNothing, core.Entry{}, unknownForm(l)
	}
	if binary.BigEndian.Uint64(l.Data[offTerm:]) != l.Term {
		return isNothing, core.Entry{}, nil
	}
	switch l.Data[0] {
	case formatEntry:
		if binary.BigEndian.Uint32(l.Data[offSum:]) != checksum(l.Data) {
			return isNothing, core.Entry{}, fmt.Errorf("entry %d: %w", l.Index, errDamaged)
		}
	case formatMark:
		return isMark, core.Entry{}, nil
	case formatRoster:
		return isRoster, core.Entry{Index: core.Index(l.Index), Data: l.Data[offAt:]}, nil
	}
	e := core.Entry{
		Index: core.Index(l.Index),
		At:    time.Unix(0, int64(binary.BigEndian.Uint64(l.Data[offAt:]))).UTC(),
	}
	var whole bool
	if e.Sealed, e.Data, whole = cutSealed(l.Data[offSealed:]); !whole {
		return isNothing, core.Entry{}, unknownForm(l)
	}
	copy(e.ID[:], l.Data[offID:])
	copy(e.Scope.Team[:], l.Data[offScope:])
	return isEntry, e, nil
}

func unknownForm(l *raft.Log) error {
	return core.E(core.KindUpgrade, "entry %d has a form unknown here: upgrade this node", l.Index)
}
