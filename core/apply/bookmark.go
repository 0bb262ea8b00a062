package apply

import (
	"slices"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/authz"
	"github.com/nearside/nearside/core/command"
	"github.com/nearside/nearside/core/event"
	"github.com/nearside/nearside/core/schema"
)

// Bookmarks is the links and files at the top of channels.
var (
	Bookmarks   = table[core.BookmarkID, core.Bookmark]("bookmarks", "id")
	setBookmark = schema.PatchOf[core.BookmarkPatch, core.Bookmark]()
	bookmarksOf = index[core.ChannelID](Bookmarks, []string{"channel_id"}, schema.OrderBy("sort_order", "create_at"),
		schema.WhereZero("delete_at"), schema.AtMost(core.MaxBookmarks))

	noBookmark       = core.Refusal{Kind: core.KindNotFound, ID: "app.channel.bookmark.get.app_error"}
	tooManyBookmarks = core.Refusal{Kind: core.KindInvalid, ID: "app.channel.bookmark.save.limit.app_error"}
	noSuchPlace      = core.Refusal{Kind: core.KindInvalid, ID: "app.channel.bookmark.update_sort.app_error"}
)

// bookmark gives the caller and a bookmark of a channel, if the caller has the permission there.
func (x *exec) bookmark(ch core.ChannelID, id core.BookmarkID, p authz.Permission) (core.User, core.Bookmark, error) {
	u, _, err := x.channelFor(ch, p)
	b, ok := Bookmarks.Live(x, id)
	if err == nil && (!ok || b.ChannelID != ch) {
		err = noBookmark
	}
	return u, b, err
}

func createBookmark(x *exec, c *command.CreateBookmark) (any, error) {
	in := c.Bookmark
	u, ch, err := x.channelFor(in.ChannelID, "add_bookmark_public_channel")
	if err != nil {
		return nil, err
	}
	n := len(bookmarksOf.List(x, ch.ID))
	if n == core.MaxBookmarks {
		return nil, tooManyBookmarks
	}
	b := core.Bookmark{
		ID: core.BookmarkID(x.mint()), CreateAt: x.now, ChannelID: ch.ID, OwnerID: u.ID, FileID: in.FileID, DisplayName: in.DisplayName,
		SortOrder: int64(n), LinkURL: in.LinkURL, ImageURL: in.ImageURL, Emoji: in.Emoji, Type: in.Type,
	}
	return x.putBookmark(u, b, core.FileID{}, event.BookmarkChanged{Change: "created"})
}

func patchBookmark(x *exec, c *command.PatchBookmark) (any, error) {
	u, was, err := x.bookmark(c.ChannelID, c.BookmarkID, "edit_bookmark_public_channel")
	if err != nil {
		return nil, err
	}
	b, e := was, event.BookmarkChanged{Change: "updated"}
	setBookmark(&b, &c.BookmarkPatch)
	if b.FileID != was.FileID {
		b.ID, b.OwnerID, b.CreateAt = core.BookmarkID(x.mint()), u.ID, x.now
		e.Deleted = x.archiveBookmark(was)
	}
	return x.putBookmark(u, b, was.FileID, e)
}

// putBookmark writes a bookmark and announces it. A file that it did not have is attached to it as to a post.
func (x *exec) putBookmark(u core.User, b core.Bookmark, had core.FileID, e event.BookmarkChanged) (any, error) {
	if err := b.Check(); err != nil {
		return nil, err
	}
	if b.FileID != had {
		if _, err := x.attach(u, core.Post{ID: core.PostID(b.ID), UserID: u.ID, ChannelID: b.ChannelID}, []core.FileID{b.FileID}); err != nil {
			return nil, err
		}
	}
	e.Bookmark = x.withFile(Bookmarks.Save(x, b))
	x.emit(e)
	return command.Made{ID: core.PostID(b.ID)}, nil
}

func (x *exec) withFile(b core.Bookmark) core.Bookmark {
	if f, ok := Files.Live(x, b.FileID); ok {
		b.File = &f
	}
	return b
}

func sortBookmark(x *exec, c *command.SortBookmark) (any, error) {
	_, b, err := x.bookmark(c.ChannelID, c.BookmarkID, "order_bookmark_public_channel")
	if err != nil {
		return nil, err
	}
	list := bookmarksOf.List(x, b.ChannelID)
	if c.Place < 0 || c.Place >= int64(len(list)) {
		return nil, noSuchPlace
	}
	list = slices.Insert(slices.DeleteFunc(list, func(o core.Bookmark) bool { return o.ID == b.ID }), int(c.Place), b)
	x.emit(event.BookmarksSorted{Channel: b.ChannelID, Bookmarks: x.renumber(list)})
	return nil, nil
}

// renumber writes the place of each bookmark of a list.
func (x *exec) renumber(list []core.Bookmark) []core.Bookmark {
	for i, b := range list {
		if b.SortOrder != int64(i) {
			b.SortOrder = int64(i)
			b = Bookmarks.Save(x, b)
		}
		list[i] = x.withFile(b)
	}
	return list
}

func deleteBookmark(x *exec, c *command.DeleteBookmark) (any, error) {
	_, b, err := x.bookmark(c.ChannelID, c.BookmarkID, "delete_bookmark_public_channel")
	if err != nil {
		return nil, err
	}
	x.emit(event.BookmarkChanged{Change: "deleted", Bookmark: x.archiveBookmark(b)})
	x.renumber(bookmarksOf.List(x, b.ChannelID))
	return nil, nil
}

// archiveBookmark deletes a bookmark and its file.
func (x *exec) archiveBookmark(b core.Bookmark) core.Bookmark {
	b = Bookmarks.Archive(x, x.withFile(b))
	x.deleteFiles([]core.FileID{b.FileID})
	return b
}
