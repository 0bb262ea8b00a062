package replica_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/apply"
	"github.com/nearside/nearside/core/command"
	"github.com/nearside/nearside/core/pg"
	"github.com/nearside/nearside/core/pg/pgtest"
	"github.com/nearside/nearside/core/replica"
)

const limit = 30 * time.Second

// log makes entries as a leader would.
type log struct {
	t     testing.TB
	at    time.Time
	index core.Index
	n     int
	user  core.UserID
	by    command.Caller
	team  core.TeamID
	room  core.ChannelID
	model *model // what the entries come to
}

func newLog(t testing.TB) *log {
	return &log{t: t, at: time.UnixMilli(1_800_000_000_000), model: newModel()}
}

// id makes the next of a row of ids, the same in every run.
func id[T any](l *log) core.ID[T] {
	l.n++
	i := core.DeriveID[T]("test", fmt.Sprint(l.n))
	stamp := core.NewID[T](l.at)
	copy(i[:6], stamp[:6])
	return i
}

func (l *log) entry(by command.Caller, c command.Command) core.Entry {
	l.t.Helper()
	data, err := command.Encode(by, c)
	if err != nil {
		l.t.Fatal(err)
	}
	e := l.raw(data)
	e.Scope = apply.ScopeOf(l.model, c)
	l.model.apply(l.t, e)
	return e
}

// raw makes an entry that the model does not apply.
func (l *log) raw(data []byte) core.Entry {
	l.index++
	l.at = l.at.Add(time.Millisecond)
	return core.Entry{Index: l.index, At: l.at, ID: id[core.Proposal](l), Data: data}
}

// begin makes a user, their session, a team and a channel.
func (l *log) begin() []core.Entry {
	l.user, l.team, l.room = id[core.User](l), id[core.Team](l), id[core.Channel](l)
	l.by = command.Caller{Session: id[core.Session](l)}
	return []core.Entry{
		l.entry(command.Caller{}, &command.CreateUser{User: core.User{ID: l.user, Username: "ada", Email: "ada@example.com", PasswordHash: "x"}}),
		l.entry(command.Caller{}, &command.CreateSession{Session: core.Session{ID: l.by.Session, UserID: l.user, Token: core.HashToken("t")}, PasswordHash: "x"}),
		l.entry(l.by, &command.CreateTeam{Team: core.Team{ID: l.team, Name: "crew", DisplayName: "Crew", Type: core.TeamOpen}}),
		l.entry(l.by, &command.CreateChannel{Channel: core.Channel{ID: l.room, TeamID: l.team, Name: "room", DisplayName: "Room", Type: core.ChannelOpen}}),
	}
}

func (l *log) post(text string) core.Entry {
	return l.entry(l.by, &command.CreatePost{Post: core.Post{ChannelID: l.room, Message: text}})
}

func (l *log) posts(n int) (out []core.Entry) {
	for i := range n {
		out = append(out, l.post(fmt.Sprintf("message %d, as short as they are", i)))
	}
	return out
}

// node is a replica that runs.
type node struct {
	*replica.Replica
	db  *pg.DB
	cfg pg.Config
}

func newNode(t testing.TB, cfg pg.Config, change ...func(*replica.Config)) *node {
	t.Helper()
	db := pgtest.Connect(t, cfg)
	if err := pg.Migrate(t.Context(), db, pg.Schema); err != nil {
		t.Fatal(err)
	}
	rc := replica.Config{DB: db, Dir: t.TempDir()}
	for _, f := range change {
		f(&rc)
	}
	r, err := replica.New(rc)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("run: %v", err)
			}
		case <-time.After(limit):
			t.Error("run does not end")
		}
	})
	return &node{Replica: r, db: db, cfg: cfg}
}

func (n *node) apply(t testing.TB, entries ...core.Entry) []core.Receipt {
	t.Helper()
	got, err := n.Apply(t.Context(), entries)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// accepted fails the test for a receipt that is a refusal.
func accepted(t testing.TB, receipts []core.Receipt) {
	t.Helper()
	for _, r := range receipts {
		if err := command.DecodeOutcome(r.Outcome, nil); err != nil {
			t.Fatalf("entry %d: %v", r.Index, err)
		}
	}
}

func same(t testing.TB, a, b *node) {
	t.Helper()
	if d := cmp.Diff(a.Position(), b.Position()); d != "" {
		t.Fatalf("positions differ:\n%s", d)
	}
	diff, err := pgtest.Compare(t.Context(), a.db, b.db)
	if err != nil {
		t.Fatal(err)
	}
	if len(diff) > 0 {
		t.Fatalf("databases differ at %v: %v", a.Position(), diff)
	}
}

func count(t testing.TB, db pg.Queryer, sql string, args ...any) int {
	t.Helper()
	n, ok, err := pg.QueryOne(t.Context(), db, sql, pg.Scalar[int], args...)
	if err != nil || !ok {
		t.Fatalf("%s: %v", sql, err)
	}
	return n
}

func wantErr(t testing.TB, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("got %v, want %v", err, want)
	}
}

// tinyCache makes a replica read nearly everything from its tables.
func tinyCache(c *replica.Config) { c.CacheBytes = 20_000 }
