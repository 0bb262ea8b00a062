package guard

import (
	"context"
	"fmt"

	"github.com/fxamacker/cbor/v2"

	"github.com/nearside/nearside/core"
)

// Question asks whether a secret is right. The numbers are append-only.
type Question struct {
	ID      core.AttemptID   `cbor:"1,keyasint"` // new for each attempt of a client
	Kind    core.AttemptKind `cbor:"2,keyasint"`
	UserID  core.UserID      `cbor:"3,keyasint,omitzero"`  // the account, if Login is not used
	Login   string           `cbor:"4,keyasint,omitempty"` // username or e-mail address
	Secret  string           `cbor:"5,keyasint"`
	Device  core.SourceID    `cbor:"6,keyasint,omitzero"`  // from Device; zero: the client says none
	Address string           `cbor:"7,keyasint,omitempty"` // of the client
}

// Verdict is what home found. Append-only.
type Verdict byte

// The verdicts.
const (
	Wrong  Verdict = 1
	Right  Verdict = 2
	Locked Verdict = 3 // there were too many attempts; nothing was checked
	Busy   Verdict = 4 // too many secrets are being checked; nothing was counted
)

// Answer answers a Question.
type Answer struct {
	Verdict Verdict        `cbor:"1,keyasint"`
	UserID  core.UserID    `cbor:"2,keyasint,omitzero"` // whose secret it is, if it is right
	Attempt core.AttemptID `cbor:"3,keyasint,omitzero"` // what proves it to apply, for a short time
	Index   core.Index     `cbor:"4,keyasint,omitempty"`
	TeamID  core.TeamID    `cbor:"5,keyasint,omitzero"` // to which an invitation invites, if it is right
}

// Device gives the id of a device from something that only the device knows.
func Device(kind, secret string) core.SourceID {
	if secret == "" {
		return core.SourceID{}
	}
	return core.DeriveID[core.Source]("device", kind, secret)
}

// The longest texts of a question; a longer secret is no password of ours.
const (
	maxSecret  = 512
	maxAddress = 64
)

func (q *Question) check() error {
	if len(q.Login) > core.MaxEmail || len(q.Secret) > maxSecret || len(q.Address) > maxAddress || q.ID.IsZero() {
		return core.E(core.KindInvalid, "the question to the guard is over a limit")
	}
	return nil
}

var decMode = func() cbor.DecMode {
	m, err := cbor.DecOptions{DupMapKey: cbor.DupMapKeyEnforcedAPF, IndefLength: cbor.IndefLengthForbidden, TagsMd: cbor.TagsForbidden, MaxNestedLevels: 4}.DecMode()
	if err != nil {
		panic(err) // options are constants
	}
	return m
}()

// Answer answers an encoded question of an edge.
func (g *Guard) Answer(ctx context.Context, question []byte) ([]byte, error) {
	var q Question
	if err := decMode.Unmarshal(question, &q); err != nil {
		return nil, core.E(core.KindInvalid, "the question to the guard cannot be read").WithCause(err)
	}
	a, err := g.Verify(ctx, q)
	if err != nil {
		return nil, err
	}
	return cbor.Marshal(a)
}

// Remote asks the guard at home.
type Remote struct {
	Ask func(ctx context.Context, question []byte) ([]byte, error) // asks any home node, and another one if it is silent
}

// Verify asks home whether a secret is right.
func (r Remote) Verify(ctx context.Context, q Question) (Answer, error) {
	if err := q.check(); err != nil {
		return Answer{}, err
	}
	data, err := cbor.Marshal(q)
	if err != nil {
		return Answer{}, fmt.Errorf("encode question: %w", err)
	}
	answer, err := r.Ask(ctx, data)
	if err != nil {
		return Answer{}, err
	}
	var a Answer
	if err := decMode.Unmarshal(answer, &a); err != nil {
		return a, fmt.Errorf("decode answer: %w", err)
	}
	return a, nil
}
