package command

import "github.com/nearside/nearside/core"

// CreateUpload begins an upload of the caller's that may take several requests, and drops those
// of the caller's, and a few of others', that are older than core.UploadLife.
type CreateUpload struct {
	Upload core.Upload `cbor:"1,keyasint"` // id, type, channel, name and size; the rest is decided by apply
}

// AppendUpload adds a part, whose blob is stored already, where the upload ends. Another offset
// than that gives core.KindConflict, but the last part again changes nothing.
type AppendUpload struct {
	UploadID core.UploadID `cbor:"1,keyasint"`
	Offset   int64         `cbor:"2,keyasint"`
	Part     core.BlobRef  `cbor:"3,keyasint"`
}

// FinishUpload makes a file of an upload that has all its parts, and lets the parts go. Again,
// with the same file id, it gives the first file.
type FinishUpload struct {
	UploadID core.UploadID `cbor:"1,keyasint"`
	File     core.File     `cbor:"2,keyasint"` // as of CreateFile
	Text     string        `cbor:"3,keyasint,omitempty"`
}
