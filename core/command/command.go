package command

import (
	"encoding/binary"
	"errors"
	"fmt"
	"reflect"
	"sync/atomic"

	"github.com/fxamacker/cbor/v2"

	"github.com/nearside/nearside/core"
)

// Number stands for a type of command in the log: see the table in table.go.
type Number uint16

// Command is what somebody wants to change: a pointer to a struct that has a row in the table.
type Command any

// Caller says on whose behalf a command is proposed. Apply looks the session up and decides by its
// user, so an edge can propose only for sessions that exist.
type Caller struct {
	Session    core.SessionID    `cbor:"1,keyasint"`
	Connection core.ConnectionID `cbor:"2,keyasint,omitzero"` // the session's socket that need not be told what the command changes; zero: there is none

	// For the audit trail, and only with commands that leave an audit: where the request came from, and who has made it
	// if it is on behalf of nobody. Only home says who.
	Address string `cbor:"3,keyasint,omitempty"`
	Actor   string `cbor:"4,keyasint,omitempty"`
}

// envelope is a command as it is encoded in the log.
type envelope struct {
	Number Number          `cbor:"1,keyasint"`
	Caller Caller          `cbor:"2,keyasint"`
	Body   cbor.RawMessage `cbor:"3,keyasint"`
}

// maxAddress is the longest address of a caller.
const maxAddress = 64

// Outcome is what applying a command gave: a refusal, or a result, which may be nil.
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

// Refusals of a proposal.
var (
	tooLarge     = core.Refusal{Kind: core.KindTooLarge, ID: "api.context.request_body_too_large.app_error"}
	badRequest   = core.Refusal{Kind: core.KindInvalid, ID: "api.context.invalid_body_param.app_error"}
	laterVersion = core.Refusal{Kind: core.KindUnavailable, ID: "api.nearside.unavailable.app_error"}.With("reason", "later_version")
	noSession    = core.Refusal{Kind: core.KindUnauthorized, ID: "api.context.session_expired.app_error"}
	homeOnly     = core.Refusal{Kind: core.KindForbidden, ID: "api.context.permissions.app_error"}
)

// Encode gives the bytes of a command for a proposal. It refuses a command that Decode could not read
// because it is too large or nested too deeply.
func Encode(by Caller, c Command) ([]byte, error) {
	n := NumberOf(c)
	if n == 0 {
		return nil, fmt.Errorf("encode command: %T has no row in the table", c)
	}
	body, err := encMode.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("encode command %d: %w", n, err)
	}
	data, err := encMode.Marshal(envelope{Number: n, Caller: by, Body: body})
	if err != nil {
		return nil, fmt.Errorf("encode command %d: %w", n, err)
	}
	if len(data) > core.MaxProposalBytes {
		return nil, tooLarge
	}
	err = decMode.Wellformed(body) // in the log it would stop every replica
	if err == nil && values(data) > maxValues {
		err = errManyValues
	}
	if err != nil {
		return nil, badRequest.With("reason", "nested").WithCause(err)
	}
	return data, nil
}

// maxValues is how many values a command may have. Values of one byte take long to decode for their
// size: half a megabyte of them would cost every replica a second.
const maxValues = 1 << 16

var errManyValues = errors.New("too many values")

// values counts the values in well-formed CBOR without indefinite lengths. It stops where data is cut
// off.
func values(b []byte) (n int) {
	for ; len(b) > 0; n++ {
		kind, length := b[0]>>5, uint64(b[0]&31)
		b = b[1:]
		if size := 1 << max(int(length)-24, 0); length >= 24 {
			if length > 27 || len(b) < size {
				return n
			}
			var raw [8]byte
			copy(raw[8-size:], b)
			length, b = binary.BigEndian.Uint64(raw[:]), b[size:]
		}
		if kind == 2 || kind == 3 { // bytes and text
			b = b[min(length, uint64(len(b))):]
		}
	}
	return n
}

var decoded atomic.Uint64

// Decoded gives how many commands this process has decoded: one for each entry that it applies, and one
// for each proposal that it checks.
func Decoded() uint64 { return decoded.Load() }

// Decode reads what Encode wrote. Its errors have KindUpgrade: they mean that a newer version
// wrote the entry, or that the log is damaged, and in both cases going on would be wrong.
func Decode(data []byte) (Caller, Command, error) {
	decoded.Add(1)
	var env envelope
	if err := decMode.Unmarshal(data, &env); err != nil {
		return Caller{}, nil, core.E(core.KindUpgrade, "upgrade this node: an entry cannot be read").WithCause(err)
	}
	k, known := byNumber[env.Number]
	if !known {
		return Caller{}, nil, core.E(core.KindUpgrade, "upgrade this node: it does not know command %d", env.Number)
	}
	c := reflect.New(k.typ).Interface()
	if err := decMode.Unmarshal(env.Body, c); err != nil {
		return Caller{}, nil, core.E(core.KindUpgrade, "upgrade this node: command %d cannot be read", env.Number).WithCause(err)
	}
	return env.Caller, c, nil
}

// Check decodes a proposal of another node. It refuses it with KindInvalid if Decode cannot read it or its sealed
// values are not those that it names, with KindForbidden if only home may propose it, with KindUnauthorized if it
// is on behalf of no session and has to be, and with KindUnavailable if it needs a later version of the log. Home
// calls it before it orders what an edge sent, so that no edge, whether broken, hostile or just upgraded, can stop
// the replicas. Whether the session has made the proposal is for the caller to find out.
func Check(p core.Proposal, version int64) (Caller, Command, error) {
	if values(p.Data) > maxValues {
		return Caller{}, nil, badRequest.With("reason", "nested").WithCause(errManyValues)
	}
	by, c, err := Decode(p.Data)
	if err != nil {
		return Caller{}, nil, badRequest.With("reason", "command").WithCause(err)
	}
	switch {
	case FromHome(c), by.Actor != "":
		err = homeOnly
	case len(by.Address) > maxAddress:
		err = badRequest.With("reason", "command")
	case by.Session.IsZero() && !WithoutSession(c):
		err = noSession
	case byType[reflect.TypeOf(c)].since > version:
		err = laterVersion
	default:
		err = checkSealed(c, p.Sealed)
	}
	return by, c, err
}

// EncodeOutcome gives the bytes of an outcome. result may be nil.
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
// may be nil). The outcome may come from another node, which may send anything.
func DecodeOutcome(data []byte, into any) error {
	var o Outcome
	if err := decMode.Unmarshal(data, &o); err != nil {
		return fmt.Errorf("decode outcome: %w", err)
	}
	if o.Refusal != nil {
		if err := o.Refusal.CheckBounds(); err != nil {
			return fmt.Errorf("decode outcome: %w", err)
		}
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
