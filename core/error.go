package core

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"
)

// Kind says what went wrong in a way that crosses every wire. The numbers are append-only:
// a Kind is never renumbered, reused or removed.
type Kind uint16

// The closed list of kinds.
const (
	KindInternal     Kind = 0  // a fault of ours
	KindInvalid      Kind = 1  // the request can never succeed as it is
	KindUnauthorized Kind = 2  // no valid session
	KindForbidden    Kind = 3  // the session may not do this
	KindNotFound     Kind = 4  // the object does not exist, or may not be known to exist
	KindConflict     Kind = 5  // the object exists already, or changed under the caller
	KindTooLarge     Kind = 6  // over a size limit
	KindLimit        Kind = 7  // over a count or rate limit
	KindUnavailable  Kind = 8  // try again later: cut off from home, no leader, disk full
	KindNotBuilt     Kind = 9  // part of the API, not part of this version
	KindTimeout      Kind = 10 // the deadline passed; the effect is unknown unless retried with the same id
	KindUpgrade      Kind = 11 // this node is too old for what it was given
	KindCanceled     Kind = 12 // the caller went away
	KindDiverged     Kind = 13 // this replica differs from the history it follows
	KindURITooLong   Kind = 14 // the request line is over its limit
	KindMisdirected  Kind = 15 // the peer may not ask this of us
	kindEnd          Kind = 16
)

var kindNames = [kindEnd]string{
	"internal", "invalid", "unauthorized", "forbidden", "not found", "conflict", "too large", "limit",
	"unavailable", "not built", "timeout", "upgrade", "canceled", "diverged", "uri too long", "misdirected",
}

// String names the kind.
func (k Kind) String() string {
	if k < kindEnd {
		return kindNames[k]
	}
	return fmt.Sprintf("kind(%d)", uint16(k))
}

// Temporary reports whether the same request may succeed later without a change.
func (k Kind) Temporary() bool { return k == KindUnavailable || k == KindTimeout || k == KindLimit }

// Error is the one error type that goes from package to package, into the log and over the network.
// A refusal is data: its text is made at the edge from ID and Args, in the reader's language (see
// Refusal). Only an error about the operation of a node, which has no entry in a catalogue, has a
// Message. It is for the operator, is not shown to clients, and never enters the log. Cause never
// leaves the process.
type Error struct {
	Kind    Kind   `cbor:"1,keyasint" json:"kind"`
	ID      string `cbor:"2,keyasint,omitempty" json:"id,omitempty"` // the API's error id; empty means the one of the Kind
	Args    Args   `cbor:"3,keyasint,omitempty" json:"args,omitempty"`
	Message string `cbor:"-" json:"message,omitempty"`
	Cause   error  `cbor:"-" json:"-"`
}

// NoMajority refuses what must be ordered while the home nodes that reach each other are too few to agree.
var NoMajority = Refusal{Kind: KindUnavailable, ID: "nearside.home.no_majority"}

// Args fill in the text of a refusal.
type Args map[string]string

// The bounds of a refusal. Args are cut to them when they are made, because a refusal stays in the log
// for ever, and checked when a refusal comes from another node.
const (
	MaxRefusalID   = 128 // bytes
	MaxArgs        = 8
	MaxArgKeyBytes = 32
	MaxArgBytes    = 256
)

// Refusal names a reason to refuse a command. The text of an ID is in the catalogue of every language at
// the edge, and nowhere else. A Refusal is an error by itself, which errors.As gives as an *Error.
type Refusal struct {
	Kind Kind
	ID   string
}

// Error gives the id, for logs.
func (r Refusal) Error() string { return r.plain().Error() }

// As makes errors.As find a Refusal as an *Error.
func (r Refusal) As(target any) bool {
	e, ok := target.(**Error)
	if ok {
		*e = r.plain()
	}
	return ok
}

func (r Refusal) plain() *Error { return &Error{Kind: r.Kind, ID: r.ID} }

// With gives the refusal with arguments: keys and values in turn. Where one id of the API has
// several reasons, the argument "reason" chooses the text.
func (r Refusal) With(key string, value any, more ...any) *Error {
	return r.plain().With(key, value, more...)
}

// WithCause gives the refusal with a cause for the log of this node.
func (r Refusal) WithCause(cause error) *Error { return r.plain().WithCause(cause) }

// With returns a copy of e with more arguments: keys and values in turn. It cuts what is over the
// bounds.
func (e *Error) With(key string, value any, more ...any) *Error {
	c := *e
	c.Args = make(Args, len(e.Args)+1+len(more)/2)
	maps.Copy(c.Args, e.Args)
	c.Args.set(key, value)
	for i := 0; i+1 < len(more); i += 2 {
		c.Args.set(fmt.Sprint(more[i]), more[i+1])
	}
	return &c
}

func (a Args) set(key string, value any) {
	key = cut(key, MaxArgKeyBytes)
	if _, known := a[key]; known || len(a) < MaxArgs {
		a[key] = cut(fmt.Sprint(value), MaxArgBytes)
	}
}

// cut gives at most n bytes of s, in whole characters: every replica must be able to read it.
func cut(s string, n int) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) <= n {
		return s
	}
	for !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// E builds an Error of a kind with a message: for the operation of a node and the command line,
// never for a refusal.
func E(k Kind, format string, args ...any) *Error {
	return &Error{Kind: k, Message: fmt.Sprintf(format, args...)}
}

// CheckBounds fails if a refusal that another node has sent is larger than any that a node makes.
func (e *Error) CheckBounds() error {
	if len(e.ID) > MaxRefusalID {
		return fmt.Errorf("the id of a refusal has %d bytes, more than %d", len(e.ID), MaxRefusalID)
	}
	if len(e.Args) > MaxArgs {
		return fmt.Errorf("a refusal has %d arguments, more than %d", len(e.Args), MaxArgs)
	}
	for key, value := range e.Args {
		if len(key) > MaxArgKeyBytes || len(value) > MaxArgBytes {
			return fmt.Errorf("an argument of a refusal has %d and %d bytes, more than %d and %d", len(key), len(value), MaxArgKeyBytes, MaxArgBytes)
		}
	}
	return nil
}

// WithCause returns a copy of e that wraps cause.
func (e *Error) WithCause(cause error) *Error {
	c := *e
	c.Cause = cause
	return &c
}

// Error gives the message, or the id with its arguments, and the cause: for logs.
func (e *Error) Error() string {
	msg := e.Message
	if msg == "" {
		msg = e.Kind.String()
		if e.ID != "" {
			msg += " " + e.ID
		}
		for _, key := range slices.Sorted(maps.Keys(e.Args)) {
			msg += fmt.Sprintf(" %s=%q", key, e.Args[key])
		}
	}
	if e.Cause != nil {
		return msg + ": " + e.Cause.Error()
	}
	return msg
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Cause }

// KindOf gives the kind of the first Error in err's chain; context errors map to KindTimeout
// and KindCanceled, anything else to KindInternal.
func KindOf(err error) Kind {
	var e *Error
	switch {
	case errors.As(err, &e):
		return e.Kind
	case errors.Is(err, context.DeadlineExceeded):
		return KindTimeout
	case errors.Is(err, context.Canceled):
		return KindCanceled
	case errors.Is(err, ErrDiverged):
		return KindDiverged
	}
	return KindInternal
}

// AsError gives err as an Error. An error of another type is wrapped with the kind that KindOf
// gives, and its message is not shown to clients.
func AsError(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	k := KindOf(err)
	return &Error{Kind: k, Cause: err}
}
