package command

import "github.com/nearside/nearside/core"

// CreateChannel makes a channel; the caller becomes its admin.
type CreateChannel struct {
	Channel core.Channel `cbor:"1,keyasint"`
}

// PatchChannel changes the fields that are not nil.
type PatchChannel struct {
	ChannelID   core.ChannelID `cbor:"1,keyasint"`
	Name        *string        `cbor:"2,keyasint,omitempty"`
	DisplayName *string        `cbor:"3,keyasint,omitempty"`
	Header      *string        `cbor:"4,keyasint,omitempty"`
	Purpose     *string        `cbor:"5,keyasint,omitempty"`
}

// DeleteChannel archives a channel.
type DeleteChannel struct {
	ChannelID core.ChannelID `cbor:"1,keyasint"`
}

// AddChannelMember joins a user to a channel; adding oneself is joining. Adding a member again
// changes nothing and gives the member.
type AddChannelMember struct {
	ChannelID core.ChannelID `cbor:"1,keyasint"`
	UserID    core.UserID    `cbor:"2,keyasint"`
}

// RemoveChannelMember takes a user out of a channel; oneself is leaving.
type RemoveChannelMember struct {
	ChannelID core.ChannelID `cbor:"1,keyasint"`
	UserID    core.UserID    `cbor:"2,keyasint"`
}

// ViewChannel marks channels as read by the caller. A zero channel is skipped.
// Result: Viewed.
type ViewChannel struct {
	Channels []core.ChannelID `cbor:"1,keyasint"`
}

// Viewed is ViewChannel's result: per asked channel, in order, the time up to which it is read.
type Viewed struct {
	Times []int64 `cbor:"1,keyasint"`
}
