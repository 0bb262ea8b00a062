package core

import (
	"encoding/hex"
	"strings"
)

// Limits of files.
const (
	MaxFilesPerPost  = 10 // as many ids as existing clients' columns hold
	MaxFileName      = 256
	MaxFileText      = 64 << 10 // bytes of a file's text that can be searched for
	MaxMiniPreview   = 2 << 10  // bytes
	MaxUploads       = 100      // unfinished ones of a user
	MaxUploadParts   = 4096
	UploadLife       = 7 * 24 * 60 * 60 * 1000 // milliseconds after which an unfinished upload may be dropped
	UploadAttachment = "attachment"
	MaxUserImage     = 1 << 20 // bytes
)

// LinksExpired names the counter that holds when all public links were last made worthless.
const LinksExpired = "file_links_expired"

// The ids of files and of uploads under way.
type (
	FileID   = ID[File]
	UploadID = ID[Upload]
)

// BlobID names stored bytes: it is the SHA-256 of them. Where bytes are kept it is called
// cdn.Digest.
type BlobID [32]byte

// IsZero reports whether there is no blob.
func (b BlobID) IsZero() bool { return b == BlobID{} }

// String gives 64 hexadecimal digits.
func (b BlobID) String() string { return hex.EncodeToString(b[:]) }

// BlobRef names a blob and says how many bytes it has. The zero BlobRef names none.
type BlobRef struct {
	ID   BlobID `cbor:"1,keyasint"`
	Size int64  `cbor:"2,keyasint"`
}

// Blob is how often the log refers to a blob. Its bytes may go some time after the last
// reference went.
type Blob struct {
	BlobRef
	Refs       int64
	ReleasedAt int64 // when Refs became zero, in Unix milliseconds; 0 while there are any
}

// File is an uploaded file: what clients call FileInfo. The bytes are elsewhere, under its
// blobs' names.
type File struct {
	ID          FileID    `cbor:"1,keyasint" json:"id"`
	UserID      UserID    `cbor:"2,keyasint" json:"user_id"`
	PostID      PostID    `cbor:"3,keyasint" json:"post_id"` // zero until a post of the user's names the file
	ChannelID   ChannelID `cbor:"4,keyasint" json:"channel_id"`
	CreateAt    int64     `cbor:"5,keyasint" json:"create_at"`
	UpdateAt    int64     `cbor:"6,keyasint" json:"update_at"`
	DeleteAt    int64     `cbor:"7,keyasint,omitempty" json:"delete_at"`
	Name        string    `cbor:"8,keyasint" json:"name"`
	Extension   string    `cbor:"9,keyasint,omitempty" json:"extension"` // lower-case, without the dot
	Size        int64     `cbor:"10,keyasint" json:"size"`
	MimeType    string    `cbor:"11,keyasint,omitempty" json:"mime_type"`
	Width       int64     `cbor:"12,keyasint,omitempty" json:"width"` // of a picture, as it is seen
	Height      int64     `cbor:"13,keyasint,omitempty" json:"height"`
	HasPreview  bool      `cbor:"14,keyasint,omitempty" json:"has_preview_image"`
	MiniPreview []byte    `cbor:"15,keyasint,omitempty" json:"mini_preview"` // JPEG of 16×16, or null
	RemoteID    string    `cbor:"16,keyasint,omitempty" json:"remote_id"`
	Archived    bool      `cbor:"17,keyasint,omitempty" json:"archived"`

	Content   BlobRef `cbor:"18,keyasint" json:"-"`
	Thumbnail BlobRef `cbor:"19,keyasint,omitzero" json:"-"`
	Preview   BlobRef `cbor:"20,keyasint,omitzero" json:"-"`
}

// Check validates the fields that an edge sets.
func (f *File) Check() error {
	bad := func(field, msg string) error {
		return E(KindInvalid, "%s", msg).WithID("model.file_info.is_valid." + field + ".app_error")
	}
	switch {
	case f.ID.IsZero():
		return bad("id", "A file has an id.")
	case f.Name == "" || over(f.Name, MaxFileName) || strings.ContainsAny(f.Name, "/\\"):
		return bad("name", "A file's name has 1 to 256 characters and no slashes.")
	case over(f.Extension, MaxFileName) || over(f.MimeType, MaxFileName):
		return bad("mime_type", "A file's type has at most 256 characters.")
	case len(f.MiniPreview) > MaxMiniPreview:
		return bad("mini_preview", "A mini preview has at most 2048 bytes.")
	case f.Size < 0 || f.Size != f.Content.Size || f.Content.ID.IsZero():
		return bad("size", "A file's content has the file's size.")
	case f.Width < 0 || f.Height < 0:
		return bad("width", "A picture has no size below zero.")
	}
	return nil
}

// Upload is an upload under way: what clients call UploadSession. What has arrived is kept in
// parts, so that any edge can take the next one.
type Upload struct {
	ID         UploadID  `cbor:"1,keyasint" json:"id"`
	Type       string    `cbor:"2,keyasint" json:"type"`
	CreateAt   int64     `cbor:"3,keyasint" json:"create_at"`
	UserID     UserID    `cbor:"4,keyasint" json:"user_id"`
	ChannelID  ChannelID `cbor:"5,keyasint" json:"channel_id"`
	Filename   string    `cbor:"6,keyasint" json:"filename"`
	FileSize   int64     `cbor:"7,keyasint" json:"file_size"`
	FileOffset int64     `cbor:"8,keyasint,omitempty" json:"file_offset"` // where the next part begins
	Parts      []BlobRef `cbor:"9,keyasint,omitempty" json:"-"`           // in order
}

// Check validates the fields that a client sets.
func (u *Upload) Check() error {
	bad := func(field, msg string) error {
		return E(KindInvalid, "%s", msg).WithID("model.upload_session.is_valid." + field + ".app_error")
	}
	switch {
	case u.ID.IsZero():
		return bad("id", "An upload has an id.")
	case u.Type != UploadAttachment:
		return bad("type", "An upload is of the type attachment.")
	case u.Filename == "" || over(u.Filename, MaxFileName) || strings.ContainsAny(u.Filename, "/\\"):
		return bad("filename", "A file's name has 1 to 256 characters and no slashes.")
	case u.FileSize <= 0:
		return bad("file_size", "An upload has at least one byte.")
	}
	return nil
}
