package command

import "github.com/nearside/nearside/core"

// CreateFile makes a file of the caller's known, whose blobs are stored already. It belongs to
// a channel, and to a post once CreatePost or PatchPost names it.
type CreateFile struct {
	File core.File `cbor:"1,keyasint"`           // id, channel, name, type, size, picture and blobs; the rest is decided by apply
	Text string    `cbor:"2,keyasint,omitempty"` // what of its content can be searched for
}

// ShareFile lets anybody read a file who knows the token that Link is the SHA-256 of. Again
// changes nothing; once ExpireLinks has made it worthless, it gives core.KindConflict for ever.
type ShareFile struct {
	FileID core.FileID `cbor:"1,keyasint"`
	Link   core.BlobID `cbor:"2,keyasint"`
}

// ExpireLinks makes all tokens of ShareFile worthless that were given out before.
type ExpireLinks struct{}
