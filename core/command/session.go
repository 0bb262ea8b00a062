package command

import "github.com/nearside/nearside/core"

// CreateSession signs a user in. The edge has checked the password against PasswordHash. Apply refuses
// if the account was closed or has another password by now, so an old password does not work after it
// was changed.
type CreateSession struct {
	Session      core.Session `cbor:"1,keyasint"` // id, token hash, user, device, props; times and roles are decided by apply
	PasswordHash string       `cbor:"2,keyasint"`

	// Attempt is the one with which home found the password right. It makes the device and the address
	// known ones of the account.
	Attempt core.AttemptID `cbor:"3,keyasint,omitzero"`
}

// EndSession signs the caller's session out, or another session of the same user.
type EndSession struct {
	SessionID core.SessionID `cbor:"1,keyasint"`
}
