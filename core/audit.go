package core

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Limits of the audit trail.
const (
	MaxAudits       = 500_000        // of a kind in the trail; one more takes the place of the oldest ones
	MaxAuditsADay   = 300            // of a kind and an account on a day; further ones are only counted
	MaxAuditTimes   = 1_000_000      // that an edge says something was refused
	MaxRefusals     = 16             // in one report of an edge, of one account
	MaxAuditsReport = 64             // in one report of home
	MinAuditAge     = 24 * time.Hour // before which an audit does not leave the trail because of its age
	AuditDay        = 86_400_000     // milliseconds
)

// MaxAuditObject is how long the object of an audit may be.
const MaxAuditObject = 640

// AuditID is the id of an audit as clients know it.
type AuditID = ID[Audit]

// AuditKind says what an audit is about. Each kind has its own share of the trail, so that what anybody can do
// often does not drive out what matters most.
type AuditKind int64

// The kinds of audits. Append-only.
const (
	AuditDeed    AuditKind = 1 // somebody changed something
	AuditSignIn  AuditKind = 2 // somebody signed in or out
	AuditRefusal AuditKind = 3 // somebody was refused, or could not sign in
)

// Actions that are not the name of a command or of an operation.
const (
	AuditLoginFailed      = "login_failed"      // a password was wrong, or not checked because there were too many
	AuditInvitationFailed = "invitation_failed" // an invitation was none, or not looked for because there were too many
	AuditVoid             = "void_entry"        // an entry of the log is skipped
	AuditMore             = "more"              // there were more of this account on the day
)

// AuditOthers is the object of an audit of all those that have none of their own.
const AuditOthers = "others"

// Who acts for no account. An audit of the kind AuditRefusal may have no actor and no account: nobody who is known.
const (
	ActorOperator = "operator" // somebody who uses the administration's socket
	ActorToken    = "token"    // somebody who has the administration's token
	ActorHome     = "home"     // home by itself
)

// Audit is one line of the audit trail: who did what on what, from where, and with what result. It names nothing
// secret, and no login that no account has: people type passwords there by mistake. It never changes.
type Audit struct {
	Number    int64     `cbor:"1,keyasint,omitempty" json:"number" db:"number"` // grows by one with each audit
	Kind      AuditKind `cbor:"2,keyasint" json:"kind" db:"kind"`
	CreateAt  int64     `cbor:"3,keyasint,omitempty" json:"create_at" db:"create_at"`
	UserID    UserID    `cbor:"4,keyasint,omitzero" json:"user_id,omitzero" db:"user_id"` // who
	SessionID SessionID `cbor:"5,keyasint,omitzero" json:"session_id,omitzero" db:"session_id"`
	Actor     string    `cbor:"6,keyasint,omitempty" json:"actor,omitempty" db:"actor" max:"64"`     // who, if it is no account
	Address   string    `cbor:"7,keyasint,omitempty" json:"address,omitempty" db:"address" max:"64"` // from where
	Action    string    `cbor:"8,keyasint" json:"action" db:"action" max:"160"`                      // what
	Object    string    `cbor:"9,keyasint,omitempty" json:"object,omitempty" db:"object" max:"640"`  // on what
	Result    string    `cbor:"10,keyasint,omitempty" json:"result,omitempty" db:"result" max:"128"` // why not; empty: it was done
	Times     int64     `cbor:"11,keyasint,omitempty" json:"times" db:"times"`                       // how often, if several are summed up in one; else 1
}

// ID gives the audit's id.
func (a *Audit) ID() AuditID { return DeriveID[Audit]("audit", strconv.FormatInt(a.Number, 10)) }

// IsRefusal reports whether the audit says that an operation of the API was refused: an edge may say nothing else.
func (a *Audit) IsRefusal() bool {
	method, path, _ := strings.Cut(a.Action, " ")
	return method == strings.ToUpper(method) && strings.HasPrefix(path, "/") && a.Result != "" || a.Action == AuditOthers && a.Result != ""
}

// AuditOfVoid gives the audit of an order to skip an entry.
func AuditOfVoid(index int64, reason string) Audit {
	return Audit{Kind: AuditDeed, Actor: ActorOperator, Action: AuditVoid, Object: fmt.Sprintf("entry=%d reason=%s", index, reason)}
}

// AuditShare says how many audits of a kind an account has caused on a day of the log.
type AuditShare struct {
	UserID UserID    `cbor:"1,keyasint" db:"user_id"`
	Kind   AuditKind `cbor:"2,keyasint" db:"kind"`
	Day    int64     `cbor:"3,keyasint" db:"day"`
	Lines  int64     `cbor:"4,keyasint" db:"lines"`          // in the trail
	More   int64     `cbor:"5,keyasint,omitempty" db:"more"` // beyond core.MaxAuditsADay
}
