package command

import "github.com/nearside/nearside/core"

// CreateSession signs a user in. Home has checked the password against the hash with the seal PasswordSeal. Apply
// refuses if the account was closed or has another password by now, so an old password does not work after it
// was changed.
type CreateSession struct {
	Session      core.Session `cbor:"1,keyasint"` // id, the seal of the token's hash, user, device, props; times and roles are decided by apply
	PasswordSeal core.Seal    `cbor:"2,keyasint"`

	// Attempt is the one with which home found the password right. It is for this token only, and makes the
	// device and the address known ones of the account.
	Attempt core.AttemptID `cbor:"3,keyasint,omitzero"`
}

// Seals implements Sealer: the hash of the token comes with the command.
func (c *CreateSession) Seals() []core.Seal { return some(c.Session.Token) }

// EndSession signs the caller's session out, or another session of the same user.
type EndSession struct {
	SessionID core.SessionID `cbor:"1,keyasint"`
}
