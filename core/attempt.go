package core

import (
	"encoding/hex"
	"strconv"
	"time"
)

// Limits of attempts.
const (
	MaxAttempts     = 10               // of one share, in a window
	MaxTogether     = 256              // of all addresses at the invitations of the deployment, in a window
	AttemptWindow   = 15 * time.Minute // after which an attempt no longer counts
	AttemptValid    = time.Minute      // how long what was right may be used
	MaxAttemptUses  = 3                // how often one attempt may be checked: an edge asks the next home node when one is silent
	MaxAttemptsOnce = 32               // counted by one entry
	MaxKnownSources = 8                // of an account and a kind; one more takes the place of the oldest
)

// AttemptKind says what somebody tries to get right. Append-only.
type AttemptKind int64

// The kinds of attempts.
const (
	AttemptPassword   AttemptKind = 1 // of an account
	AttemptInvitation AttemptKind = 2 // to any team
)

// ByAddress reports whether a guess names nobody, as a token does: it could be the token of anybody. Then the
// attempts of the whole deployment are at one subject, and each address has a share.
func (k AttemptKind) ByAddress() bool { return k == AttemptInvitation }

// The ids that attempts are counted by. They are derived, so the log names no login and no address.
type (
	AttemptID = ID[Attempt]
	SubjectID = ID[Subject] // what is guessed at: an account, or a name that no account has
	SourceID  = ID[Source]  // a device or an address
	Subject   struct{}
	Source    struct{}
)

// Attempt is one try at something that could be guessed: a password, a token, a code. It is counted
// before it is checked, so that guesses which arrive together are no more than guesses one after
// another.
//
// The attempts at a subject are counted in shares: one for each device and address that has signed in
// to the account before, and one for all strangers together. So strangers cannot lock out the owner. At
// a token that names nobody each address has a share, and all of them together have a limit too. An address
// that has not tried in the window has one try even then, so whoever guesses locks out nobody elsewhere.
type Attempt struct {
	ID        AttemptID   `cbor:"1,keyasint" db:"id"`
	Kind      AttemptKind `cbor:"2,keyasint" db:"kind"`
	SubjectID SubjectID   `cbor:"3,keyasint" db:"subject_id"`
	SourceID  SourceID    `cbor:"4,keyasint,omitzero" db:"source_id"` // the share, as apply decided
	CreateAt  int64       `cbor:"5,keyasint,omitempty" db:"create_at"`
	Uses      int64       `cbor:"6,keyasint,omitempty" db:"uses"`
	UserID    UserID      `cbor:"7,keyasint,omitzero" db:"user_id"` // whose password it is; zero: nobody's
	RightAt   int64       `cbor:"8,keyasint,omitempty" db:"right_at"`
	DeviceID  SourceID    `cbor:"9,keyasint,omitzero" db:"device_id"`
	AddressID SourceID    `cbor:"10,keyasint,omitzero" db:"address_id"`
}

// SubjectOfAll gives what is guessed at in an attempt at a token that names nobody.
func SubjectOfAll(k AttemptKind) SubjectID {
	return DeriveID[Subject]("all", strconv.FormatInt(int64(k), 10))
}

// SubjectOf gives what is guessed at in an attempt at an account's password.
func SubjectOf(u UserID) SubjectID { return DeriveID[Subject]("user", u.String()) }

// AttemptAt gives the id under which home counts an attempt: that of the question, and what is guessed at.
func AttemptAt(question AttemptID, s SubjectID) AttemptID {
	return DeriveID[Attempt]("attempt", question.String(), s.String())
}

// AttemptFor gives the id of the question of a sign-in that will get a token. The attempt is then for that token only.
// Otherwise any edge could take an attempt that it sees in the log to be right, and sign in with it.
func AttemptFor(token Seal) AttemptID {
	return DeriveID[Attempt]("sign in", hex.EncodeToString(token[:]))
}

// Counts reports whether the attempt counts at a time in Unix milliseconds.
func (a *Attempt) Counts(now int64) bool {
	return a.RightAt == 0 && now < a.CreateAt+AttemptWindow.Milliseconds()
}

// Over reports whether the attempt may be forgotten at a time in Unix milliseconds.
func (a *Attempt) Over(now int64) bool { return now >= a.CreateAt+AttemptWindow.Milliseconds() }

// Proves reports whether the attempt was right, and not too long ago, for a user.
func (a *Attempt) Proves(u UserID, now int64) bool {
	return !u.IsZero() && a.UserID == u && a.RightAt != 0 && now < a.RightAt+AttemptValid.Milliseconds()
}

// Share gives the share in which an attempt counts. known reports whether a device or an address has
// signed in to the account before.
func (a *Attempt) Share(known func(SourceID) bool) SourceID {
	if a.Kind.ByAddress() && !a.AddressID.IsZero() {
		return a.AddressID
	}
	for _, s := range [...]SourceID{a.DeviceID, a.AddressID} {
		if !s.IsZero() && !a.UserID.IsZero() && known(s) {
			return s
		}
	}
	return strangers
}

// strangers is the share of all devices and addresses that are not known. It is not the zero id, which no
// index has.
var strangers = DeriveID[Source]("strangers")

// SourceKind says what a source is. Append-only.
type SourceKind int64

// The kinds of sources.
const (
	SourceDevice  SourceKind = 1
	SourceAddress SourceKind = 2
)

// KnownSource is a device or an address that has signed in to an account.
type KnownSource struct {
	UserID   UserID     `cbor:"1,keyasint" db:"user_id"`
	SourceID SourceID   `cbor:"2,keyasint" db:"source_id"`
	Kind     SourceKind `cbor:"3,keyasint" db:"kind"`
	LastAt   int64      `cbor:"4,keyasint" db:"last_at"`
}
