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

// bookmarking gives the caller and a channel, if the caller has the permission for what is done with
// its bookmarks: add, edit, order or delete. The permission also depends on the type of the channel.
func (x *exec) bookmarking(id core.ChannelID, what string) (core.User, core.Channel, error) {
	return x.channelFor(id, authz.Permission(what+"_bookmark_public_channel"), authz.Permission(what+"_bookmark_private_channel"))
}

// bookmark is bookmarking for one of the channel's bookmarks.
func (x *exec) bookmark(ch core.ChannelID, id core.BookmarkID, what string) (core.User, core.Bookmark, error) {
	u, _, err := x.bookmarking(ch, what)
	b, ok := Bookmarks.Live(x, id)
	if err == nil && (!ok || b.ChannelID != ch) {
		err = noBookmark
	}
	return u, b, err
}

func createBookmark(x *exec, c *command.CreateBookmark) (any, error) {
	u, ch, err := x.bookmarking(c.Bookmark.ChannelID, "add")
	if err != nil {
		return nil, err
	}
	b, n := c.Bookmark, len(bookmarksOf.List(x, ch.ID))
	if n == core.MaxBookmarks {
		return nil, tooManyBookmarks
	}
	b.ID, b.OwnerID, b.CreateAt, b.UpdateAt, b.DeleteAt, b.SortOrder = core.BookmarkID(x.mint()), u.ID, x.now, x.now, 0, int64(n)
	if err := x.checkBookmark(u, b, core.FileID{}); err != nil {
		return nil, err
	}
	Bookmarks.Insert(x, b)
	x.emit(event.BookmarkChanged{Change: "created", Bookmark: x.withFile(b)})
	return command.Made{ID: core.PostID(b.ID)}, nil
}

// checkBookmark checks a bookmark and attaches its file, as for a post, if it is not the one it had.
func (x *exec) checkBookmark(u core.User, b core.Bookmark, was core.FileID) error {
	if err := b.Check(); err != nil || b.FileID == was {
		return err
	}
	_, err := x.attach(u, core.Post{ID: core.PostID(b.ID), UserID: u.ID, ChannelID: b.ChannelID}, []core.FileID{b.FileID})
	return err
}

func (x *exec) withFile(b core.Bookmark) core.Bookmark {
	if f, ok := Files.Live(x, b.FileID); ok {
		b.File = &f
	}
	return b
}

func patchBookmark(x *exec, c *command.PatchBookmark) (any, error) {
	u, was, err := x.bookmark(c.ChannelID, c.BookmarkID, "edit")
	if err != nil {
		return nil, err
	}
	b, deleted := was, core.Bookmark{}
	setBookmark(&b, &c.BookmarkPatch)
	if b.FileID != was.FileID {
		b.ID, b.OwnerID, b.CreateAt = core.BookmarkID(x.mint()), u.ID, x.now
		deleted = x.archiveBookmark(was)
	}
	if err := x.checkBookmark(u, b, was.FileID); err != nil {
		return nil, err
	}
	b = x.withFile(Bookmarks.Save(x, b))
	x.emit(event.BookmarkChanged{Change: "updated", Bookmark: b, Deleted: deleted})
	return command.Made{ID: core.PostID(b.ID)}, nil
}

func sortBookmark(x *exec, c *command.SortBookmark) (any, error) {
	_, b, err := x.bookmark(c.ChannelID, c.BookmarkID, "order")
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
	_, b, err := x.bookmark(c.ChannelID, c.BookmarkID, "delete")
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
