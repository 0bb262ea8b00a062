package command

import "github.com/nearside/nearside/core"

// CreateUser makes an account; the first one becomes system administrator. Without a session
// it is a sign-up, open only to the first account or when the deployment allows it.
type CreateUser struct {
	User       core.User `cbor:"1,keyasint"` // id, names, password hash and settings; times and roles are decided by apply
	OpenServer bool      `cbor:"2,keyasint,omitempty"`
	InviteID   string    `cbor:"3,keyasint,omitempty"` // a team's invite id, when signing up by invitation
}

// PatchUser changes the fields that are not nil.
type PatchUser struct {
	UserID      core.UserID        `cbor:"1,keyasint"`
	Username    *string            `cbor:"2,keyasint,omitempty"`
	Nickname    *string            `cbor:"3,keyasint,omitempty"`
	FirstName   *string            `cbor:"4,keyasint,omitempty"`
	LastName    *string            `cbor:"5,keyasint,omitempty"`
	Position    *string            `cbor:"6,keyasint,omitempty"`
	Email       *string            `cbor:"7,keyasint,omitempty"`
	Props       *map[string]string `cbor:"8,keyasint,omitempty"`
	NotifyProps *map[string]string `cbor:"9,keyasint,omitempty"`
	Locale      *string            `cbor:"10,keyasint,omitempty"`
	Timezone    *map[string]string `cbor:"11,keyasint,omitempty"`
}

// SetUserImage gives a user a picture, whose blob is stored already; the zero blob removes it.
type SetUserImage struct {
	UserID  core.UserID  `cbor:"1,keyasint"`
	Picture core.BlobRef `cbor:"2,keyasint"`
}
