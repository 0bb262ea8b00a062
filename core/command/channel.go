package command

import "github.com/nearside/nearside/core"

// CreateChannel makes a channel; the caller becomes its admin.
type CreateChannel struct {
	Channel core.Channel `cbor:"1,keyasint"`
}

// PatchChannel changes a channel.
type PatchChannel struct {
	ChannelID core.ChannelID `cbor:"1,keyasint"`
	core.ChannelPatch
}

// DeleteChannel archives a channel.
type DeleteChannel struct {
	ChannelID core.ChannelID `cbor:"1,keyasint"`
}

// AddChannelMember adds a user to a channel; users who add themselves join. Adding a member again
// changes nothing.
type AddChannelMember struct {
	ChannelID core.ChannelID `cbor:"1,keyasint"`
	UserID    core.UserID    `cbor:"2,keyasint"`
}

// RemoveChannelMember removes a user from a channel; users who remove themselves leave.
type RemoveChannelMember struct {
	ChannelID core.ChannelID `cbor:"1,keyasint"`
	UserID    core.UserID    `cbor:"2,keyasint"`
}

// ViewChannel marks channels as read by the caller. A zero channel is skipped.
// Result: Viewed.
type ViewChannel struct {
	Channels []core.ChannelID `cbor:"1,keyasint"`
}

// Viewed is ViewChannel's result: for each channel of the command, in order, up to when it is read.
type Viewed struct {
	Times []int64 `cbor:"1,keyasint"`
}
