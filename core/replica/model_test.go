package replica_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/apply"
	"github.com/nearside/nearside/core/apply/applytest"
	"github.com/nearside/nearside/core/command"
	"github.com/nearside/nearside/core/pg"
	"github.com/nearside/nearside/core/pg/pgtest"
	"github.com/nearside/nearside/core/schema"
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
	c.posts = append(c.posts, id[core.Post](c.log)) // which nobody has made
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
		e.ID, e.Data, e.Scope = was.ID, was.Data, was.Scope
		c.model.apply(c.t, e)
		return e
	}
	who := c.rnd.IntN(len(c.users))
	cmd := c.command(who)
	e := c.entry(command.Caller{Session: c.sessions[who]}, cmd)
	c.past = append(c.past, e)
	if _, posts := cmd.(*command.CreatePost); posts {
		c.posted(e)
	}
	return e
}

// posted remembers the post that an entry made.
func (c *chaos) posted(e core.Entry) {
	var p core.Post
	if command.DecodeOutcome(c.model.receipts[e.Index].Outcome, &p) == nil && !p.ID.IsZero() {
		c.posts = append(c.posts, p.ID)
	}
}

func (c *chaos) command(who int) command.Command {
	team, room, post := pick(c, c.teams), pick(c, c.channels), pick(c, c.posts)
	other := pick(c, c.users)
	switch c.rnd.IntN(36) {
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
	case 32, 33, 34:
		return &command.AddReaction{PostID: post, EmojiName: c.word()}
	case 35:
		return &command.RemoveReaction{PostID: post, UserID: pick(c, c.users), EmojiName: c.word()}
	case 18, 19, 20, 21, 22, 23, 24, 25:
		return c.fileCommand(who, room, post)
	}
	p := core.Post{ChannelID: room, Message: c.word(), PendingPostID: c.word()}
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
	firsts   map[core.ProposalID]core.Receipt // of the proposals that were accepted
	receipts map[core.Index]core.Receipt
}

func newModel() *model {
	return &model{applytest.NewStore(), map[core.ProposalID]core.Receipt{}, map[core.Index]core.Receipt{}}
}

func (m *model) apply(t testing.TB, e core.Entry) {
	t.Helper()
	if first, ok := m.firsts[e.ID]; ok {
		m.receipts[e.Index] = first
		return
	}
	fx, err := m.Apply(e)
	if err != nil {
		t.Fatal(err)
	}
	m.receipts[e.Index] = core.Receipt{Index: e.Index, Outcome: fx.Outcome}
	if fx.Accepted {
		m.firsts[e.ID] = m.receipts[e.Index]
	}
}

// The database and a store of plain maps decide alike and come to the same rows, whatever the
// batches and however small the cache.
func TestReplica_Model(t *testing.T) {
	for seed := range uint64(3) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			c := newChaos(t, seed)
			whole := newNode(t, pgtest.Database(t))
			small := newNode(t, pgtest.Database(t), tinyCache)
			entries := c.people()
			for len(entries) < 1200 {
				entries = append(entries, c.next())
			}
			var want []core.Receipt
			for _, e := range entries {
				want = append(want, c.model.receipts[e.Index])
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
			equalRows(t, c.model, whole.db)
		})
	}
}

// compare compares receipts.
func compare(t *testing.T, want, got []core.Receipt) {
	t.Helper()
	accepted := 0
	for i := range want {
		if !cmp.Equal(want[i], got[i]) {
			t.Fatalf("entry %d: got %d and %x, want %x", want[i].Index, got[i].Index, got[i].Outcome, want[i].Outcome)
		}
		if command.DecodeOutcome(want[i].Outcome, nil) == nil {
			accepted++
		}
	}
	if accepted < len(want)/5 {
		t.Errorf("only %d of %d accepted: the test says little", accepted, len(want))
	}
}

// equalRows compares every row of every table with the maps.
func equalRows(t *testing.T, m *model, db *pg.DB) {
	t.Helper()
	for _, s := range apply.Shapes {
		want := map[string]string{}
		for _, row := range m.Rows(s) {
			want[string(s.AppendKey(nil, row))] = string(s.AppendDigest(nil, row))
		}
		list, err := pg.Query(t.Context(), db, "SELECT "+pg.Columns(s, "")+" FROM "+s.Name, func(r pg.Row) (schema.Row, error) { return pg.ScanRow(s, r) })
		if err != nil {
			t.Fatal(err)
		}
		if len(list) == 0 && s != apply.Tasks.Shape {
			t.Errorf("%s is empty: the test says little", s.Name)
		}
		if len(list) != len(want) {
			t.Errorf("%s has %d rows, want %d", s.Name, len(list), len(want))
		}
		for _, row := range list {
			key := string(s.AppendKey(nil, row))
			if got := string(s.AppendDigest(nil, row)); got != want[key] {
				t.Errorf("%s %x: %x in the table, want %x", s.Name, key, got, want[key])
			}
		}
	}
}
