package replica_test

import (
	"reflect"
	"strings"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/apply"
	"github.com/nearside/nearside/core/command"
)

func init() {
	moreCases = append(moreCases, bookmarkCases)
	alone = append(alone, reflect.TypeFor[command.PatchBookmark]())
	worstKinds["many bookmarks"] = manyBookmarks
	filled = append(filled, func(h *hostile) {
		for range core.MaxBookmarks - 5 {
			attempts["create bookmark"](h)
		}
	})
	attempts["create bookmark"] = func(h *hostile) {
		i := h.somebody()
		h.do(i, &command.CreateBookmark{Bookmark: core.Bookmark{ChannelID: h.log.room, FileID: h.newFiles(i, 1)[0], DisplayName: "B", Type: "file"}})
	}
	attempts["sort bookmarks"] = func(h *hostile) {
		b := h.bookmark()
		h.do(h.somebody(), &command.SortBookmark{ChannelID: h.log.room, BookmarkID: b.ID, Place: int64(h.rnd.IntN(2)) * 49})
	}
	attempts["delete bookmark"] = func(h *hostile) {
		h.do(h.somebody(), &command.DeleteBookmark{ChannelID: h.log.room, BookmarkID: h.bookmark().ID})
	}
}

func (h *hostile) bookmark() core.Bookmark {
	return some(h, apply.Bookmarks, func(b *core.Bookmark) bool { return b.DeleteAt == 0 })
}

// bookmarkCases are about one bookmark of a new channel.
func bookmarkCases(w *town) map[reflect.Type]tripsCase {
	word := "word"
	marks := map[int]core.BookmarkID{}
	create := func(i int) core.Entry {
		e := w.Entry(w.by, &command.CreateBookmark{Bookmark: core.Bookmark{ChannelID: w.rooms[i], DisplayName: "B", Type: "link", LinkURL: "https://example.com"}})
		var made command.Made
		if err := command.DecodeOutcome(w.Model.Receipts[e.Index].Outcome, &made); err != nil {
			panic(err)
		}
		marks[i] = core.BookmarkID(made.ID)
		return e
	}
	with := func(do func(i int) command.Command) tripsCase {
		return tripsCase{
			ready: func(i int) []core.Entry { return []core.Entry{w.newRoom(i), create(i)} },
			do:    func(i int) core.Entry { return w.Entry(w.by, do(i)) },
		}
	}
	return map[reflect.Type]tripsCase{
		reflect.TypeFor[command.CreateBookmark](): {ready: func(i int) []core.Entry { return []core.Entry{w.newRoom(i)} }, do: create},
		reflect.TypeFor[command.PatchBookmark](): with(func(i int) command.Command {
			return &command.PatchBookmark{ChannelID: w.rooms[i], BookmarkID: marks[i], BookmarkPatch: core.BookmarkPatch{DisplayName: &word}}
		}),
		reflect.TypeFor[command.SortBookmark](): with(func(i int) command.Command {
			return &command.SortBookmark{ChannelID: w.rooms[i], BookmarkID: marks[i]}
		}),
		reflect.TypeFor[command.DeleteBookmark](): with(func(i int) command.Command {
			return &command.DeleteBookmark{ChannelID: w.rooms[i], BookmarkID: marks[i]}
		}),
	}
}

func manyBookmarks(w *town, shape uint64, scale float64) (ready []core.Entry, e core.Entry) {
	var last core.BookmarkID
	for range upTo(core.MaxBookmarks, scale) {
		f := w.file(id[core.File](w.log))
		f.MiniPreview = make([]byte, core.MaxMiniPreview)
		ready = append(ready, w.Entry(w.people[1], &command.CreateFile{File: f, Text: strings.Repeat("x", core.MaxFileText)}))
		e := w.Entry(w.people[1], &command.CreateBookmark{Bookmark: core.Bookmark{ChannelID: w.log.room, FileID: f.ID, DisplayName: "B", Type: "file"}})
		var made command.Made
		if command.DecodeOutcome(w.Model.Receipts[e.Index].Outcome, &made) == nil {
			last = core.BookmarkID(made.ID)
		}
		ready = append(ready, e)
	}
	return ready, w.Entry(w.people[1], &command.SortBookmark{ChannelID: w.log.room, BookmarkID: last, Place: 0})
}
