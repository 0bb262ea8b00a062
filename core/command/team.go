package command

import "github.com/nearside/nearside/core"

// CreateTeam makes a team with its default channels; the caller becomes its admin and joins.
type CreateTeam struct {
	Team       core.Team `cbor:"1,keyasint"`
	TownSquare string    `cbor:"2,keyasint,omitempty"` // display names of the default channels; empty: their names
	OffTopic   string    `cbor:"3,keyasint,omitempty"`
}

// PatchTeam changes a team.
type PatchTeam struct {
	TeamID core.TeamID `cbor:"1,keyasint"`
	core.TeamPatch
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
