package applytest

import (
	"fmt"
	"slices"
	"time"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/apply"
	"github.com/nearside/nearside/core/command"
)

// Log makes entries as a leader would, the same in every run, and applies them to a model.
type Log struct {
	At    time.Time
	Index core.Index
	Model *Model
	ids   int
}

// NewLog makes an empty log.
func NewLog() *Log { return &Log{At: time.UnixMilli(1_800_000_000_000), Model: NewModel()} }

// ID gives the next id of a fixed series.
func ID[T any](l *Log) core.ID[T] {
	l.ids++
	id := core.DeriveID[T]("test", fmt.Sprint(l.ids))
	for i := range 6 {
		id[i] = byte(l.At.UnixMilli() >> (8 * (5 - i)))
	}
	return id
}

// Entry orders a command with its sealed values, and has the model apply it.
func (l *Log) Entry(by command.Caller, c command.Command, sealed ...[]byte) core.Entry {
	data, err := command.Encode(by, c)
	if err != nil {
		panic(err)
	}
	e := l.Raw(data)
	e.Scope, e.Sealed = apply.ScopeOf(l.Model, c), sealed
	l.Model.Take(e)
	return e
}

// Again orders a proposal that was ordered before.
func (l *Log) Again(was core.Entry) core.Entry {
	e := l.Raw(was.Data)
	e.ID, e.Scope, e.Sealed = was.ID, was.Scope, was.Sealed
	l.Model.Take(e)
	return e
}

// Propose orders the bytes of a proposal as home does with what an edge sends: not what command.Check refuses. It gives
// the refusal of either. A hash of a password is sealed with it, if that is the one of everybody's password here.
func (l *Log) Propose(data []byte) (core.Entry, error) {
	p := core.Proposal{Data: data}
	if _, c, err := command.Decode(data); err == nil && slices.Contains(command.Seals(c), PasswordSeal) {
		p.Sealed = [][]byte{password}
	}
	_, c, err := command.Check(p, core.LogVersion)
	if err != nil {
		return core.Entry{}, err
	}
	e := l.Raw(data)
	e.Scope, e.Sealed = apply.ScopeOf(l.Model, c), p.Sealed
	return e, command.DecodeOutcome(l.Model.Take(e).Outcome, nil)
}

// Raw makes an entry that the model does not apply.
func (l *Log) Raw(data []byte) core.Entry {
	l.Index++
	l.At = l.At.Add(time.Millisecond)
	return core.Entry{Index: l.Index, At: l.At, ID: ID[core.Proposal](l), Data: data}
}

// Model is the state machine over maps, with receipts and the digest as a replica has them.
type Model struct {
	*Store
	Receipts map[core.Index]core.Receipt
	Digest   core.Digest
	firsts   map[core.ProposalID]first // of the proposals that were accepted
	machine  *apply.Machine
}

// first is when a proposal was accepted, and what came of it.
type first struct {
	at      time.Time
	receipt core.Receipt
}

// NewModel makes an empty model.
func NewModel() *Model {
	s := NewStore()
	return &Model{s, map[core.Index]core.Receipt{}, core.Digest{}, map[core.ProposalID]first{}, apply.NewMachine(s)}
}

// Take applies an entry. It panics if the entry cannot be understood. Like a replica it forgets a proposal when, by the
// time of the log, core.DedupeWindow has passed, in steps of an hour.
func (m *Model) Take(e core.Entry) core.Receipt {
	if f, ok := m.firsts[e.ID]; ok && e.Void == nil && !f.at.Before(core.DedupeHorizon(e.At)) {
		m.Receipts[e.Index], m.Digest = f.receipt, m.Digest.Next(e, nil)
		return f.receipt
	}
	p, err := apply.Prepare(e)
	if err != nil {
		panic(err)
	}
	fx, err := m.machine.Apply(p)
	if err != nil {
		panic(err)
	}
	if fx.Fault != nil {
		panic(fmt.Sprintf("entry %d: %v\n%s", e.Index, fx.Fault.Value, fx.Fault.Stack))
	}
	r := core.Receipt{Index: e.Index, Outcome: fx.Outcome}
	m.Receipts[e.Index], m.Digest = r, m.Digest.Next(e, fx.Decision)
	if fx.Accepted {
		m.firsts[e.ID] = first{e.At, r}
	}
	return r
}
