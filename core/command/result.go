package command

import "github.com/nearside/nearside/core"

// Made is what a proposer cannot know about the object that its command made. The rest is read from a
// replica that has applied the entry. Like a command it is append-only.
type Made struct {
	ID core.PostID `cbor:"1,keyasint,omitempty"` // of CreatePost
	At int64       `cbor:"2,keyasint,omitempty"` // when the post, or the reaction of AddReaction, was made first
}
