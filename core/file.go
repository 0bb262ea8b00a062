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
	MaxFileBytes     = 1 << 40 // of a file, whatever a deployment allows: sums of sizes must stay numbers
	MaxPictureSide   = 1 << 20 // pixels
)

// LinksExpired names the counter with the time at which all public links were last made invalid.
const LinksExpired = "file_links_expired"

// The ids of files and of uploads under way.
type (
	FileID   = ID[File]
	UploadID = ID[Upload]
)

// BlobID names stored bytes by their SHA-256. Package cdn, which keeps the bytes, calls it Digest.
type BlobID [32]byte

// IsZero reports whether there is no blob.
func (b BlobID) IsZero() bool { return b == BlobID{} }

// String gives 64 hexadecimal digits.
func (b BlobID) String() string { return hex.EncodeToString(b[:]) }

// BlobRef names a blob and says how many bytes it has. The zero BlobRef names none.
type BlobRef struct {
	ID   BlobID `cbor:"1,keyasint" db:"id"`
	Size int64  `cbor:"2,keyasint" db:"size"`
}

// Blob counts the rows that refer to a blob. Its bytes may be removed some time after the last
// reference is gone.
type Blob struct {
	BlobRef
	Refs       int64 `cbor:"3,keyasint" db:"refs"`
	ReleasedAt int64 `cbor:"4,keyasint" db:"released_at"` // when Refs became zero, in Unix milliseconds; 0 while Refs is not zero
}

// Quota says how many bytes of files may be stored; 0 means no limit.
type Quota struct {
	Person int64 `cbor:"1,keyasint,omitempty"` // of one person, unfinished uploads included
	Team   int64 `cbor:"2,keyasint,omitempty"` // in the channels of one team
}

// StoredBy names the counter of the bytes that a person's files have; StoredIn that of a team's.
func StoredBy(u UserID) string { return "stored:" + u.String() }

// StoredIn is like StoredBy.
func StoredIn(t TeamID) string { return "stored:" + t.String() }

// storageFull refuses a file for which there is no room.
var storageFull = Refusal{Kind: KindTooLarge, ID: "api.nearside.storage.app_error"}

// Check refuses size more bytes beside those that a person, and the team of the channel if it has one, have stored.
func (q Quota) Check(size, person, team int64) error {
	switch {
	case q.Person > 0 && person+size > q.Person:
		return storageFull.With("reason", "person", "max", q.Person>>20)
	case q.Team > 0 && team+size > q.Team:
		return storageFull.With("reason", "team", "max", q.Team>>20)
	}
	return nil
}

// File is an uploaded file, which clients call FileInfo. Its bytes are stored as blobs, not in
// the database.
type File struct {
	ID          FileID    `cbor:"1,keyasint" json:"id" db:"id"`
	UserID      UserID    `cbor:"2,keyasint" json:"user_id" db:"user_id"`
	PostID      PostID    `cbor:"3,keyasint" json:"post_id" db:"post_id"` // zero until one of the user's posts names the file
	ChannelID   ChannelID `cbor:"4,keyasint" json:"channel_id" db:"channel_id"`
	CreateAt    int64     `cbor:"5,keyasint" json:"create_at" db:"create_at"`
	UpdateAt    int64     `cbor:"6,keyasint" json:"update_at" db:"update_at"`
	DeleteAt    int64     `cbor:"7,keyasint,omitempty" json:"delete_at" db:"delete_at"`
	Name        string    `cbor:"8,keyasint" json:"name" db:"name" runes:"256"`
	Extension   string    `cbor:"9,keyasint,omitempty" json:"extension" db:"extension" runes:"256"` // lower-case, without the dot
	Size        int64     `cbor:"10,keyasint" json:"size" db:"size"`
	MimeType    string    `cbor:"11,keyasint,omitempty" json:"mime_type" db:"mime_type" runes:"256"`
	Width       int64     `cbor:"12,keyasint,omitempty" json:"width" db:"width"` // of a picture, as it is seen
	Height      int64     `cbor:"13,keyasint,omitempty" json:"height" db:"height"`
	HasPreview  bool      `cbor:"14,keyasint,omitempty" json:"has_preview_image" db:"has_preview"`
	MiniPreview []byte    `cbor:"15,keyasint,omitempty" json:"mini_preview" db:"mini_preview" max:"2048"` // JPEG of 16×16, or null
	RemoteID    string    `cbor:"16,keyasint,omitempty" json:"remote_id" db:"remote_id" max:"64"`
	Archived    bool      `cbor:"17,keyasint,omitempty" json:"archived" db:"archived"`

	Content   BlobRef `cbor:"18,keyasint" json:"-" db:"content,null"`
	Thumbnail BlobRef `cbor:"19,keyasint,omitzero" json:"-" db:"thumbnail,null"`
	Preview   BlobRef `cbor:"20,keyasint,omitzero" json:"-" db:"preview,null"`
}

// What Check refuses of a file.
var (
	badFileID          = Refusal{Kind: KindInvalid, ID: "model.file_info.is_valid.id.app_error"}
	badFileName        = Refusal{Kind: KindInvalid, ID: "model.file_info.is_valid.name.app_error"}
	badFileMimeType    = Refusal{Kind: KindInvalid, ID: "model.file_info.is_valid.mime_type.app_error"}
	badFileMiniPreview = Refusal{Kind: KindInvalid, ID: "model.file_info.is_valid.mini_preview.app_error"}
	badFileSize        = Refusal{Kind: KindInvalid, ID: "model.file_info.is_valid.size.app_error"}
	badFileWidth       = Refusal{Kind: KindInvalid, ID: "model.file_info.is_valid.width.app_error"}
)

// Check validates the fields that an edge sets.
func (f *File) Check() error {
	switch {
	case f.ID.IsZero():
		return badFileID
	case f.Name == "" || over(f.Name, MaxFileName) || strings.ContainsAny(f.Name, "/\\"):
		return badFileName
	case !ValidName(f.Name):
		return badFileName.With("reason", "characters")
	case over(f.Extension, MaxFileName) || over(f.MimeType, MaxFileName):
		return badFileMimeType
	case len(f.MiniPreview) > MaxMiniPreview:
		return badFileMiniPreview
	case f.Size < 0 || f.Size > MaxFileBytes || f.Size != f.Content.Size || f.Content.ID.IsZero():
		return badFileSize
	case f.Width < 0 || f.Height < 0 || f.Width > MaxPictureSide || f.Height > MaxPictureSide:
		return badFileWidth
	}
	return nil
}

// Upload is an upload under way, which clients call UploadSession. What has arrived is kept in
// parts, so that any edge can take the next part.
type Upload struct {
	ID         UploadID  `cbor:"1,keyasint" json:"id" db:"id"`
	Type       string    `cbor:"2,keyasint" json:"type" db:"type" max:"16"`
	CreateAt   int64     `cbor:"3,keyasint" json:"create_at" db:"create_at"`
	UserID     UserID    `cbor:"4,keyasint" json:"user_id" db:"user_id"`
	ChannelID  ChannelID `cbor:"5,keyasint" json:"channel_id" db:"channel_id"`
	Filename   string    `cbor:"6,keyasint" json:"filename" db:"filename" runes:"256"`
	FileSize   int64     `cbor:"7,keyasint" json:"file_size" db:"file_size"`
	FileOffset int64     `cbor:"8,keyasint,omitempty" json:"file_offset" db:"file_offset"` // where the next part begins
	Parts      []BlobRef `cbor:"9,keyasint,omitempty" json:"-" db:"parts" max:"4096"`      // in order
	DeleteAt   int64     `cbor:"10,keyasint,omitempty" json:"-" db:"delete_at"`            // when it was over: finished, or dropped
}

// What Check refuses of an upload.
var (
	badUploadID       = Refusal{Kind: KindInvalid, ID: "model.upload_session.is_valid.id.app_error"}
	badUploadType     = Refusal{Kind: KindInvalid, ID: "model.upload_session.is_valid.type.app_error"}
	badUploadFilename = Refusal{Kind: KindInvalid, ID: "model.upload_session.is_valid.filename.app_error"}
	badUploadFileSize = Refusal{Kind: KindInvalid, ID: "model.upload_session.is_valid.file_size.app_error"}
)

// Check validates the fields that a client sets.
func (u *Upload) Check() error {
	switch {
	case u.ID.IsZero():
		return badUploadID
	case u.Type != UploadAttachment:
		return badUploadType
	case u.Filename == "" || over(u.Filename, MaxFileName) || strings.ContainsAny(u.Filename, "/\\"):
		return badUploadFilename
	case !ValidName(u.Filename):
		return badUploadFilename.With("reason", "characters")
	case u.FileSize < 0 || u.FileSize > MaxFileBytes:
		return badUploadFileSize
	}
	return nil
}
