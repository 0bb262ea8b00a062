package command

import "github.com/nearside/nearside/core"

// CreateBookmark adds a bookmark after the others of its channel. Result: Made.
type CreateBookmark struct {
	Bookmark core.Bookmark `cbor:"1,keyasint"` // channel, name, type, link, picture, emoji and file; the rest is decided by apply
}

// PatchBookmark changes a bookmark of a channel. If the file changes, it makes a new bookmark in its place.
// Result: Made.
type PatchBookmark struct {
	ChannelID  core.ChannelID  `cbor:"1,keyasint"`
	BookmarkID core.BookmarkID `cbor:"2,keyasint"`
	core.BookmarkPatch
}

// SortBookmark moves a bookmark to a place among those of its channel, counted from 0.
type SortBookmark struct {
	ChannelID  core.ChannelID  `cbor:"1,keyasint"`
	BookmarkID core.BookmarkID `cbor:"2,keyasint"`
	Place      int64           `cbor:"3,keyasint"`
}

// DeleteBookmark deletes a bookmark and its file.
type DeleteBookmark struct {
	ChannelID  core.ChannelID  `cbor:"1,keyasint"`
	BookmarkID core.BookmarkID `cbor:"2,keyasint"`
}
