package command

import (
	"fmt"

	"github.com/fxamacker/cbor/v2"

	"github.com/nearside/nearside/core"
)

// Kind numbers a command. Append-only: see the table in table.go.
type Kind uint16

// Command is an intent.
type Command interface{ Kind() Kind }

// Caller is on whose behalf a command is proposed. Apply looks the session up and decides by
// the user it finds there, so an edge can only speak for sessions that exist.
type Caller struct {
	Session core.SessionID `cbor:"1,keyasint"`
}

// envelope is a command as the log holds it.
type envelope struct {
	Kind   Kind            `cbor:"1,keyasint"`
	Caller Caller          `cbor:"2,keyasint"`
	Body   cbor.RawMessage `cbor:"3,keyasint"`
}

// Outcome is what applying gave: a refusal, or a result (nil when there is nothing to say).
type Outcome struct {
	Refusal *core.Error     `cbor:"1,keyasint,omitempty"`
	Result  cbor.RawMessage `cbor:"2,keyasint,omitempty"`
}

var (
	encMode = must(cbor.CoreDetEncOptions().EncMode())
	decMode = must(cbor.DecOptions{
		DupMapKey: cbor.DupMapKeyEnforcedAPF, IndefLength: cbor.IndefLengthForbidden, TagsMd: cbor.TagsForbidden,
		MaxNestedLevels: 32, MaxArrayElements: 16384, MaxMapPairs: 16384, UTF8: cbor.UTF8RejectInvalid,
		DefaultMapType: mapType,
	}.DecMode())
)

// Encode gives a command's bytes for a proposal, which Decode can read: what is too large or too
// deep for that is refused.
func Encode(by Caller, c Command) ([]byte, error) {
	body, err := encMode.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("encode command %d: %w", c.Kind(), err)
	}
	data, err := encMode.Marshal(envelope{Kind: c.Kind(), Caller: by, Body: body})
	if err != nil {
		return nil, fmt.Errorf("encode command %d: %w", c.Kind(), err)
	}
	if len(data) > core.MaxProposalBytes {
		return nil, core.E(core.KindTooLarge, "The request is too large.")
	}
	if _, _, err := Decode(data); err != nil { // in the log it would stop every replica
		return nil, core.E(core.KindInvalid, "The request holds too many or too deeply nested values.").WithCause(err)
	}
	return data, nil
}

// Decode reads what Encode wrote. Its errors have KindUpgrade: they mean that a newer version
// wrote the entry, or that the log is damaged, and in both cases going on would be wrong.
func Decode(data []byte) (Caller, Command, error) {
	var env envelope
	if err := decMode.Unmarshal(data, &env); err != nil {
		return Caller{}, nil, core.E(core.KindUpgrade, "upgrade this node: an entry cannot be read").WithCause(err)
	}
	make := makers[env.Kind]
	if make == nil {
		return Caller{}, nil, core.E(core.KindUpgrade, "upgrade this node: it does not know command %d", env.Kind)
	}
	c := make()
	if err := decMode.Unmarshal(env.Body, c); err != nil {
		return Caller{}, nil, core.E(core.KindUpgrade, "upgrade this node: command %d cannot be read", env.Kind).WithCause(err)
	}
	return env.Caller, c, nil
}

// Check refuses, with KindInvalid, what Decode could not read. Home asks it before ordering
// what an edge sent, so that no edge, broken or hostile, can stop the replicas.
func Check(data []byte) error {
	if _, _, err := Decode(data); err != nil {
		return core.E(core.KindInvalid, "home does not understand the command: is this edge newer than home?").WithCause(err)
	}
	return nil
}

// EncodeOutcome gives an outcome's bytes. result may be nil.
func EncodeOutcome(result any, refusal *core.Error) ([]byte, error) {
	o := Outcome{Refusal: refusal}
	if result != nil && refusal == nil {
		raw, err := encMode.Marshal(result)
		if err != nil {
			return nil, fmt.Errorf("encode result: %w", err)
		}
		o.Result = raw
	}
	return encMode.Marshal(o)
}

// DecodeOutcome reads an outcome; its refusal becomes the error, its result fills into (which
// may be nil).
func DecodeOutcome(data []byte, into any) error {
	var o Outcome
	if err := decMode.Unmarshal(data, &o); err != nil {
		return fmt.Errorf("decode outcome: %w", err)
	}
	if o.Refusal != nil {
		return o.Refusal
	}
	if into == nil || o.Result == nil {
		return nil
	}
	if err := decMode.Unmarshal(o.Result, into); err != nil {
		return fmt.Errorf("decode result: %w", err)
	}
	return nil
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err) // options are constants
	}
	return v
}
