package pg_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/apply"
	"github.com/nearside/nearside/core/apply/applytest"
	"github.com/nearside/nearside/core/pg"
	"github.com/nearside/nearside/core/pg/pgtest"
	"github.com/nearside/nearside/core/schema"
)

// batch runs a batch with f, and commits it.
func batch(t *testing.T, s *pg.Store, at *core.Position, f func()) {
	t.Helper()
	runBatch(t, s, *at, f)
	at.Index++
	if err := s.Commit(t.Context(), *at, logTime()); err != nil {
		t.Fatal(err)
	}
}

// stored gives all rows of a table.
func stored[K comparable, T any](t *testing.T, db *pg.DB, table apply.Table[K, T]) []T {
	t.Helper()
	rows, err := pg.Query(t.Context(), db, "SELECT "+pg.Columns(table.Shape, "t")+" FROM "+table.Name+" t ORDER BY 1", pg.Scan[T](table.Shape))
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// The tables of files give back what was put into them, in every field, also empty ones.
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
	rows := apply.Direct{Store: s}
	batch(t, s, &at, func() {
		for _, f := range files {
			apply.Files.Put(rows, f)
		}
		for _, u := range uploads {
			apply.Uploads.Put(rows, u)
		}
		for _, b := range counted {
			apply.Blobs.Put(rows, b)
		}
		apply.FileLinks.Put(rows, links[0])
		apply.FileTexts.Put(rows, said[0])
		apply.Users.Put(rows, user)
		apply.Posts.Put(rows, post)
	})
	s.Drop() // everything is read from the database from here on
	wrong := true
	for name, d := range map[string]string{
		"files": cmp.Diff(files, stored(t, db, apply.Files)), "uploads": cmp.Diff(uploads, stored(t, db, apply.Uploads)),
		"blobs": cmp.Diff(counted, stored(t, db, apply.Blobs)), "links": cmp.Diff(links, stored(t, db, apply.FileLinks)),
		"texts": cmp.Diff(said, stored(t, db, apply.FileTexts)), "users": cmp.Diff([]core.User{user}, stored(t, db, apply.Users)),
		"posts": cmp.Diff([]core.Post{post}, stored(t, db, apply.Posts)),
	} {
		if d != "" {
			t.Errorf("%s differ:\n%s", name, d)
		}
	}
	batch(t, s, &at, func() {
		b, ok := apply.Blobs.Get(rows, ref(1).ID)
		up, ok2 := apply.Uploads.Get(rows, uploads[1].ID)
		if _, none := apply.Blobs.Get(rows, core.BlobID{}); ok && ok2 { // not yet in the first run
			wrong = none || b != counted[0] || cmp.Diff(uploads[1], up) != ""
		}
		apply.FileTexts.Delete(rows, core.FileID{1})
		apply.Uploads.Delete(rows, uploads[0].ID)
	})
	if wrong {
		t.Error("what was read back differs")
	}
	if n := len(stored(t, db, apply.FileTexts)) + len(stored(t, db, apply.Uploads)); n != 1 {
		t.Errorf("%d rows are left", n)
	}
}

// Every index lists the same rows in the same order as an index over maps, whatever the batch has
// changed itself, and also if there are more rows than its limit.
func TestIndexes_WithinBatch(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	s, model := pg.NewStore(pgtest.Open(t), 0), applytest.NewStore()
	t.Cleanup(s.Drop)
	var at core.Position
	type op struct {
		up     core.Upload
		post   core.Post
		remove bool
	}
	both := []apply.Direct{{Store: s}, {Store: model}}
	for range 30 {
		var ops []op
		for range 8 {
			ops = append(ops, op{
				core.Upload{ID: core.UploadID{byte(rnd.IntN(12))}, UserID: core.UserID{byte(1 + rnd.IntN(3))}, CreateAt: int64(rnd.IntN(5)), DeleteAt: int64(rnd.IntN(2))},
				core.Post{ID: core.PostID{1, byte(rnd.IntN(50))}, UserID: core.UserID{byte(1 + rnd.IntN(2))}, RootID: core.PostID{byte(rnd.IntN(2))}, CreateAt: int64(rnd.IntN(9)), DeleteAt: int64(rnd.IntN(5) / 4)},
				rnd.IntN(3) == 0,
			})
		}
		var wrong string
		model.Mark()
		batch(t, s, &at, func() {
			model.Revert() // what an earlier run did
			wrong = ""
			for _, o := range ops {
				for _, rows := range both {
					if o.remove {
						apply.Uploads.Delete(rows, o.up.ID)
						apply.Posts.Delete(rows, o.post.ID)
						continue
					}
					apply.Uploads.Put(rows, o.up)
					apply.Posts.Put(rows, o.post)
				}
				for _, x := range append(slices.Clone(apply.Uploads.Indexes), apply.Posts.Indexes...) {
					v := x.AppendValue(nil, schema.Row(&o.up))
					if x.Of == apply.Posts.Shape {
						if v = x.AppendValue(nil, schema.Row(&o.post)); o.post.RootID.IsZero() {
							continue
						}
					}
					if d := cmp.Diff(ids(x, model.List(x, v)), ids(x, s.List(x, v))); d != "" {
						wrong = fmt.Sprintf("%s by %v: %s", x.Of.Name, x.Columns, d)
					}
				}
			}
		})
		if wrong != "" {
			t.Fatal(wrong)
		}
	}
}

func ids(x *schema.IndexShape, rows []schema.Row) (out []string) {
	for _, row := range rows {
		out = append(out, fmt.Sprintf("%x", x.Of.AppendKey(nil, row)))
	}
	return out
}

// The table of texts accepts every text that a command may have. PostgreSQL refuses what its index
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
		strings.Repeat("http://a.b/", core.MaxFileText/11), distinct.String(),
		strings.Repeat("1e", core.MaxFileText/2), strings.Repeat("<a", core.MaxFileText/2), strings.Repeat("\u00a0\u200b\n", core.MaxFileText/8),
		strings.Repeat("&amp;'\\:*!|", core.MaxFileText/12), "", " ",
	} {
		id := core.FileID{byte(i)}
		batch(t, s, &at, func() {
			apply.FileTexts.Put(apply.Direct{Store: s}, apply.FileText{File: id, Text: text})
			apply.Files.Put(apply.Direct{Store: s}, core.File{ID: id, PostID: core.PostID{1}, Name: strings.ToValidUTF8(text[:min(len(text), 4*core.MaxFileName)], "")})
		})
	}
}
