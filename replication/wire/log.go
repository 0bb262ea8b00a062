package wire

import (
	"encoding/binary"
	"time"

	"github.com/nearside/nearside/core"
)

// Limits inside bodies.
const (
	maxEntriesPerBatch = 1 << 16
	maxEntryBytes      = core.MaxProposalBytes + 4096 // the region may wrap a proposal
	maxStringBytes     = 1024
	minEntryBytes      = 1 + 8 + 16 + 16 + 1 + 1 + 1
)

// Hello opens a log stream with the follower's position.
type Hello struct {
	Version uint64
	At      core.Position
}

// Status is a hub's own state.
type Status struct {
	Version uint64
	At      core.Position // of the hub's source
	Leader  string        // link address of home's leader; empty if there is none
	Leads   bool          // the hub's own node is the leader
}

// Turn says that a log stream cannot continue and why: the follower needs a snapshot.
type Turn struct{ Diverged bool } // false: the log was compacted past the position

// Fetch opens a snapshot stream: from Offset on, of the snapshot with an ID, or for "" of any
// recent one.
type Fetch struct {
	ID     string
	Offset int64
}

// SnapshotHead says which snapshot follows and from which offset. If its ID is not the requested
// one, that snapshot is gone; the offset is then 0.
type SnapshotHead struct {
	ID     string
	At     core.Position
	Offset int64
}

// AppendHello encodes.
func AppendHello(b []byte, h Hello) []byte {
	return appendPosition(binary.AppendUvarint(b, h.Version), h.At)
}

// DecodeHello is the inverse of AppendHello.
func DecodeHello(b []byte) (Hello, error) {
	d := decoder{b: b}
	h := Hello{Version: d.uint(), At: d.position()}
	return h, d.done("hello")
}

// AppendStatus encodes.
func AppendStatus(b []byte, s Status) []byte {
	b = appendPosition(binary.AppendUvarint(b, s.Version), s.At)
	return appendBool(appendString(b, s.Leader), s.Leads)
}

// DecodeStatus is the inverse of AppendStatus.
func DecodeStatus(b []byte) (Status, error) {
	d := decoder{b: b}
	s := Status{Version: d.uint(), At: d.position(), Leader: d.string(maxStringBytes), Leads: d.bool()}
	return s, d.done("status")
}

// AppendTurn encodes.
func AppendTurn(b []byte, t Turn) []byte { return appendBool(b, t.Diverged) }

// DecodeTurn is the inverse of AppendTurn.
func DecodeTurn(b []byte) (Turn, error) {
	d := decoder{b: b}
	t := Turn{Diverged: d.bool()}
	return t, d.done("turn")
}

// AppendAck encodes.
func AppendAck(b []byte, p core.Position) []byte { return appendPosition(b, p) }

// DecodeAck is the inverse of AppendAck.
func DecodeAck(b []byte) (core.Position, error) {
	d := decoder{b: b}
	p := d.position()
	return p, d.done("ack")
}

// AppendFetch encodes.
func AppendFetch(b []byte, f Fetch) []byte {
	return binary.AppendUvarint(appendString(b, f.ID), uint64(f.Offset))
}

// DecodeFetch is the inverse of AppendFetch.
func DecodeFetch(b []byte) (Fetch, error) {
	d := decoder{b: b}
	f := Fetch{ID: d.string(maxStringBytes), Offset: int64(d.uintUpTo(1 << 62))}
	return f, d.done("fetch")
}

// AppendSnapshotHead encodes.
func AppendSnapshotHead(b []byte, h SnapshotHead) []byte {
	return binary.AppendUvarint(appendPosition(appendString(b, h.ID), h.At), uint64(h.Offset))
}

// DecodeSnapshotHead is the inverse of AppendSnapshotHead.
func DecodeSnapshotHead(b []byte) (SnapshotHead, error) {
	d := decoder{b: b}
	h := SnapshotHead{ID: d.string(maxStringBytes), At: d.position(), Offset: int64(d.uintUpTo(1 << 62))}
	return h, d.done("snapshot head")
}

// AppendBatch encodes.
func AppendBatch(b []byte, batch core.Batch) []byte {
	b = appendPosition(b, batch.After)
	b = binary.AppendUvarint(b, uint64(len(batch.Entries)))
	for i := range batch.Entries {
		b = appendEntry(b, &batch.Entries[i])
	}
	return b
}

func appendEntry(b []byte, e *core.Entry) []byte {
	b = binary.AppendUvarint(b, uint64(e.Index))
	b = appendInt64(b, e.At.UnixNano())
	b = append(b, e.ID[:]...)
	b = append(b, e.Scope.Team[:]...)
	b = appendBytes(appendSealed(b, e.Sealed), e.Data)
	if e.Void == nil {
		return append(b, 0)
	}
	b = binary.AppendUvarint(b, uint64(e.Void.By))
	return appendString(appendInt64(b, e.Void.At.UnixNano()), e.Void.Reason)
}

// DecodeBatch is the inverse of AppendBatch. The entries share body's memory.
func DecodeBatch(body []byte) (core.Batch, error) {
	d := decoder{b: body}
	batch := core.Batch{After: d.position()}
	n := d.uintUpTo(maxEntriesPerBatch)
	if d.bad || n > uint64(len(d.b)/minEntryBytes) { // before allocating for n
		return core.Batch{}, errMalformed("batch")
	}
	batch.Entries = make([]core.Entry, 0, n)
	for range n {
		batch.Entries = append(batch.Entries, d.entry())
	}
	return batch, d.done("batch")
}

func (d *decoder) entry() core.Entry {
	var e core.Entry
	e.Index = core.Index(d.uint())
	e.At = time.Unix(0, d.int64()).UTC()
	e.ID = d.id16()
	e.Scope.Team = d.id16()
	e.Sealed = d.sealed()
	e.Data = d.bytes(maxEntryBytes)
	if by := d.uint(); by != 0 {
		e.Void = &core.Void{By: core.Index(by), At: time.Unix(0, d.int64()).UTC(), Reason: d.string(core.MaxVoidReason)}
	}
	return e
}

func appendSealed(b []byte, values [][]byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(values)))
	for _, v := range values {
		b = appendBytes(b, v)
	}
	return b
}

func (d *decoder) sealed() (values [][]byte) {
	for range d.uintUpTo(core.MaxSealed) {
		values = append(values, d.bytes(core.MaxSealedBytes))
	}
	return values
}
