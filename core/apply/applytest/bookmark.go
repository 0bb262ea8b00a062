package applytest

import (
	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/apply"
	"github.com/nearside/nearside/core/command"
)

// bookmarkCommand makes a command about the bookmarks of a channel.
func (c *Chaos) bookmarkCommand(who int, room core.ChannelID) command.Command {
	b := core.Bookmark{ChannelID: room, DisplayName: c.word(), Type: "link", LinkURL: "https://example.com/" + c.word()}
	if c.rnd.IntN(4) == 0 {
		b.Type, b.LinkURL, b.FileID = "file", "", pick(c, append(c.someFiles(who, room), core.FileID{}))
	}
	var of []core.BookmarkID
	for _, row := range c.Model.Rows(apply.Bookmarks.Shape) {
		if b := (*core.Bookmark)(row); b.ChannelID == room {
			of = append(of, b.ID)
		}
	}
	if len(of) == 0 {
		return &command.CreateBookmark{Bookmark: b}
	}
	switch id := pick(c, of); c.rnd.IntN(5) {
	case 0:
		return &command.PatchBookmark{ChannelID: room, BookmarkID: id, BookmarkPatch: core.BookmarkPatch{DisplayName: &b.DisplayName, Emoji: c.opt()}}
	case 1:
		return &command.SortBookmark{ChannelID: room, BookmarkID: id, Place: int64(c.rnd.IntN(3))}
	case 2:
		return &command.DeleteBookmark{ChannelID: room, BookmarkID: id}
	}
	return &command.CreateBookmark{Bookmark: b}
}
