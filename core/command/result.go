package command

import "github.com/nearside/nearside/core"

// Made is the result of a command whose maker cannot know everything about what it made: the rest
// is read back from a replica that has applied the entry. Like a command it is append-only.
type Made struct {
	ID core.PostID `cbor:"1,keyasint,omitempty"` // of CreatePost
	At int64       `cbor:"2,keyasint,omitempty"` // when the post, or the reaction of AddReaction, was made first
}
