package core

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// Index is the place of an entry in the log. It starts at 1, only grows within an epoch, and
// may have gaps: Raft spends some indexes on its own bookkeeping.
type Index uint64

// Epoch is the number of a history. It grows only when a home is rebuilt by force or history is
// restored, so a position in an older history is never taken for one in the newer history.
type Epoch uint64

// Digest is the chained hash of everything a replica has applied. Two replicas at one
// position with different digests have diverged.
type Digest [16]byte

// Position says how far a replica has come. The zero Position is an empty replica.
type Position struct {
	Epoch  Epoch
	Index  Index
	Digest Digest
}

// Entry is a committed proposal with its place in the log and the time the leader gave it.
type Entry struct {
	Index Index
	At    time.Time // stamped by the leader; strictly increasing over the log
	ID    ProposalID
	Scope Scope
	Data  []byte // an encoded command; opaque outside core

	// Sealed has the values whose seals the command names. Only home nodes have them, and no digest covers
	// them: an edge gets the entry without this part and comes to the same state.
	Sealed [][]byte

	// Void is the order to skip this entry; nil: there is none. It is no part of the entry as it was ordered,
	// but of what every replica decides about it.
	Void *Void
}

// Void is an operator's order to skip an entry that replicas cannot apply. It is in the log after the entry.
type Void struct {
	By     Index // where the order is in the log
	At     time.Time
	Reason string
}

// MaxVoidReason bounds Void.Reason, in bytes.
const MaxVoidReason = 500

// Stuck says that a replica cannot apply an entry, again and again, and comes no further.
type Stuck struct {
	Index   Index
	Command string // what the entry is
	Cause   error  // without the values of the entry
}

// Error says which entry it is, and why.
func (s *Stuck) Error() string {
	return fmt.Sprintf("entry %d (%s) cannot be applied: %v", s.Index, s.Command, s.Cause)
}

// Unwrap gives the cause.
func (s *Stuck) Unwrap() error { return s.Cause }

// Proposal is a command on its way to be ordered. Its ID makes every retry harmless.
type Proposal struct {
	ID     ProposalID
	Scope  Scope
	Data   []byte
	Sealed [][]byte // goes into the entry: see Entry.Sealed
	Proof  Proof    // that the session of the command has made it; zero if no session has. It does not go into the entry
}

// Receipt answers a proposal: where it was ordered and what applying it gave. For a repeated
// proposal it is the receipt of the first one.
type Receipt struct {
	Index   Index
	Outcome []byte // an encoded command.Outcome; opaque outside core
}

// Scope says whom an entry concerns: one team, or the whole deployment when zero.
type Scope struct{ Team TeamID }

// Batch is a run of consecutive entries of one history, as a feed carries it.
type Batch struct {
	Entries []Entry
	After   Position // the source's position after the last entry, its digest included
}

// Snapshot is a whole replica as bytes, at one position. It can be read while it is still
// being made, from any offset, by any number of readers; its ID lets a reader whose connection broke resume.
type Snapshot interface {
	ID() string
	Position() Position
	// ReadAt blocks until bytes at off exist, and gives io.EOF past the end. It returns early
	// with the snapshot's failure, if making it failed.
	ReadAt(p []byte, off int64) (int, error)
	Close() error
}

// MaxProposalBytes bounds Proposal.Data. Larger proposals are refused with KindTooLarge
// before they reach the log. It leaves room for the largest legal request body (300,000
// bytes) in its CBOR form.
const MaxProposalBytes = 512 << 10

// DedupeWindow is how long, by log time, outcomes and pending post ids are remembered so that a
// retry finds them. Clients of existing servers get 30 seconds; here a laptop may sleep over a
// long weekend.
const DedupeWindow = 96 * time.Hour

// DedupeHorizon gives the time before which outcomes are forgotten once the log has come to a time. It moves by
// whole hours, so that a replica deletes many rows together. Decisions compare with it and do not ask whether a row
// is still there, because that depends on the batches.
func DedupeHorizon(at time.Time) time.Time { return at.Add(-DedupeWindow).Truncate(time.Hour) }

// LogVersion is the newest version of the log that this program understands. A version that has
// been in a release never changes. A change in what applying does needs a new version, and takes
// effect only after an entry in the log has raised the version.
const LogVersion = 1

// Errors of Source.Tail: why the source cannot send a follower the entries after its position.
var (
	// ErrCompacted means that the log no longer holds the entries after the asked position.
	ErrCompacted = errors.New("log compacted past the position")
	// ErrDiverged means that the asked position is not part of this history.
	ErrDiverged = errors.New("position is not part of this history")
)

// Before reports whether p is older state than q.
func (p Position) Before(q Position) bool {
	return p.Epoch < q.Epoch || p.Epoch == q.Epoch && p.Index < q.Index
}

// Same reports whether p and q are the same place of the same history.
func (p Position) Same(q Position) bool { return p == q }

// String gives "epoch.index.digest", the form of the X-Nearside-Position header.
func (p Position) String() string {
	b := make([]byte, 0, 110) // every answer of an edge says it
	b = append(strconv.AppendUint(b, uint64(p.Epoch), 10), '.')
	b = append(strconv.AppendUint(b, uint64(p.Index), 10), '.')
	return string(hex.AppendEncode(b, p.Digest[:]))
}

// ParsePosition reads the form that String writes; the digest may be left out.
func ParsePosition(s string) (Position, error) {
	var p Position
	var dig string
	n, _ := fmt.Sscanf(s, "%d.%d.%s", &p.Epoch, &p.Index, &dig)
	if n < 2 || len(s) > 96 {
		return Position{}, E(KindInvalid, "a position looks like epoch.index.digest, not %q", clip(s, 96))
	}
	if dig != "" {
		if err := p.Digest.UnmarshalText([]byte(dig)); err != nil {
			return Position{}, err
		}
	}
	return p, nil
}

// String gives 32 hexadecimal digits.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// MarshalText implements encoding.TextMarshaler.
func (d Digest) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Digest) UnmarshalText(b []byte) error {
	if len(b) != 32 {
		return E(KindInvalid, "a digest has 32 hexadecimal digits")
	}
	if _, err := hex.Decode(d[:], b); err != nil {
		return E(KindInvalid, "a digest has 32 hexadecimal digits")
	}
	return nil
}

// Next chains d over an applied entry and what was decided about it. It is the only definition of
// the digest: SHA-256 over (previous digest, header, data, decision), cut to 16 bytes. It leaves out the
// sealed part, which edges do not have; the data name its seals. The decision
// is the kind and id of a refusal, or every write in its order with the values that are not zero
// (see core/apply): never a text that is only shown, nor how anything is encoded for a reader. It is
// empty when the entry repeats a proposal.
func (d Digest) Next(e Entry, decision []byte) Digest {
	h := sha256.New()
	h.Write(d[:])
	var head [8 + 8 + 16 + 16 + 8]byte
	binary.BigEndian.PutUint64(head[0:], uint64(e.Index))
	binary.BigEndian.PutUint64(head[8:], uint64(e.At.UnixNano()))
	copy(head[16:], e.ID[:])
	copy(head[32:], e.Scope.Team[:])
	binary.BigEndian.PutUint64(head[48:], uint64(len(e.Data)))
	h.Write(head[:])
	h.Write(e.Data)
	h.Write(decision)
	var out Digest
	copy(out[:], h.Sum(nil))
	return out
}

func clip(s string, n int) string {
	if len(s) > n {
		return s[:n]
	}
	return s
}
