package pg_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/apply"
	"github.com/nearside/nearside/core/pg"
	"github.com/nearside/nearside/core/pg/pgtest"
)

// A row read from the table is exactly what the store shows while the row is only in memory, for
// extreme values, nil and empty maps, and numbers of every Go type.
func TestStore_RoundTrip(t *testing.T) {
	db := pgtest.Open(t)
	posts := []core.Post{
		{ID: core.PostID{1}},
		{ID: core.PostID{2}, CreateAt: -1 << 63, UpdateAt: 1<<63 - 1, ReplyCount: 1 << 40, IsPinned: true, Props: map[string]any{}, Participants: []core.Participant{}},
		{
			ID: core.PostID{3}, Message: "ab" + strings.Repeat("漢", 5000), PendingPostID: "not a column",
			Props:        map[string]any{"f": 1.5, "i": 3, "l": []string{"x"}, "m": map[string]any{"n": nil, "b": true}},
			Participants: []core.Participant{{ID: core.UserID{9}}, {}},
		},
	}
	users := []core.User{
		{ID: core.UserID{1}, Username: "a", Email: "a", Props: map[string]string{"k": "v"}, NotifyProps: map[string]string{}},
		{ID: core.UserID{2}, Username: "b", Email: "b"},
	}
	s := pg.NewStore(db, 0)
	t.Cleanup(s.Drop)
	rows := apply.Direct{Store: s}
	var shown []core.Post
	var shownUsers []core.User
	runBatch(t, s, core.Position{}, func() {
		shown, shownUsers = nil, nil
		for _, p := range posts {
			apply.Posts.Put(rows, p)
			got, _ := apply.Posts.Get(rows, p.ID)
			shown = append(shown, got)
		}
		for _, u := range users {
			apply.Users.Put(rows, u)
			got, _ := apply.Users.Get(rows, u.ID)
			shownUsers = append(shownUsers, got)
		}
		if u, ok := apply.UserByName.Find(rows, "b"); !ok || u.ID != users[1].ID {
			t.Error("a name is not found as it was given")
		}
		if _, ok := apply.UserByName.Find(rows, "b\x00"); ok {
			t.Error("a name was found that no row can have")
		}
	})
	if err := s.Commit(t.Context(), core.Position{Epoch: 1, Index: 1}, logTime()); err != nil {
		t.Fatal(err)
	}
	stored, err := pg.Query(t.Context(), db, "SELECT "+pg.Columns(apply.Posts.Shape, "")+" FROM posts ORDER BY id", pg.Scan[core.Post](apply.Posts.Shape))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(shown, stored); d != "" {
		t.Errorf("posts in memory and in the table differ:\n%s", d)
	}
	storedUsers, err := pg.Query(t.Context(), db, "SELECT "+pg.Columns(apply.Users.Shape, "u")+" FROM users u ORDER BY id", pg.Scan[core.User](apply.Users.Shape))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(shownUsers, storedUsers); d != "" {
		t.Errorf("users in memory and in the table differ:\n%s", d)
	}
}

// runBatch runs a batch that f makes.
func runBatch(t *testing.T, s *pg.Store, at core.Position, f func()) {
	t.Helper()
	if err := s.Run(t.Context(), at, nil, func() error { s.Mark(); f(); return nil }); err != nil {
		t.Fatal(err)
	}
}

// One batch may move names from one row to another in any order. A failed read makes the batch fail,
// and is not taken for a missing row.
func TestStore_Names(t *testing.T) {
	db := pgtest.Open(t)
	s := pg.NewStore(db, 0)
	t.Cleanup(s.Drop)
	rows := apply.Direct{Store: s}
	var at core.Position
	var batch func(f func())
	a, b := core.User{ID: core.UserID{1}, Username: "ada", Email: "a"}, core.User{ID: core.UserID{2}, Username: "bob", Email: "b"}
	var wrong []string // in the last run of a batch
	find := func(name string, want core.UserID) {
		if got, _ := apply.UserByName.Find(rows, name); got.ID != want {
			wrong = append(wrong, fmt.Sprintf("%s is %v, want %v", name, got.ID, want))
		}
	}
	batch = func(f func()) {
		t.Helper()
		runBatch(t, s, at, func() { wrong = nil; f() })
		for _, w := range wrong {
			t.Error(w)
		}
		at.Index++
		if err := s.Commit(t.Context(), at, logTime()); err != nil {
			t.Fatal(err)
		}
	}
	batch(func() { apply.Users.Put(rows, a); apply.Users.Put(rows, b); find("ada", a.ID) })
	a.Username, b.Username = "bob", "ada"
	batch(func() {
		apply.Users.Put(rows, b)
		apply.Users.Put(rows, a)
		find("bob", a.ID)
		s.Revert()
		find("bob", b.ID)
		apply.Users.Put(rows, b)
		apply.Users.Put(rows, a)
	})
	batch(func() {
		find("ada", b.ID)
		apply.Users.Delete(rows, b.ID)
		find("ada", core.UserID{})
	})
	batch(func() { find("ada", core.UserID{}); find("bob", a.ID) })

	ctx, cancel := context.WithCancel(t.Context())
	runs := 0
	err := s.Run(ctx, at, nil, func() error {
		if runs++; runs > 1 {
			cancel()
		}
		apply.Users.Get(rows, core.UserID{7, byte(runs)})
		return nil
	})
	if err == nil {
		t.Error("a failed read is not told")
	}
	batch(func() { find("bob", a.ID) })
}

// Cached rows take about as much memory as the cache counts, and no more than its bound.
func TestStore_CacheBound(t *testing.T) {
	const bound = 300_000
	s := pg.NewStore(pgtest.Open(t), bound)
	t.Cleanup(s.Drop)
	var at core.Position
	for n := range 5 {
		runBatch(t, s, at, func() {
			for i := range 400 {
				apply.Posts.Put(apply.Direct{Store: s}, core.Post{ID: core.PostID{byte(n), byte(i >> 8), byte(i)}, Message: strings.Repeat("x", 500)})
			}
		})
		at.Index++
		if err := s.Commit(t.Context(), at, logTime()); err != nil {
			t.Fatal(err)
		}
		if got := s.CachedBytes(); got == 0 || got > bound {
			t.Fatalf("%d bytes are cached; the bound is %d", got, bound)
		}
	}
}

func logTime() time.Time { return time.UnixMilli(1_800_000_000_000) }

// When two stores write the same database, the second one's batch fails as a whole, even though both began
// at the same position.
func TestStore_TwoWriters(t *testing.T) {
	db := pgtest.Open(t)
	first, second := pg.NewStore(db, 0), pg.NewStore(db, 0)
	t.Cleanup(first.Drop)
	t.Cleanup(second.Drop)
	for i, s := range []*pg.Store{first, second} {
		runBatch(t, s, core.Position{}, func() {
			apply.Posts.Put(apply.Direct{Store: s}, core.Post{ID: core.PostID{byte(1 + i)}})
		})
	}
	if err := first.Commit(t.Context(), core.Position{Epoch: 1, Index: 1}, logTime()); err != nil {
		t.Fatal(err)
	}
	if err := second.Commit(t.Context(), core.Position{Epoch: 1, Index: 2}, logTime()); err == nil {
		t.Error("the second batch was committed")
	}
	pos, _, err := first.Position(t.Context())
	if err != nil || pos.Index != 1 {
		t.Errorf("the database is at %v, %v", pos, err)
	}
	var n int
	if err := db.QueryRow(t.Context(), "SELECT count(*) FROM posts").Scan(&n); err != nil || n != 1 {
		t.Errorf("%d posts are written, %v", n, err)
	}
}
