package pg_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/pg"
	"github.com/nearside/nearside/core/pg/pgtest"
)

// A row comes back exactly as a store shows it while it is only in memory, whatever is in it:
// extremes, nil and empty maps, and what PostgreSQL cannot hold.
func TestStore_RoundTrip(t *testing.T) {
	db := pgtest.Open(t)
	posts := []core.Post{
		{ID: core.PostID{1}},
		{ID: core.PostID{2}, CreateAt: -1 << 63, UpdateAt: 1<<63 - 1, ReplyCount: 1 << 40, IsPinned: true, Props: map[string]any{}, Participants: []core.Participant{}},
		{
			ID: core.PostID{3}, Message: "a\x00b\xff" + strings.Repeat("漢", 5000), PendingPostID: "not a column",
			Props:        map[string]any{"f": 1.5, "i": 3, "l": []string{"x"}, "m": map[string]any{"n": nil, "b": true}},
			Participants: []core.Participant{{ID: core.UserID{9}}, {}},
		},
	}
	users := []core.User{
		{ID: core.UserID{1}, Username: "a", Email: "a", Props: map[string]string{"k": "v"}, NotifyProps: map[string]string{}},
		{ID: core.UserID{2}, Username: "b\x00", Email: "b"},
	}
	s := pg.NewStore(db, 0)
	t.Cleanup(s.Drop)
	if err := s.Begin(t.Context(), core.Position{}, nil); err != nil {
		t.Fatal(err)
	}
	for _, p := range posts {
		s.State().Posts.Put(p)
	}
	for _, u := range users {
		s.State().Users.Put(u)
	}
	if id, ok := s.State().UserByName.Find("b\x00"); !ok || id != users[1].ID {
		t.Error("a name is not found as it was given")
	}
	shown := shownPosts(t, s, posts)
	shownUsers := []core.User{}
	for _, u := range users {
		got, _ := s.State().Users.Get(u.ID)
		shownUsers = append(shownUsers, got)
	}
	if err := s.Commit(t.Context(), core.Position{Epoch: 1, Index: 1}, logTime()); err != nil {
		t.Fatal(err)
	}
	stored, err := pg.Query(t.Context(), db, "SELECT "+pg.Posts.Columns("")+" FROM posts ORDER BY id", pg.Posts.Scan)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(shown, stored); d != "" {
		t.Errorf("posts in memory and in the table differ:\n%s", d)
	}
	storedUsers, err := pg.Query(t.Context(), db, "SELECT "+pg.Users.Columns("u")+" FROM users u ORDER BY id", pg.Users.Scan)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(shownUsers, storedUsers); d != "" {
		t.Errorf("users in memory and in the table differ:\n%s", d)
	}
}

func shownPosts(t *testing.T, s *pg.Store, posts []core.Post) (out []core.Post) {
	t.Helper()
	for _, p := range posts {
		got, ok := s.State().Posts.Get(p.ID)
		if !ok {
			t.Fatalf("%v is not there", p.ID)
		}
		out = append(out, got)
	}
	return out
}

// Names may change hands within one batch in any order; a failed read makes the batch fail
// instead of deciding by it.
func TestStore_Names(t *testing.T) {
	db := pgtest.Open(t)
	s := pg.NewStore(db, 0)
	t.Cleanup(s.Drop)
	st := s.State()
	var at core.Position
	batch := func(f func()) {
		t.Helper()
		if err := s.Begin(t.Context(), at, nil); err != nil {
			t.Fatal(err)
		}
		s.Mark()
		f()
		at.Index++
		if err := s.Commit(t.Context(), at, logTime()); err != nil {
			t.Fatal(err)
		}
	}
	a, b := core.User{ID: core.UserID{1}, Username: "ada", Email: "a"}, core.User{ID: core.UserID{2}, Username: "bob", Email: "b"}
	find := func(name string, want core.UserID) {
		t.Helper()
		if got, _ := st.UserByName.Find(name); got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	batch(func() { st.Users.Put(a); st.Users.Put(b); find("ada", a.ID) })
	a.Username, b.Username = "bob", "ada"
	batch(func() {
		st.Users.Put(b)
		st.Users.Put(a)
		find("bob", a.ID)
		s.Revert()
		find("bob", b.ID)
		st.Users.Put(b)
		st.Users.Put(a)
	})
	batch(func() {
		find("ada", b.ID)
		st.Users.Delete(b.ID)
		find("ada", core.UserID{})
	})
	batch(func() { find("ada", core.UserID{}); find("bob", a.ID) })

	ctx, cancel := context.WithCancel(t.Context())
	if err := s.Begin(ctx, at, nil); err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, ok := st.Users.Get(core.UserID{7}); ok || s.Err() == nil {
		t.Error("a failed read is not told")
	}
	if err := s.Commit(t.Context(), core.Position{Index: 99}, logTime()); err == nil {
		t.Error("a batch with a failed read was committed")
	}
	batch(func() { find("bob", a.ID) })
}

// Cached rows take about as much memory as they are said to, and no more than the bound.
func TestStore_CacheBound(t *testing.T) {
	const bound = 300_000
	s := pg.NewStore(pgtest.Open(t), bound)
	t.Cleanup(s.Drop)
	var at core.Position
	for n := range 5 {
		if err := s.Begin(t.Context(), at, nil); err != nil {
			t.Fatal(err)
		}
		for i := range 400 {
			s.State().Posts.Put(core.Post{ID: core.PostID{byte(n), byte(i >> 8), byte(i)}, Message: strings.Repeat("x", 500)})
		}
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
