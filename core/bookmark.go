package core

import (
	"net/url"
	"strings"
)

// MaxBookmarks is how many bookmarks a channel has at most. This limit and those below are those of existing servers.
const MaxBookmarks = 50

// BookmarkID is the id of a bookmark.
type BookmarkID = ID[Bookmark]

// Bookmark is a link or a file at the top of a channel.
type Bookmark struct {
	ID          BookmarkID `cbor:"1,keyasint" json:"id" db:"id"`
	CreateAt    int64      `cbor:"2,keyasint" json:"create_at" db:"create_at"`
	UpdateAt    int64      `cbor:"3,keyasint" json:"update_at" db:"update_at"`
	DeleteAt    int64      `cbor:"4,keyasint,omitempty" json:"delete_at" db:"delete_at"`
	ChannelID   ChannelID  `cbor:"5,keyasint" json:"channel_id" db:"channel_id"`
	OwnerID     UserID     `cbor:"6,keyasint" json:"owner_id" db:"owner_id"`
	FileID      FileID     `cbor:"7,keyasint" json:"file_id" db:"file_id"`
	DisplayName string     `cbor:"8,keyasint" json:"display_name" db:"display_name" runes:"64"`
	SortOrder   int64      `cbor:"9,keyasint,omitempty" json:"sort_order" db:"sort_order"` // from 0, without gaps
	LinkURL     string     `cbor:"10,keyasint,omitempty" json:"link_url,omitempty" db:"link_url" max:"1024"`
	ImageURL    string     `cbor:"11,keyasint,omitempty" json:"image_url,omitempty" db:"image_url" max:"1024"`
	Emoji       string     `cbor:"12,keyasint,omitempty" json:"emoji,omitempty" db:"emoji" max:"64"`
	Type        string     `cbor:"13,keyasint" json:"type" db:"type" max:"8"`
	File        *File      `cbor:"-" json:"file,omitempty"` // joined for the reader; never stored
}

// BookmarkPatch is what may change in a bookmark. A nil field stays as it is.
type BookmarkPatch struct {
	FileID      *FileID `cbor:"3,keyasint,omitempty" json:"file_id"`
	DisplayName *string `cbor:"4,keyasint,omitempty" json:"display_name"`
	LinkURL     *string `cbor:"5,keyasint,omitempty" json:"link_url"`
	ImageURL    *string `cbor:"6,keyasint,omitempty" json:"image_url"`
	Emoji       *string `cbor:"7,keyasint,omitempty" json:"emoji"`
}

// BookmarkUpdate is the result of a patch. If the file changes, there is a new bookmark in the place of the old
// one, which is deleted.
type BookmarkUpdate struct {
	Updated Bookmark `json:"updated"`
	Deleted Bookmark `json:"deleted,omitzero"`
}

var (
	badBookmarkName  = Refusal{Kind: KindInvalid, ID: "model.channel_bookmark.is_valid.display_name.app_error"}
	badBookmark      = Refusal{Kind: KindInvalid, ID: "model.channel_bookmark.is_valid.link_file.app_error"}
	badBookmarkEmoji = Refusal{Kind: KindInvalid, ID: "model.channel_bookmark.is_valid.emoji.app_error"}
)

// Check validates the fields that a client may set.
func (b *Bookmark) Check() error {
	link := b.Type == "link" && webURL(b.LinkURL) && b.FileID.IsZero()
	file := b.Type == "file" && b.LinkURL == "" && !b.FileID.IsZero()
	switch {
	case b.DisplayName == "" || over(b.DisplayName, 64):
		return badBookmarkName
	case !ValidName(b.DisplayName):
		return badBookmarkName.With("reason", "characters")
	case !link && !file || b.ImageURL != "" && !webURL(b.ImageURL):
		return badBookmark
	case b.Emoji != "" && !EmojiExists(strings.Trim(b.Emoji, ":")):
		return badBookmarkEmoji
	}
	return nil
}

func webURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && len(s) <= 1024 && (u.Scheme == "http" || u.Scheme == "https") && u.Host != ""
}
