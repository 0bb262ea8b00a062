package command

import "github.com/nearside/nearside/core"

// AddReaction puts an emoji under a post as the caller; again changes nothing and gives the
// first one. Result: Made.
type AddReaction struct {
	PostID    core.PostID `cbor:"1,keyasint"`
	EmojiName string      `cbor:"2,keyasint"`
}

// RemoveReaction takes an emoji of a user's away; one that is not there is no error.
type RemoveReaction struct {
	PostID    core.PostID `cbor:"1,keyasint"`
	UserID    core.UserID `cbor:"2,keyasint"`
	EmojiName string      `cbor:"3,keyasint"`
}
