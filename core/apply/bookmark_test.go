package apply_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/apply"
	"github.com/nearside/nearside/core/apply/applytest"
	"github.com/nearside/nearside/core/command"
	"github.com/nearside/nearside/core/event"
)

func init() {
	applytest.Nouns = append(applytest.Nouns, applytest.Noun{Name: "bookmarks", Make: bookmarkCommand})
}

// bookmarkCommand makes a command about the bookmarks of a channel.
func bookmarkCommand(c *applytest.Chaos, who int, room core.ChannelID) command.Command {
	b := core.Bookmark{ChannelID: room, DisplayName: c.Word(), Type: "link", LinkURL: "https://example.com/" + c.Word()}
	if c.Rnd.IntN(4) == 0 {
		b.Type, b.LinkURL, b.FileID = "file", "", applytest.Pick(c, append(c.SomeFiles(who, room), core.FileID{}))
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
	emoji := c.Emoji()
	switch id := applytest.Pick(c, of); c.Rnd.IntN(5) {
	case 0:
		return &command.PatchBookmark{ChannelID: room, BookmarkID: id, BookmarkPatch: core.BookmarkPatch{DisplayName: &b.DisplayName, Emoji: &emoji}}
	case 1:
		return &command.SortBookmark{ChannelID: room, BookmarkID: id, Place: int64(c.Rnd.IntN(3))}
	case 2:
		return &command.DeleteBookmark{ChannelID: room, BookmarkID: id}
	}
	return &command.CreateBookmark{Bookmark: b}
}

func (w *world) bookmark(by string, ch core.ChannelID, name string) core.BookmarkID {
	w.Helper()
	var made command.Made
	w.must(by, &command.CreateBookmark{Bookmark: core.Bookmark{ChannelID: ch, DisplayName: name, Type: "link", LinkURL: "https://example.com/" + name}}, &made)
	return core.BookmarkID(made.ID)
}

// bookmarks gives the names of a channel's bookmarks by their places.
func (w *world) bookmarks(ch core.ChannelID) []string {
	out := make([]string, 0)
	at := map[int64]string{}
	for _, row := range w.store.Rows(apply.Bookmarks.Shape) {
		if b := (*core.Bookmark)(row); b.ChannelID == ch && b.DeleteAt == 0 {
			at[b.SortOrder] = b.DisplayName
		}
	}
	for i := range len(at) {
		out = append(out, at[int64(i)])
	}
	return out
}

// Bookmarks have places from 0 without gaps after every move and deletion, and every change is announced.
func TestBookmarks_Order(t *testing.T) {
	w := newWorld(t)
	w.person("ada")
	_, town := w.team("ada")
	var ids []core.BookmarkID
	for _, name := range []string{"a", "b", "c", "d"} {
		ids = append(ids, w.bookmark("ada", town, name))
		w.announced("channel_bookmark_created")
	}
	want := func(names ...string) {
		t.Helper()
		if d := cmp.Diff(names, w.bookmarks(town)); d != "" {
			t.Errorf("order (-want +got):\n%s", d)
		}
	}
	move := func(n int, to int64) *command.SortBookmark {
		return &command.SortBookmark{ChannelID: town, BookmarkID: ids[n], Place: to}
	}
	w.must("ada", move(3, 0), nil)
	w.announced("channel_bookmark_sorted")
	want("d", "a", "b", "c")
	w.must("ada", move(0, 3), nil)
	want("d", "b", "c", "a")
	w.must("ada", &command.DeleteBookmark{ChannelID: town, BookmarkID: ids[1]}, nil)
	w.announced("channel_bookmark_deleted")
	want("d", "c", "a")
	w.refused("ada", move(0, 3), core.KindInvalid)
	w.refused("ada", move(0, -1), core.KindInvalid)
	w.refused("ada", move(1, 0), core.KindNotFound)
	name := "z"
	w.must("ada", &command.PatchBookmark{ChannelID: town, BookmarkID: ids[0], BookmarkPatch: core.BookmarkPatch{DisplayName: &name}}, nil)
	w.announced("channel_bookmark_updated")
	want("d", "c", "z")
}

// Callers without permission, invalid bookmarks and one bookmark too many are refused.
func TestBookmarks_Refusals(t *testing.T) {
	w := newWorld(t)
	w.person("ada")
	w.person("eve")
	team, town := w.team("ada")
	link := func(change func(*core.Bookmark)) *command.CreateBookmark {
		b := core.Bookmark{ChannelID: town, DisplayName: "x", Type: "link", LinkURL: "https://example.com"}
		change(&b)
		return &command.CreateBookmark{Bookmark: b}
	}
	w.refused("eve", link(func(*core.Bookmark) {}), core.KindForbidden)
	for _, change := range []func(*core.Bookmark){
		func(b *core.Bookmark) { b.DisplayName = "" },
		func(b *core.Bookmark) { b.LinkURL = "javascript:alert(1)" },
		func(b *core.Bookmark) { b.LinkURL = "" },
		func(b *core.Bookmark) { b.ImageURL = "file:///etc/passwd" },
		func(b *core.Bookmark) { b.Emoji = "no emoji" },
		func(b *core.Bookmark) { b.Type = "board" },
		func(b *core.Bookmark) { b.FileID = core.FileID{1} },
		func(b *core.Bookmark) { b.Type, b.LinkURL, b.FileID = "file", "", core.FileID{1} },
	} {
		w.refused("ada", link(change), core.KindInvalid)
	}
	id := w.bookmark("ada", town, "mine")
	off, _ := w.channelNamed(apply.TeamName{Team: team.ID, Name: core.OffTopic})
	w.refused("ada", &command.DeleteBookmark{ChannelID: off, BookmarkID: id}, core.KindNotFound)
	for i := range core.MaxBookmarks - 1 {
		w.bookmark("ada", town, fmt.Sprint(i))
	}
	w.refused("ada", link(func(*core.Bookmark) {}), core.KindInvalid)
}

// A file belongs to its bookmark as it would to a post: it cannot be used twice, and its bytes are
// released with the bookmark.
func TestBookmarks_File(t *testing.T) {
	w, town := two(t)
	f := w.file("bob", town, "rules")
	mark := &command.CreateBookmark{Bookmark: core.Bookmark{ChannelID: town, DisplayName: "Rules", Type: "file", FileID: f.ID}}
	w.refused("ada", mark, core.KindInvalid)
	var made command.Made
	w.must("bob", mark, &made)
	w.refused("bob", mark, core.KindInvalid)
	if w.refs("rules") != 1 || w.stored(f.ID).PostID != made.ID {
		t.Errorf("%d references, in %v", w.refs("rules"), w.stored(f.ID).PostID)
	}
	w.must("bob", &command.DeleteBookmark{ChannelID: town, BookmarkID: core.BookmarkID(made.ID)}, nil)
	if w.refs("rules") != 0 {
		t.Error("the bytes stay")
	}
}

// If the file changes, the bookmark is deleted with its old file and a new one takes its place. Both are
// announced as one update.
func TestBookmarks_OtherFile(t *testing.T) {
	w, town := two(t)
	w.bookmark("bob", town, "first")
	old, next := w.file("bob", town, "rules"), w.file("ada", town, "new rules")
	var made, updated command.Made
	w.must("bob", &command.CreateBookmark{Bookmark: core.Bookmark{ChannelID: town, DisplayName: "Rules", Type: "file", FileID: old.ID}}, &made)
	w.bookmark("bob", town, "last")
	patch := &command.PatchBookmark{ChannelID: town, BookmarkID: core.BookmarkID(made.ID), BookmarkPatch: core.BookmarkPatch{FileID: &next.ID}}
	w.refused("bob", patch, core.KindInvalid) // it is not his file
	w.must("ada", patch, &updated)
	w.announced("channel_bookmark_updated")
	ev := w.events[0].(event.BookmarkChanged)
	if d := ev.Deleted; d.ID != core.BookmarkID(made.ID) || d.DeleteAt == 0 || d.File == nil || d.File.ID != old.ID {
		t.Errorf("deleted: %+v", d)
	}
	if b := ev.Bookmark; b.ID != core.BookmarkID(updated.ID) || b.ID == ev.Deleted.ID || b.DeleteAt != 0 || b.File == nil || b.File.ID != next.ID {
		t.Errorf("updated: %+v", b)
	}
	if w.refs("rules") != 0 || w.refs("new rules") != 1 || w.stored(next.ID).PostID != updated.ID {
		t.Error("the bytes of the old file stay, or those of the new one do not")
	}
	if d := cmp.Diff([]string{"first", "Rules", "last"}, w.bookmarks(town)); d != "" {
		t.Errorf("order (-want +got):\n%s", d)
	}
	w.refused("ada", patch, core.KindNotFound)
}
