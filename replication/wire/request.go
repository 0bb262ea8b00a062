package wire

import (
	"encoding/binary"
	"maps"
	"slices"
	"time"

	"github.com/nearside/nearside/core"
)

// Limits of requests.
const (
	MaxAskBytes    = 1 << 20
	MaxAnswerBytes = MaxFrameBytes
	maxWait        = time.Hour
	maxErrorText   = 4096
)

// Propose is a proposal on its way to home.
type Propose struct {
	Proposal core.Proposal
	Wait     time.Duration // how long the proposer will wait; whole milliseconds
	Direct   bool          // passed on by a home node: order it here or refuse it, never pass it on again
}

// Ask is a question to home, of a numbered kind.
type Ask struct {
	Kind    byte
	Wait    time.Duration // whole milliseconds
	Payload []byte
}

// AppendPropose encodes.
func AppendPropose(b []byte, p Propose) []byte {
	b = appendWait(b, p.Wait)
	b = appendBool(b, p.Direct)
	b = append(b, p.Proposal.ID[:]...)
	b = append(b, p.Proposal.Scope.Team[:]...)
	b = append(b, p.Proposal.Proof[:]...)
	return appendBytes(appendSealed(b, p.Proposal.Sealed), p.Proposal.Data)
}

// DecodePropose is the inverse of AppendPropose.
func DecodePropose(b []byte) (Propose, error) {
	d := decoder{b: b}
	p := Propose{Wait: d.wait(), Direct: d.bool()}
	p.Proposal.ID = d.id16()
	p.Proposal.Scope.Team = d.id16()
	copy(p.Proposal.Proof[:], d.take(len(p.Proposal.Proof)))
	p.Proposal.Sealed = d.sealed()
	p.Proposal.Data = d.bytes(core.MaxProposalBytes)
	return p, d.done("proposal")
}

// AppendReceipt encodes.
func AppendReceipt(b []byte, r core.Receipt) []byte {
	return appendBytes(binary.AppendUvarint(b, uint64(r.Index)), r.Outcome)
}

// DecodeReceipt is the inverse of AppendReceipt.
func DecodeReceipt(b []byte) (core.Receipt, error) {
	d := decoder{b: b}
	r := core.Receipt{Index: core.Index(d.uint()), Outcome: d.bytes(MaxFrameBytes)}
	return r, d.done("receipt")
}

// AppendAsk encodes.
func AppendAsk(b []byte, a Ask) []byte {
	b = append(b, a.Kind)
	return appendBytes(appendWait(b, a.Wait), a.Payload)
}

// DecodeAsk is the inverse of AppendAsk.
func DecodeAsk(b []byte) (Ask, error) {
	d := decoder{b: b}
	var a Ask
	if k := d.take(1); k != nil {
		a.Kind = k[0]
	}
	a.Wait = d.wait()
	a.Payload = d.bytes(MaxAskBytes)
	return a, d.done("question")
}

// AppendError encodes everything but the cause, which stays on this node.
func AppendError(b []byte, e *core.Error) []byte {
	b = binary.AppendUvarint(b, uint64(e.Kind))
	b = appendString(b, clip(e.ID))
	b = appendString(b, clip(e.Message))
	keys := slices.Sorted(maps.Keys(e.Args))
	b = binary.AppendUvarint(b, uint64(len(keys)))
	for _, key := range keys {
		b = appendString(appendString(b, key), e.Args[key])
	}
	return b
}

// DecodeError is the inverse of AppendError. It always returns an error: the one that was sent,
// or KindInvalid.
func DecodeError(b []byte) error {
	d := decoder{b: b}
	e := &core.Error{Kind: core.Kind(d.uintUpTo(1<<16 - 1)), ID: d.string(maxErrorText), Message: d.string(maxErrorText)}
	for range d.uintUpTo(core.MaxArgs) {
		if e.Args == nil {
			e.Args = core.Args{}
		}
		key := d.string(core.MaxArgKeyBytes)
		e.Args[key] = d.string(core.MaxArgBytes)
	}
	if err := d.done("error"); err != nil {
		return err
	}
	return e
}

func clip(s string) string { return s[:min(len(s), maxErrorText)] }

func appendWait(b []byte, w time.Duration) []byte {
	return binary.AppendUvarint(b, uint64(min(max(w, 0), maxWait)/time.Millisecond))
}

func (d *decoder) wait() time.Duration {
	return time.Duration(d.uintUpTo(uint64(maxWait/time.Millisecond))) * time.Millisecond
}
