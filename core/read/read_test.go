package read_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/pg"
	"github.com/nearside/nearside/core/pg/pgtest"
	"github.com/nearside/nearside/core/read"
)

// store gives a Store that can only read, and the database to fill.
func store(t testing.TB) (*read.Store, *pg.DB) {
	t.Helper()
	cfg := pgtest.Database(t)
	db := pgtest.Connect(t, cfg)
	if err := pg.Migrate(t.Context(), db, pg.Schema); err != nil {
		t.Fatal(err)
	}
	cfg.Role = pg.ReaderRole
	return read.New(pgtest.Connect(t, cfg), nil), db
}

func fill(t testing.TB, db *pg.DB, sql string, args ...any) {
	t.Helper()
	if _, err := db.Exec(t.Context(), sql, args...); err != nil {
		t.Fatal(err)
	}
}

func id[T any](name string) core.ID[T] { return core.DeriveID[T](name) }

func addUser(t *testing.T, db *pg.DB, name, first, roles string, deleteAt int64) {
	t.Helper()
	fill(t, db, `INSERT INTO users (id, create_at, update_at, delete_at, last_password_update, last_picture_update, email_verified, username,
		email, password_seal, auth_service, nickname, first_name, last_name, position, roles, locale)
		VALUES ($1, 1, 1, $2, 1, 0, false, $3, $4, decode(repeat('00', 32), 'hex'), '', '', $5, '', '', $6, 'en')`,
		[16]byte(id[core.User](name)), deleteAt, name, name+"@example.com", first, roles)
}

func TestUsers_Filter(t *testing.T) {
	// A filter gives users that match all its fields, and wildcards in a term match only themselves.
	s, db := store(t)
	addUser(t, db, "ann", "Anna", "system_admin system_user", 0)
	addUser(t, db, "bob", "Annabel", "system_user", 0)
	addUser(t, db, "c_d", "", "system_user", 0)
	addUser(t, db, "gone", "Ann", "system_user", 5)
	team, ch := id[core.Team]("team"), id[core.Channel]("channel")
	for _, name := range []string{"ann", "bob"} {
		fill(t, db, `INSERT INTO team_members (team_id, user_id, create_at, delete_at, scheme_admin, explicit) VALUES ($1, $2, 1, 0, false, '')`,
			[16]byte(team), [16]byte(id[core.User](name)))
	}
	fill(t, db, `INSERT INTO channel_members (channel_id, user_id, team_id, last_viewed_at, msg_count, msg_count_root, mention_count, mention_count_root,
		last_update_at, scheme_admin, explicit) VALUES ($1, $2, $3, 0, 0, 0, 0, 0, 0, true, '')`, [16]byte(ch), [16]byte(id[core.User]("bob")), [16]byte(team))
	for want, f := range map[string]read.UserFilter{
		"ann bob c_d gone": {},
		"ann bob":          {InTeam: team},
		"c_d gone":         {NotInTeam: team},
		"bob":              {InChannel: ch},
		"ann":              {InTeam: team, NotInChannel: ch},
		"ann bob gone":     {Term: "ANN"},
		"":                 {Term: "%"},
		"c_d":              {Term: "c_"},
		"gone":             {Inactive: true},
		"ann bob c_d":      {Active: true},
		" ann":             {Role: "system_admin"},
		"c_d ":             {WithoutTeam: true, Active: true},
	} {
		users, err := s.Users(t.Context(), f, read.Page{Size: 10})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, u := range users {
			got = append(got, u.Username)
		}
		if strings.Join(got, " ") != strings.TrimSpace(want) {
			t.Errorf("%+v: %v, not %q", f, got, want)
		}
		if n, err := s.CountUsers(t.Context(), f); n != int64(len(users)) || err != nil {
			t.Errorf("%+v: counted %d, %v", f, n, err)
		}
	}
	m, err := s.Memberships(t.Context(), id[core.User]("bob"))
	want := read.Memberships{
		Teams:    []core.TeamMember{{TeamID: team, UserID: id[core.User]("bob"), CreateAt: 1}},
		Channels: []core.ChannelMember{{ChannelID: ch, UserID: id[core.User]("bob"), TeamID: team, SchemeAdmin: true}},
	}
	if diff := cmp.Diff(want, m); diff != "" || err != nil {
		t.Errorf("memberships (-want +got): %s%v", diff, err)
	}
}

func TestPosts_WalkMeetsEachOnce(t *testing.T) {
	// Reading a channel in pages, backwards or forwards from a post, gives every post once and in order,
	// for any page size.
	s, db := store(t)
	ch := id[core.Channel]("channel")
	const n = 23
	for i := range n {
		fill(t, db, `INSERT INTO posts (id, user_id, channel_id, root_id, original_id, create_at, update_at, edit_at, delete_at, last_reply_at,
			reply_count, is_pinned, has_reactions, type, message, hashtags) VALUES ($1, $2, $3, $4, $4, $5, $5, 0, 0, 0, 0, false, false, '', $6, '')`,
			[16]byte(id[core.Post](fmt.Sprint(i))), [16]byte{1}, [16]byte(ch), [16]byte{}, int64(1000+i*10), fmt.Sprint(i))
	}
	for size := 1; size <= n+1; size++ {
		var down, up []string
		page, err := s.Posts(t.Context(), ch, read.PostFilter{}, read.Page{Size: size})
		for ; err == nil; page, err = s.PostsBefore(t.Context(), ch, read.PostFilter{}, page.Posts[len(page.Posts)-1].ID, read.Page{Size: size}) {
			for _, p := range page.Posts {
				down = append(down, p.Message)
			}
			if page.Older.IsZero() {
				break
			}
		}
		page, err2 := s.PostsAround(t.Context(), ch, read.PostFilter{}, 1, 0, size)
		for ; err2 == nil; page, err2 = s.PostsAfter(t.Context(), ch, read.PostFilter{}, page.Posts[0].ID, read.Page{Size: size}) {
			for i := range page.Posts {
				up = append(up, page.Posts[len(page.Posts)-1-i].Message)
			}
			if page.Newer.IsZero() {
				break
			}
		}
		var want, reverse []string
		for i := range n {
			want, reverse = append(want, fmt.Sprint(i)), append(reverse, fmt.Sprint(n-1-i))
		}
		if diff := cmp.Diff(reverse, down) + cmp.Diff(want, up); diff != "" || err != nil || err2 != nil {
			t.Fatalf("pages of %d: %s %v %v", size, diff, err, err2)
		}
	}
}
