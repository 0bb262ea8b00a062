package command

import "github.com/nearside/nearside/core"

// CreatePost posts a message as the caller. Result: Made.
type CreatePost struct {
	Post      core.Post `cbor:"1,keyasint"`           // channel, root, message, props, hashtags, pending id, files and pin; create_at if an administrator brings it in
	Mentions  []string  `cbor:"2,keyasint,omitempty"` // words after "@" in the message, lower-case, each once; core.NamesIn gives the names that they may stand for
	SetOnline bool      `cbor:"3,keyasint,omitempty"`

	Online []core.UserID `cbor:"4,keyasint,omitempty"` // for a message with "@here": who of the channel's members is online and listens to such mentions
}

// PatchPost changes a post. The old text is kept as a row of its own. Files that the post has no longer
// are deleted.
type PatchPost struct {
	PostID core.PostID `cbor:"1,keyasint"`
	core.PostPatch
}

// DeletePost deletes a post and, if it is a root post, its replies.
type DeletePost struct {
	PostID core.PostID `cbor:"1,keyasint"`
}
