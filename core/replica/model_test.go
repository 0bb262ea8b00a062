package replica_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/apply"
	"github.com/nearside/nearside/core/apply/applytest"
	"github.com/nearside/nearside/core/command"
	"github.com/nearside/nearside/core/pg"
	"github.com/nearside/nearside/core/pg/pgtest"
)

// chaos makes commands of few people about few things, so that they meet, repeat and refuse.
type chaos struct {
	*log
	rnd      *rand.Rand
	users    []core.UserID
	sessions []core.SessionID
	teams    []core.TeamID
	channels []core.ChannelID
	posts    []core.PostID
	few      few
	past     []core.Entry
}

func newChaos(t testing.TB, seed uint64) *chaos {
	c := &chaos{log: newLog(t), rnd: rand.New(rand.NewPCG(seed, 1))}
	for range 5 {
		c.users, c.sessions = append(c.users, id[core.User](c.log)), append(c.sessions, id[core.Session](c.log))
		c.teams, c.channels = append(c.teams, id[core.Team](c.log)), append(c.channels, id[core.Channel](c.log))
	}
	for range 40 {
		c.posts = append(c.posts, id[core.Post](c.log))
	}
	c.few = newFew(c.log)
	return c
}

// people gives everybody an account, a session and a first team with its rooms.
func (c *chaos) people() (out []core.Entry) {
	for i, u := range c.users {
		name := fmt.Sprint("user", i)
		by := command.Caller{Session: c.sessions[i]}
		out = append(out,
			c.entry(command.Caller{}, &command.CreateUser{OpenServer: true, User: core.User{ID: u, Username: name, Email: name + "@x.org", PasswordHash: "x"}}),
			c.entry(command.Caller{}, &command.CreateSession{PasswordHash: "x", Session: core.Session{ID: by.Session, UserID: u}}),
			c.entry(by, &command.CreateTeam{Team: core.Team{ID: c.teams[0], Name: "first", DisplayName: "First", Type: core.TeamOpen, AllowOpenInvite: true}}),
			c.entry(by, &command.AddTeamMember{TeamID: c.teams[0], UserID: u}),
			c.entry(by, &command.CreateChannel{Channel: core.Channel{ID: c.channels[i], TeamID: c.teams[0], Name: name, DisplayName: "R", Type: core.ChannelOpen}}))
		out = append(out, c.beginFiles(i)...)
	}
	return out
}

func pick[T any](c *chaos, list []T) T { return list[c.rnd.IntN(len(list))] }

func (c *chaos) word() string { return pick(c, []string{"ada", "bob", "cyd", "dee", "eve"}) }

func (c *chaos) opt() *string {
	if c.rnd.IntN(3) == 0 {
		return nil
	}
	w := c.word()
	return &w
}

func (c *chaos) next() core.Entry {
	if len(c.past) > 0 && c.rnd.IntN(15) == 0 { // a retry
		e := c.raw(nil)
		was := pick(c, c.past)
		e.ID, e.Data = was.ID, was.Data
		return e
	}
	who := c.rnd.IntN(len(c.users))
	e := c.entry(command.Caller{Session: c.sessions[who]}, c.command(who))
	c.past = append(c.past, e)
	return e
}

func (c *chaos) command(who int) command.Command {
	team, room, post := pick(c, c.teams), pick(c, c.channels), pick(c, c.posts)
	other := pick(c, c.users)
	switch c.rnd.IntN(32) {
	case 0:
		return &command.CreateUser{OpenServer: true, User: core.User{ID: c.users[who], Username: c.word(), Email: c.word() + "@x.org", PasswordHash: "x"}}
	case 1:
		return &command.CreateSession{PasswordHash: "x", Session: core.Session{ID: c.sessions[who], UserID: c.users[who], Props: map[string]string{"os": c.word()}}}
	case 2:
		return &command.CreateTeam{Team: core.Team{ID: team, Name: c.word(), DisplayName: c.word(), Type: core.TeamOpen, AllowOpenInvite: true}}
	case 3:
		return &command.CreateChannel{Channel: core.Channel{ID: room, TeamID: team, Name: c.word(), DisplayName: "R", Type: pick(c, []string{core.ChannelOpen, core.ChannelPrivate})}}
	case 4:
		return &command.AddTeamMember{TeamID: team, UserID: c.users[who]}
	case 5:
		return &command.AddTeamMember{TeamID: team, UserID: other}
	case 6:
		return &command.AddChannelMember{ChannelID: room, UserID: pick(c, []core.UserID{other, c.users[who]})}
	case 7:
		return &command.RemoveChannelMember{ChannelID: room, UserID: other}
	case 8:
		if c.rnd.IntN(4) == 0 {
			return &command.RemoveTeamMember{TeamID: team, UserID: other}
		}
		return &command.ViewChannel{Channels: []core.ChannelID{room, pick(c, c.channels)}}
	case 9:
		return &command.PatchUser{UserID: c.users[who], Username: c.opt(), Nickname: c.opt(), Props: &map[string]string{}}
	case 10:
		return &command.PatchChannel{ChannelID: room, Name: c.opt(), Header: c.opt()}
	case 11, 12, 13:
		text := c.word()
		return &command.PatchPost{PostID: post, HistoryID: id[core.Post](c.log), Message: &text, Props: &map[string]any{"n": 1.5, "list": []any{text, true, nil}}}
	case 14:
		return &command.DeletePost{PostID: post}
	case 15:
		return &command.SetPreferences{Preferences: []core.Preference{{UserID: c.users[who], Category: c.word(), Name: c.word(), Value: c.word()}}}
	case 16:
		return &command.DeletePreferences{Preferences: []core.Preference{{UserID: c.users[who], Category: c.word(), Name: c.word()}}}
	case 17:
		if c.rnd.IntN(12) == 0 {
			return &command.EndSession{SessionID: c.sessions[who]}
		}
		if c.rnd.IntN(4) == 0 {
			return &command.DeleteChannel{ChannelID: room}
		}
	case 18, 19, 20, 21, 22, 23, 24, 25:
		return c.fileCommand(who, room, post)
	}
	p := core.Post{ID: post, ChannelID: room, Message: c.word(), PendingPostID: c.word()}
	if c.rnd.IntN(4) == 0 {
		p.FileIDs = c.someFiles(who, room)
	}
	if c.rnd.IntN(2) == 0 {
		p.RootID = pick(c, c.posts)
		p.Props = map[string]any{"from": 3.0}
	}
	return &command.CreatePost{Post: p, Mentions: []string{c.word(), c.word()}}
}

// model is the state machine over maps.
type model struct {
	*applytest.Store
	firsts map[core.ProposalID]core.Receipt
}

func (m *model) apply(t testing.TB, e core.Entry) core.Receipt {
	t.Helper()
	if first, ok := m.firsts[e.ID]; ok {
		return first
	}
	fx, err := apply.Apply(m, e)
	if err != nil {
		t.Fatal(err)
	}
	m.firsts[e.ID] = core.Receipt{Index: e.Index, Outcome: fx.Outcome}
	return m.firsts[e.ID]
}

// The database and a store of plain maps decide alike and come to the same rows, whatever the
// batches and however small the cache.
func TestReplica_Model(t *testing.T) {
	for seed := range uint64(3) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			c := newChaos(t, seed)
			m := &model{applytest.NewStore(), map[core.ProposalID]core.Receipt{}}
			whole := newNode(t, pgtest.Database(t))
			small := newNode(t, pgtest.Database(t), tinyCache)
			entries := c.people()
			for len(entries) < 1200 {
				entries = append(entries, c.next())
			}
			var want []core.Receipt
			for _, e := range entries {
				want = append(want, m.apply(t, e))
			}
			compare(t, want, whole.apply(t, entries...))
			var got []core.Receipt
			for rest := entries; len(rest) > 0; {
				n := min(1+c.rnd.IntN(20), len(rest))
				got = append(got, small.apply(t, rest[:n]...)...)
				rest = rest[n:]
			}
			compare(t, want, got)
			same(t, whole, small)
			equalRows(t, c, m, whole.db)
		})
	}
}

// compare compares receipts. Maps keep a post's pending id; the table has no column for it.
func compare(t *testing.T, want, got []core.Receipt) {
	t.Helper()
	accepted := 0
	for i := range want {
		var a, b core.Post
		if cmp.Equal(want[i], got[i]) {
			if command.DecodeOutcome(want[i].Outcome, nil) == nil {
				accepted++
			}
			continue
		}
		ea, eb := command.DecodeOutcome(want[i].Outcome, &a), command.DecodeOutcome(got[i].Outcome, &b)
		if d := cmp.Diff(a, b, cmpopts.IgnoreFields(core.Post{}, "PendingPostID")); d != "" || want[i].Index != got[i].Index || ea != nil || eb != nil {
			t.Fatalf("entry %d: %v, %v:\n%s", want[i].Index, ea, eb, d)
		}
		accepted++
	}
	if accepted < len(want)/5 {
		t.Errorf("only %d of %d accepted: the test says little", accepted, len(want))
	}
}

// equalRows compares every row of the tables, and every absence of one that the commands could
// have made, with the maps.
func equalRows(t *testing.T, c *chaos, m *model, db *pg.DB) {
	t.Helper()
	s := m.State()
	equalTable(t, db, pg.Users, s.Users.Get, c.users, func(v core.User) core.UserID { return v.ID })
	equalTable(t, db, pg.Sessions, s.Sessions.Get, c.sessions, func(v core.Session) core.SessionID { return v.ID })
	equalTable(t, db, pg.Teams, s.Teams.Get, c.teams, func(v core.Team) core.TeamID { return v.ID })
	equalTable(t, db, pg.Channels, s.Channels.Get, c.channels, func(v core.Channel) core.ChannelID { return v.ID })
	equalTable(t, db, pg.Posts, s.Posts.Get, c.posts, func(v core.Post) core.PostID { return v.ID })
	var inTeam []apply.TeamUser
	var inRoom []apply.ChannelUser
	var prefs []apply.PreferenceKey
	for _, u := range c.users {
		for i := range c.teams {
			inTeam = append(inTeam, apply.TeamUser{Team: c.teams[i], User: u})
			inRoom = append(inRoom, apply.ChannelUser{Channel: c.channels[i], User: u})
		}
		for _, a := range []string{"ada", "bob", "cyd", "dee", "eve"} {
			prefs = append(prefs, apply.PreferenceKey{User: u, Category: a, Name: a})
		}
	}
	equalTable(t, db, pg.TeamMembers, s.TeamMembers.Get, inTeam,
		func(v core.TeamMember) apply.TeamUser { return apply.TeamUser{Team: v.TeamID, User: v.UserID} })
	equalTable(t, db, pg.ChannelMembers, s.ChannelMembers.Get, inRoom,
		func(v core.ChannelMember) apply.ChannelUser {
			return apply.ChannelUser{Channel: v.ChannelID, User: v.UserID}
		})
	equalTable(t, db, pg.Preferences, s.Preferences.Get, prefs, func(v core.Preference) apply.PreferenceKey {
		return apply.PreferenceKey{User: v.UserID, Category: v.Category, Name: v.Name}
	})
	equalFiles(t, c, s, db)
	equalTable(t, db, pg.Counters, s.Counters.Get, nil, func(v apply.Counter) string { return v.Name })
}

func equalTable[K comparable, T any](t *testing.T, db *pg.DB, table *pg.Table[K, T], get func(K) (T, bool), keys []K, key func(T) K) {
	t.Helper()
	list, err := pg.Query(t.Context(), db, "SELECT "+table.Columns("")+" FROM "+table.Name(), table.Scan)
	if err != nil {
		t.Fatal(err)
	}
	if len(list) == 0 {
		t.Errorf("%s is empty: the test says little", table.Name())
	}
	rows := map[K]T{}
	for _, row := range list {
		rows[key(row)] = row
		keys = append(keys, key(row))
	}
	for _, k := range keys {
		row, ok := rows[k]
		want, wanted := get(k)
		if ok != wanted {
			t.Errorf("%s %v: there: %v; should be: %v", table.Name(), k, ok, wanted)
		} else if d := cmp.Diff(want, row, cmpopts.IgnoreFields(core.Post{}, "PendingPostID")); ok && d != "" {
			t.Errorf("%s %v differs:\n%s", table.Name(), k, d)
		}
	}
}
