package read_test

import (
	"crypto/sha256"
	"fmt"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/apply"
	"github.com/nearside/nearside/core/pg"
	"github.com/nearside/nearside/core/read"
)

// put writes rows as applying does.
func put(t *testing.T, db *pg.DB, f func(rows apply.Direct)) {
	t.Helper()
	s := pg.NewStore(db, 0)
	defer s.Drop()
	at, _, err := s.Position(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Run(t.Context(), at, nil, func() error { f(apply.Direct{Store: s}); return nil }); err != nil {
		t.Fatal(err)
	}
	at.Index++
	if err := s.Commit(t.Context(), at, time.UnixMilli(1_800_000_000_000)); err != nil {
		t.Fatal(err)
	}
}

func ref(text string) core.BlobRef {
	return core.BlobRef{ID: sha256.Sum256([]byte(text)), Size: int64(len(text))}
}

// drawers is a deployment with two teams and their channels; bob is a member of some of them.
type drawers struct {
	*testing.T
	s                          *read.Store
	db                         *pg.DB
	ann, bob                   core.UserID
	crew, other                core.TeamID
	town, secret, old, far, dm core.ChannelID
	n                          int64
}

func newDrawers(t *testing.T) *drawers {
	s, db := store(t)
	d := &drawers{
		T: t, s: s, db: db, ann: id[core.User]("ann"), bob: id[core.User]("bob"), crew: id[core.Team]("crew"), other: id[core.Team]("other"),
		town: id[core.Channel]("town"), secret: id[core.Channel]("secret"), old: id[core.Channel]("old"), far: id[core.Channel]("far"), dm: id[core.Channel]("dm"),
	}
	put(t, db, func(rows apply.Direct) {
		for ch, team := range map[core.ChannelID]core.TeamID{d.town: d.crew, d.secret: d.crew, d.old: d.crew, d.far: d.other, d.dm: {}} {
			c := core.Channel{ID: ch, TeamID: team, Type: core.ChannelPrivate, Name: ch.String()}
			if ch == d.old {
				c.DeleteAt = 1
			}
			apply.Channels.Put(rows, c)
			apply.ChannelMembers.Put(rows, core.ChannelMember{ChannelID: ch, UserID: d.ann, TeamID: team})
			if ch != d.secret {
				apply.ChannelMembers.Put(rows, core.ChannelMember{ChannelID: ch, UserID: d.bob, TeamID: team})
			}
		}
	})
	return d
}

// file adds a file of a post; each file is newer than the one before.
func (d *drawers) file(ch core.ChannelID, by core.UserID, name, text string, change ...func(*core.File)) core.File {
	d.Helper()
	d.n++
	ext := strings.TrimPrefix(path.Ext(name), ".")
	f := core.File{
		ID: id[core.File](fmt.Sprint(d.n)), UserID: by, PostID: id[core.Post](fmt.Sprint(d.n)), ChannelID: ch, CreateAt: d.n * 10, UpdateAt: d.n * 10,
		Name: name, Extension: ext, Size: 100, Content: ref(name),
	}
	for _, c := range change {
		c(&f)
	}
	put(d.T, d.db, func(rows apply.Direct) {
		apply.Files.Put(rows, f)
		if text != "" {
			apply.FileTexts.Put(rows, apply.FileText{File: f.ID, Text: text})
		}
	})
	return f
}

func (d *drawers) search(q read.FileQuery) string {
	d.Helper()
	if q.User.IsZero() {
		q.User = d.bob
	}
	if q.Page.Size == 0 {
		q.Page.Size = 100
	}
	list, err := d.s.SearchFiles(d.T.Context(), q)
	if err != nil {
		d.Fatalf("%+v: %v", q, err)
	}
	var names []string
	for _, f := range list {
		names = append(names, f.Name)
	}
	return strings.Join(names, " ")
}

func words(list ...string) []string { return list }

func TestSearchFiles(t *testing.T) {
	// A search finds files by the beginnings of the words of a name, or by whole words of the text, newest
	// first, and every filter works.
	d := newDrawers(t)
	d.file(d.town, d.ann, "Quarter_report-2026.final.pdf", "the money we made, see https://example.com/numbers")
	d.file(d.town, d.bob, "notes.txt", "a report on whales; don't panic")
	d.file(d.dm, d.bob, "größe.PNG", "")
	d.file(d.far, d.ann, "map.png", "")
	d.file(d.old, d.ann, "legacy.doc", "report")
	const report, notes, size, mapPNG, legacy = "Quarter_report-2026.final.pdf", "notes.txt", "größe.PNG", "map.png", "legacy.doc"
	for _, c := range []struct {
		want string
		q    read.FileQuery
	}{
		{notes + " " + report, read.FileQuery{Terms: words("report")}},
		{notes + " " + report, read.FileQuery{Terms: words("REPORT")}},
		{legacy + " " + notes + " " + report, read.FileQuery{Terms: words("report"), IncludeArchived: true}},
		{report, read.FileQuery{Terms: words("quart")}},
		{report, read.FileQuery{Terms: words("2026", "final")}},
		{report, read.FileQuery{Terms: words("quarter_report-2026.final.pdf")}},
		{"", read.FileQuery{Terms: words("quarter final")}}, // not in a row
		{report, read.FileQuery{Terms: words("quarter report")}},
		{"", read.FileQuery{Terms: words("whal")}}, // in texts, only whole words are found
		{notes, read.FileQuery{Terms: words("whal*")}},
		{"", read.FileQuery{Terms: words("report whales"), Any: true}},
		{notes, read.FileQuery{Terms: words("on whales")}},
		{notes, read.FileQuery{Terms: words("don't")}},
		{report, read.FileQuery{Terms: words("example.com")}},
		{report, read.FileQuery{Terms: words("numbers")}},
		{mapPNG + " " + notes, read.FileQuery{Terms: words("whales", "map"), Any: true}},
		{"", read.FileQuery{Terms: words("whales", "map")}},
		{size, read.FileQuery{Terms: words("größe")}},
		{report, read.FileQuery{Terms: words("report"), Excluded: words("whales")}},
		{notes, read.FileQuery{Terms: words("report"), Excluded: words("quarter")}},
		{mapPNG + " " + size, read.FileQuery{Excluded: words("report")}},
		{"", read.FileQuery{Terms: words("*")}},
		{"", read.FileQuery{Terms: words("'", "!&|<->():*", "\\")}},
		{report, read.FileQuery{Terms: words("'quarter' & | !", "(")}},
		{notes, read.FileQuery{Terms: words("report"), From: []core.UserID{d.bob}}},
		{report, read.FileQuery{Terms: words("report"), NotFrom: []core.UserID{d.bob}}},
		{size, read.FileQuery{In: []core.ChannelID{d.dm}}},
		{mapPNG + " " + size, read.FileQuery{NotIn: []core.ChannelID{d.town}}},
		{mapPNG, read.FileQuery{Ext: words("png")}},
		{mapPNG + " " + notes, read.FileQuery{Ext: words("PNG", ".txt")}},
		{size + " " + notes, read.FileQuery{NotExt: words("png", "pdf")}},
		{size + " " + notes, read.FileQuery{After: 20, Before: 40}},
		{size + " " + notes + " " + report, read.FileQuery{Team: d.crew}},
		{mapPNG + " " + size, read.FileQuery{Team: d.other}},
		{size, read.FileQuery{Page: read.Page{Number: 1, Size: 1}}},
		{"", read.FileQuery{User: id[core.User]("nobody")}},
	} {
		if got := d.search(c.q); got != c.want {
			t.Errorf("%+v:\nfound %q\nwant  %q", c.q, got, c.want)
		}
	}
	rows := []string{strings.Repeat("a ", 64)}
	if got := d.search(read.FileQuery{Terms: rows, Excluded: rows}); got != "" {
		t.Errorf("the longest search found %q", got)
	}
	long := strings.Repeat("x", 5000)
	for _, terms := range [][]string{{long}, slices.Repeat([]string{"x"}, 65), {strings.Repeat("x ", 65)}} {
		if _, err := d.s.SearchFiles(t.Context(), read.FileQuery{User: d.bob, Terms: terms, Page: read.Page{Size: 1}}); core.KindOf(err) != core.KindInvalid {
			t.Errorf("%d terms: %v", len(terms), err)
		}
	}
}

func TestSearchFiles_OnlyWhatOneMaySee(t *testing.T) {
	// No search finds files of channels that the user is not in, of no post, or deleted.
	d := newDrawers(t)
	d.file(d.secret, d.ann, "plan.txt", "plan")
	d.file(d.secret, d.bob, "plan mine.txt", "plan") // before bob was removed
	d.file(d.town, d.bob, "plan loose.txt", "plan", func(f *core.File) { f.PostID = core.PostID{} })
	d.file(d.town, d.bob, "plan gone.txt", "plan", func(f *core.File) { f.DeleteAt = 9 })
	for _, q := range []read.FileQuery{
		{}, {Terms: words("plan")}, {Terms: words("plan*"), Any: true, IncludeArchived: true}, {In: []core.ChannelID{d.secret}},
		{From: []core.UserID{d.ann, d.bob}}, {Team: d.crew, Excluded: words("x")}, {Ext: words("txt")},
	} {
		if got := d.search(q); got != "" {
			t.Errorf("%+v: found %q", q, got)
		}
	}
	if got := d.search(read.FileQuery{User: d.ann, Terms: words("plan")}); got != "plan mine.txt plan.txt" {
		t.Errorf("a member finds %q", got)
	}
}

func TestSearchFiles_ByIndex(t *testing.T) {
	// Names and texts are found with their indexes: queries and indexes have the same expressions.
	d := newDrawers(t)
	d.file(d.town, d.bob, "needle.txt", "needle")
	put(t, d.db, func(rows apply.Direct) {
		for i := range 3000 {
			f := core.File{ID: id[core.File](fmt.Sprint("hay", i)), PostID: core.PostID{1}, ChannelID: d.town, CreateAt: int64(i), Name: fmt.Sprint("hay ", i)}
			apply.Files.Put(rows, f)
			apply.FileTexts.Put(rows, apply.FileText{File: f.ID, Text: f.Name})
		}
	})
	fill(t, d.db, "ANALYZE")
	plan, err := pg.Query(t.Context(), d.db, read.ExplainSearch, pg.Scalar[string])
	if err != nil {
		t.Fatal(err)
	}
	for _, index := range []string{"files_name", "file_texts_words"} {
		if !strings.Contains(strings.Join(plan, "\n"), "on "+index) {
			t.Errorf("%s is not used:\n%s", index, strings.Join(plan, "\n"))
		}
	}
}

func TestFiles(t *testing.T) {
	// Files come in the order of their post, deleted ones only on request. The counts are those of the
	// files that users see.
	d := newDrawers(t)
	post := core.Post{ID: id[core.Post]("p"), ChannelID: d.town, UserID: d.bob, CreateAt: 5, UpdateAt: 5}
	in := func(f *core.File) { f.PostID = post.ID }
	gone := d.file(d.town, d.bob, "gone.txt", "", in, func(f *core.File) { f.DeleteAt = 9 })
	a, b := d.file(d.town, d.bob, "a.txt", "", in), d.file(d.town, d.bob, "b.txt", "", in)
	d.file(d.town, d.bob, "loose.txt", "", func(f *core.File) { f.PostID = core.PostID{} })
	post.FileIDs = []core.FileID{b.ID, a.ID}
	before := post
	before.ID, before.OriginalID, before.DeleteAt, before.UpdateAt, before.FileIDs = id[core.Post]("history"), post.ID, 9, 9, []core.FileID{gone.ID, a.ID}
	deleted := post
	deleted.ID, deleted.DeleteAt, deleted.UpdateAt = id[core.Post]("deleted"), 9, 9
	put(t, d.db, func(rows apply.Direct) {
		apply.Posts.Put(rows, post)
		apply.Posts.Put(rows, before)
		apply.Posts.Put(rows, deleted)
	})
	ctx := t.Context()
	check := func(what string, got []core.File, err error, want ...core.File) {
		t.Helper()
		if diff := cmp.Diff(append([]core.File{}, want...), append([]core.File{}, got...)); err != nil || diff != "" {
			t.Errorf("%s: %v %s", what, err, diff)
		}
	}
	got, err := d.s.FilesOfPost(ctx, post.ID, false)
	check("of the post", got, err, b, a)
	got, err = d.s.FilesOfPost(ctx, post.ID, true)
	check("with deleted ones", got, err, b, a, gone)
	got, err = d.s.FilesOfPost(ctx, core.PostID{}, true)
	check("of no post", got, err)
	f, ok, err := d.s.File(ctx, gone.ID)
	check("a deleted one", []core.File{f}, err, gone)
	if _, known, err := d.s.File(ctx, core.FileID{1}); known || !ok || err != nil {
		t.Error("an unknown file is known", err)
	}
	shown, _, err := d.s.Post(ctx, post.ID)
	check("with the post", shown.Metadata.Files, err, b, a)
	hidden, _, err := d.s.Post(ctx, deleted.ID)
	check("with the deleted post", hidden.Metadata.Files, err)
	history, err := d.s.History(ctx, post.ID)
	check("with the earlier text", history[0].Metadata.Files, err, gone, a)
	since, err := d.s.PostsSince(ctx, d.town, read.PostFilter{Deleted: true}, 7)
	for _, p := range since {
		if p.DeleteAt != 0 && (p.FileIDs != nil || p.Metadata.Files != nil) {
			t.Errorf("a deleted post still says %+v", p)
		}
	}
	if n, err2 := d.s.FilesInChannel(ctx, d.town); n != 2 || err != nil || err2 != nil || len(since) < 2 {
		t.Errorf("%d files in the channel, %d posts since, %v %v", n, len(since), err, err2)
	}
	if n, err := d.s.StorageUsed(ctx); n != 300 || err != nil {
		t.Errorf("%d bytes used, %v", n, err)
	}
}

func TestLinkedFile(t *testing.T) {
	// A link opens its file until the file is deleted or all links are ended.
	d := newDrawers(t)
	f, gone := d.file(d.town, d.bob, "f", ""), d.file(d.town, d.bob, "gone", "", func(f *core.File) { f.DeleteAt = 9 })
	put(t, d.db, func(rows apply.Direct) {
		apply.FileLinks.Put(rows, apply.FileLink{Link: core.BlobID{1}, File: f.ID, CreateAt: 100})
		apply.FileLinks.Put(rows, apply.FileLink{Link: core.BlobID{2}, File: gone.ID, CreateAt: 100})
	})
	opens := func(n byte) bool {
		t.Helper()
		got, ok, err := d.s.LinkedFile(t.Context(), core.BlobID{n})
		if err != nil || ok && got != f.ID {
			t.Fatal(got, err)
		}
		return ok
	}
	if !opens(1) || opens(2) || opens(3) {
		t.Error("before links are ended")
	}
	put(t, d.db, func(rows apply.Direct) {
		apply.Counters.Put(rows, apply.Counter{Name: core.LinksExpired, Value: 100})
		apply.FileLinks.Put(rows, apply.FileLink{Link: core.BlobID{4}, File: f.ID, CreateAt: 101})
	})
	if at, err := d.s.LinksExpiredAt(t.Context()); opens(1) || !opens(4) || at != 100 || err != nil {
		t.Errorf("after links are ended at %d: %v", at, err)
	}
}

func TestBlobs(t *testing.T) {
	// Reading all blobs in pages gives each blob once, also those that are not referred to any more, and
	// each blob says what uses it.
	d := newDrawers(t)
	f := d.file(d.town, d.bob, "f.png", "", func(f *core.File) { f.Thumbnail, f.Preview = ref("thumb"), ref("preview") })
	up := core.Upload{ID: id[core.Upload]("up"), UserID: d.bob, Type: core.UploadAttachment, Filename: "f", CreateAt: 3, FileSize: 9, Parts: []core.BlobRef{ref("p1"), ref("p2")}}
	held := 0
	put(t, d.db, func(rows apply.Direct) {
		apply.Users.Put(rows, core.User{ID: d.bob, Username: "bob", Email: "b", Picture: ref("p2")})
		apply.Uploads.Put(rows, up)
		for i := range 25 {
			b := core.Blob{BlobRef: ref(fmt.Sprint(i)), Refs: 1}
			if i%3 == 0 {
				b.Refs, b.ReleasedAt = 0, int64(i)
			} else {
				held++
			}
			apply.Blobs.Put(rows, b)
		}
	})
	walk := func(next func(after core.BlobID) ([]core.Blob, error)) (n int) {
		t.Helper()
		var after core.BlobID
		for {
			list, err := next(after)
			if err != nil {
				t.Fatal(err)
			}
			for _, b := range list {
				if slices.Compare(b.ID[:], after[:]) <= 0 {
					t.Fatal("out of order")
				}
				after = b.ID
				n++
			}
			if len(list) < 4 {
				return n
			}
		}
	}
	n := walk(func(after core.BlobID) ([]core.Blob, error) { return d.s.Blobs(t.Context(), after, 4) })
	if n != held {
		t.Errorf("met %d of %d", n, held)
	}
	refs, at, known, err := d.s.BlobRefs(t.Context(), ref("3").ID)
	if _, _, other, err2 := d.s.BlobRefs(t.Context(), core.BlobID{1}); refs != 0 || at != 3 || !known || other || err != nil || err2 != nil {
		t.Error(refs, at, known, other, err, err2)
	}
	for _, c := range []struct {
		text                  string
		files, users, uploads int
	}{{"f.png", 1, 0, 0}, {"thumb", 1, 0, 0}, {"preview", 1, 0, 0}, {"p1", 0, 0, 1}, {"p2", 0, 1, 1}, {"nobody", 0, 0, 0}} {
		uses, err := d.s.BlobUses(t.Context(), ref(c.text).ID)
		if err != nil || len(uses.Files) != c.files || len(uses.Users) != c.users || len(uses.Uploads) != c.uploads || c.files > 0 && uses.Files[0].ID != f.ID {
			t.Errorf("%s: %+v %v", c.text, uses, err)
		}
	}
	got, ok, err := d.s.Upload(t.Context(), up.ID)
	list, err2 := d.s.UploadsOfUser(t.Context(), d.bob)
	if diff := cmp.Diff([]core.Upload{up}, list) + cmp.Diff(up, got); diff != "" || !ok || err != nil || err2 != nil {
		t.Errorf("uploads: %v %v %s", err, err2, diff)
	}
	if _, ok, err := d.s.Upload(t.Context(), core.UploadID{1}); ok || err != nil {
		t.Error("an unknown upload", err)
	}
}
