package command

import "github.com/nearside/nearside/core"

// AddReaction puts an emoji under a post as the caller. A repeated command changes nothing and gives
// the first result. Result: Made.
type AddReaction struct {
	PostID    core.PostID `cbor:"1,keyasint"`
	EmojiName string      `cbor:"2,keyasint"`
}

// RemoveReaction removes a user's emoji from a post; it is no error if there is none.
type RemoveReaction struct {
	PostID    core.PostID `cbor:"1,keyasint"`
	UserID    core.UserID `cbor:"2,keyasint"`
	EmojiName string      `cbor:"3,keyasint"`
}
