package command

import "github.com/nearside/nearside/core"

// CreateUser makes an account; the first one becomes system administrator. Without a session
// it is a sign-up, open only to the first account or when the deployment allows it.
type CreateUser struct {
	User       core.User `cbor:"1,keyasint"`           // id, names, the seal of the password's hash and settings; times and roles are decided by apply
	OpenServer bool      `cbor:"2,keyasint,omitempty"` // anybody may sign up; home puts its own word in place of an edge's
	InviteID   string    `cbor:"3,keyasint,omitempty"` // a team's invite id, when signing up by invitation
}

// Seals implements Sealer: the hash of the password comes with the command.
func (c *CreateUser) Seals() []core.Seal { return some(c.User.PasswordSeal) }

// PatchUser changes an account.
type PatchUser struct {
	UserID core.UserID `cbor:"1,keyasint"`
	core.UserPatch
}

// SetUserImage gives a user a picture, whose blob is stored already; the zero blob removes it.
type SetUserImage struct {
	UserID  core.UserID  `cbor:"1,keyasint"`
	Picture core.BlobRef `cbor:"2,keyasint"`
}

// VerifyEmail records that an address belongs to its user. It does nothing if the user has another address by now.
type VerifyEmail struct {
	UserID core.UserID `cbor:"1,keyasint"`
	Email  string      `cbor:"2,keyasint"`
}
