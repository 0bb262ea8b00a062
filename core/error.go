package core

import (
	"context"
	"errors"
	"fmt"
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

// Error is the one error type that crosses package, log and network borders. Message is safe
// to show to the person who asked; Cause never leaves the process.
type Error struct {
	Kind    Kind   `cbor:"1,keyasint" json:"kind"`
	ID      string `cbor:"2,keyasint,omitempty" json:"id,omitempty"` // the API's error id; empty means the one of the Kind
	Message string `cbor:"3,keyasint,omitempty" json:"message,omitempty"`
	Status  int    `cbor:"4,keyasint,omitempty" json:"status,omitempty"` // HTTP status where the API differs from the Kind's
	Cause   error  `cbor:"-" json:"-"`
}

// E builds an Error of a kind with a message for the person who asked.
func E(k Kind, format string, args ...any) *Error {
	return &Error{Kind: k, Message: fmt.Sprintf(format, args...)}
}

// WithID returns a copy of e that carries the API's own error id.
func (e *Error) WithID(id string) *Error {
	c := *e
	c.ID = id
	return &c
}

// WithStatus returns a copy of e with an HTTP status other than its Kind's.
func (e *Error) WithStatus(status int) *Error {
	c := *e
	c.Status = status
	return &c
}

// WithCause returns a copy of e that wraps cause.
func (e *Error) WithCause(cause error) *Error {
	c := *e
	c.Cause = cause
	return &c
}

// Error gives the message, and the cause for logs.
func (e *Error) Error() string {
	msg := e.Message
	if msg == "" {
		msg = e.Kind.String()
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

// AsError gives err as an Error, wrapping it by KindOf when it is none. The message of a
// wrapped foreign error is not shown to clients.
func AsError(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	k := KindOf(err)
	return &Error{Kind: k, Cause: err}
}
