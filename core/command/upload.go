package command

import "github.com/nearside/nearside/core"

// CreateUpload begins an upload that may take several requests. It drops the caller's uploads that are
// older than core.UploadLife, and a few such uploads of others.
type CreateUpload struct {
	Upload core.Upload `cbor:"1,keyasint"`          // id, type, channel, name and size; the rest is decided by apply
	Quota  core.Quota  `cbor:"2,keyasint,omitzero"` // as of CreateFile; an upload counts as large as it will be
}

// AppendUpload adds a part at the end of an upload; its blob is stored already. Another offset is
// refused with core.KindConflict, but repeating the last part changes nothing.
type AppendUpload struct {
	UploadID core.UploadID `cbor:"1,keyasint"`
	Offset   int64         `cbor:"2,keyasint"`
	Part     core.BlobRef  `cbor:"3,keyasint"`
}

// FinishUpload makes a file of an upload that has all its parts, and releases the parts. Repeated with
// the same file id, it gives the first file.
type FinishUpload struct {
	UploadID core.UploadID `cbor:"1,keyasint"`
	File     core.File     `cbor:"2,keyasint"` // as of CreateFile
	Text     string        `cbor:"3,keyasint,omitempty"`
}
