package event

import "github.com/nearside/nearside/core"

// BookmarkChanged is a bookmark of a channel that was created, updated or deleted: Change says which.
type BookmarkChanged struct {
	Change   string
	Bookmark core.Bookmark
	Deleted  core.Bookmark // in whose place an updated one is, if any
}

func (e BookmarkChanged) Name() string   { return "channel_bookmark_" + e.Change }
func (e BookmarkChanged) To() []Audience { return toChannel(e.Bookmark.ChannelID) }
func (e BookmarkChanged) Write(d *Data, _ *Audience) {
	if e.Change == "updated" {
		d.JSON("bookmarks", core.BookmarkUpdate{Updated: e.Bookmark, Deleted: e.Deleted})
		return
	}
	d.JSON("bookmark", &e.Bookmark)
}
func (BookmarkChanged) ForOthers() {}

// BookmarksSorted is all bookmarks of a channel in their new order.
type BookmarksSorted struct {
	Channel   core.ChannelID
	Bookmarks []core.Bookmark
}

func (BookmarksSorted) Name() string                 { return "channel_bookmark_sorted" }
func (e BookmarksSorted) To() []Audience             { return toChannel(e.Channel) }
func (e BookmarksSorted) Write(d *Data, _ *Audience) { d.JSON("bookmarks", e.Bookmarks) }
func (BookmarksSorted) ForOthers()                   {}
