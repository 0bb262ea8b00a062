package command

import "github.com/nearside/nearside/core"

// CreateTeam makes a team with its default channels; the caller becomes its admin and joins.
type CreateTeam struct {
	Team       core.Team `cbor:"1,keyasint"`
	TownSquare string    `cbor:"2,keyasint,omitempty"` // display names of the default channels; empty: their names
	OffTopic   string    `cbor:"3,keyasint,omitempty"`
}

// PatchTeam changes the fields that are not nil.
type PatchTeam struct {
	TeamID          core.TeamID `cbor:"1,keyasint"`
	DisplayName     *string     `cbor:"2,keyasint,omitempty"`
	Description     *string     `cbor:"3,keyasint,omitempty"`
	CompanyName     *string     `cbor:"4,keyasint,omitempty"`
	AllowedDomains  *string     `cbor:"5,keyasint,omitempty"`
	AllowOpenInvite *bool       `cbor:"6,keyasint,omitempty"`
}

// DeleteTeam archives a team.
type DeleteTeam struct {
	TeamID core.TeamID `cbor:"1,keyasint"`
}

// AddTeamMember adds a user to a team and its default channels; users who add themselves join.
type AddTeamMember struct {
	TeamID   core.TeamID `cbor:"1,keyasint"`
	UserID   core.UserID `cbor:"2,keyasint"`
	InviteID string      `cbor:"3,keyasint,omitempty"`
}

// RemoveTeamMember removes a user from a team and all its channels; users who remove themselves leave.
type RemoveTeamMember struct {
	TeamID core.TeamID `cbor:"1,keyasint"`
	UserID core.UserID `cbor:"2,keyasint"`
}
