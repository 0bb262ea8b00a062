package pg_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/apply"
	"github.com/nearside/nearside/core/apply/applytest"
	"github.com/nearside/nearside/core/pg"
	"github.com/nearside/nearside/core/pg/pgtest"
)

// batch runs f between a Begin and a Commit.
func batch(t *testing.T, s *pg.Store, at *core.Position, f func()) {
	t.Helper()
	if err := s.Begin(t.Context(), *at, nil); err != nil {
		t.Fatal(err)
	}
	f()
	at.Index++
	if err := s.Commit(t.Context(), *at, logTime()); err != nil {
		t.Fatal(err)
	}
}

// stored gives all rows of a table.
func stored[K comparable, T any](t *testing.T, db *pg.DB, table *pg.Table[K, T]) []T {
	t.Helper()
	rows, err := pg.Query(t.Context(), db, "SELECT "+table.Columns("t")+" FROM "+table.Name()+" t ORDER BY 1", table.Scan)
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// What the tables of files give back is what was put into them, in every field, also where
// there is nothing.
func TestFiles_RoundTrip(t *testing.T) {
	db := pgtest.Open(t)
	s := pg.NewStore(db, 0)
	t.Cleanup(s.Drop)
	ref := func(n byte) core.BlobRef { return core.BlobRef{ID: core.BlobID{n, 31: n}, Size: int64(n)} }
	files := []core.File{{ID: core.FileID{1}}, {
		ID: core.FileID{2}, UserID: core.UserID{3}, PostID: core.PostID{4}, ChannelID: core.ChannelID{5}, CreateAt: 6, UpdateAt: 7, DeleteAt: 8,
		Name: "größe 漢.png", Extension: "png", Size: 1 << 40, MimeType: "image/png", Width: 9, Height: 10, HasPreview: true,
		MiniPreview: []byte{0, 0xff}, RemoteID: "r", Archived: true, Content: ref(11), Thumbnail: ref(12), Preview: ref(13),
	}}
	uploads := []core.Upload{{ID: core.UploadID{1}}, {
		ID: core.UploadID{2}, Type: core.UploadAttachment, CreateAt: 3, UserID: core.UserID{4}, ChannelID: core.ChannelID{5},
		Filename: "f", FileSize: 1 << 41, FileOffset: 7, Parts: []core.BlobRef{ref(3), ref(4)},
	}}
	counted := []core.Blob{{BlobRef: ref(1), Refs: 1 << 33}, {BlobRef: ref(2), ReleasedAt: 9}}
	links := []apply.FileLink{{Link: ref(1).ID, File: core.FileID{2}, CreateAt: 3}}
	said := []apply.FileText{{File: core.FileID{1}, Text: strings.Repeat("漢 b-c/d@e.f ", 4000)}}
	user := core.User{ID: core.UserID{1}, Username: "a", Email: "a", Picture: ref(5)}
	post := core.Post{ID: core.PostID{1}, FileIDs: []core.FileID{{2}, {1}}}
	var at core.Position
	batch(t, s, &at, func() {
		st := s.State()
		for _, f := range files {
			st.Files.Put(f)
		}
		for _, u := range uploads {
			st.Uploads.Put(u)
		}
		for _, b := range counted {
			st.Blobs.Put(b)
		}
		st.FileLinks.Put(links[0])
		st.FileTexts.Put(said[0])
		st.Users.Put(user)
		st.Posts.Put(post)
	})
	s.Drop() // nothing from memory from here on
	for name, d := range map[string]string{
		"files": cmp.Diff(files, stored(t, db, pg.Files)), "uploads": cmp.Diff(uploads, stored(t, db, pg.Uploads)),
		"blobs": cmp.Diff(counted, stored(t, db, pg.Blobs)), "links": cmp.Diff(links, stored(t, db, pg.FileLinks)),
		"texts": cmp.Diff(said, stored(t, db, pg.FileTexts)), "users": cmp.Diff([]core.User{user}, stored(t, db, pg.Users)),
		"posts": cmp.Diff([]core.Post{post}, stored(t, db, pg.Posts)),
	} {
		if d != "" {
			t.Errorf("%s differ:\n%s", name, d)
		}
	}
	batch(t, s, &at, func() {
		st := s.State()
		b, ok := st.Blobs.Get(ref(1).ID)
		up, ok2 := st.Uploads.Get(uploads[1].ID)
		if _, none := st.Blobs.Get(core.BlobID{}); !ok || !ok2 || none || b != counted[0] || cmp.Diff(uploads[1], up) != "" {
			t.Errorf("read back %+v and %+v", b, up)
		}
		st.FileTexts.Delete(core.FileID{1})
		st.Uploads.Delete(uploads[0].ID)
	})
	if n := len(stored(t, db, pg.FileTexts)) + len(stored(t, db, pg.Uploads)); n != 1 {
		t.Errorf("%d rows are left", n)
	}
}

// The oldest uploads are the same ones, in the same order, however much of them the batch has
// changed itself.
func TestOldUploads_WithinBatch(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	s, model := pg.NewStore(pgtest.Open(t), 0), applytest.NewStore()
	t.Cleanup(s.Drop)
	var at core.Position
	for range 40 {
		batch(t, s, &at, func() {
			for range 6 {
				up := core.Upload{ID: core.UploadID{byte(rnd.IntN(12))}, UserID: core.UserID{byte(rnd.IntN(3))}, CreateAt: int64(rnd.IntN(5))}
				if rnd.IntN(3) == 0 {
					s.State().Uploads.Delete(up.ID)
					model.State().Uploads.Delete(up.ID)
				} else {
					s.State().Uploads.Put(up)
					model.State().Uploads.Put(up)
				}
				before, n := int64(rnd.IntN(6)), rnd.IntN(5)
				if d := cmp.Diff(model.OldUploads(before, n), s.State().OldUploads(before, n)); d != "" && n > 0 {
					t.Fatalf("%d before %d: %s", n, before, d)
				}
				if d := cmp.Diff(model.UploadsOf(up.UserID), s.State().UploadsOf(up.UserID)); d != "" {
					t.Fatalf("of %v: %s", up.UserID, d)
				}
			}
		})
	}
}

// No text that a command may carry stops the table of texts: PostgreSQL refuses what its index
// cannot hold, and then no replica could go on.
func TestFileTexts_AnyText(t *testing.T) {
	s := pg.NewStore(pgtest.Open(t), 0)
	t.Cleanup(s.Drop)
	var at core.Position
	var distinct strings.Builder
	for i := 0; distinct.Len() < core.MaxFileText-8; i++ {
		fmt.Fprintf(&distinct, "%x ", i)
	}
	for i, text := range []string{
		strings.Repeat("x", core.MaxFileText), strings.Repeat("é", core.MaxFileText/2), strings.Repeat("a-", core.MaxFileText/2),
		strings.Repeat("http://a.b/", core.MaxFileText/11), strings.Repeat("\x00\xff", core.MaxFileText/2), distinct.String(),
		strings.Repeat("1e", core.MaxFileText/2), strings.Repeat("<a", core.MaxFileText/2), strings.Repeat("\u00a0\u200b\n", core.MaxFileText/8),
		strings.Repeat("&amp;'\\:*!|", core.MaxFileText/12), "", " ",
	} {
		id := core.FileID{byte(i)}
		batch(t, s, &at, func() {
			s.State().FileTexts.Put(apply.FileText{File: id, Text: text})
			s.State().Files.Put(core.File{ID: id, PostID: core.PostID{1}, Name: text[:min(len(text), 4*core.MaxFileName)]})
		})
	}
}
