package command

import "github.com/nearside/nearside/core"

// CreateFile adds a file of the caller; its blobs are stored already. It belongs to a channel, and
// to a post once CreatePost or PatchPost names it.
type CreateFile struct {
	File  core.File  `cbor:"1,keyasint"`           // id, channel, name, type, size, picture and blobs; the rest is decided by apply
	Text  string     `cbor:"2,keyasint,omitempty"` // the part of its content that can be searched
	Quota core.Quota `cbor:"3,keyasint,omitzero"`  // home puts its own word in place of an edge's
}

// ShareFile lets anybody read a file who has the token; Link is its SHA-256. A repeated command
// changes nothing. After ExpireLinks the same link is refused with core.KindConflict for ever.
type ShareFile struct {
	FileID core.FileID `cbor:"1,keyasint"`
	Link   core.BlobID `cbor:"2,keyasint"`
}

// ExpireLinks makes all tokens that were given out before invalid.
type ExpireLinks struct{}
