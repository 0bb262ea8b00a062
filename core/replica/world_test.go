package replica_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/apply/applytest"
	"github.com/nearside/nearside/core/command"
	"github.com/nearside/nearside/core/eventually"
	"github.com/nearside/nearside/core/pg"
	"github.com/nearside/nearside/core/pg/pgtest"
	"github.com/nearside/nearside/core/replica"
)

const limit = eventually.Limit

// log makes entries as a leader does.
type log struct {
	*applytest.Log
	user core.UserID
	by   command.Caller
	team core.TeamID
	room core.ChannelID
}

func newLog(testing.TB) *log { return &log{Log: applytest.NewLog()} }

func id[T any](l *log) core.ID[T] { return applytest.ID[T](l.Log) }

// begin makes a user, their session, a team and a channel.
func (l *log) begin() []core.Entry {
	l.user, l.team, l.room = id[core.User](l), id[core.Team](l), id[core.Channel](l)
	l.by = command.Caller{Session: id[core.Session](l)}
	return []core.Entry{
		l.Entry(command.Caller{}, &command.CreateUser{User: core.User{ID: l.user, Username: "ada", Email: "ada@example.com", PasswordSeal: core.Seal{1}}}),
		l.Entry(command.Caller{}, &command.CreateSession{Session: core.Session{ID: l.by.Session, UserID: l.user, Token: core.HashToken("t").Seal()}, PasswordSeal: core.Seal{1}}),
		l.Entry(l.by, &command.CreateTeam{Team: core.Team{ID: l.team, Name: "crew", DisplayName: "Crew", Type: core.TeamOpen}}),
		l.Entry(l.by, &command.CreateChannel{Channel: core.Channel{ID: l.room, TeamID: l.team, Name: "room", DisplayName: "Room", Type: core.ChannelOpen}}),
	}
}

func (l *log) post(text string) core.Entry {
	return l.Entry(l.by, &command.CreatePost{Post: core.Post{ChannelID: l.room, Message: text}})
}

func (l *log) posts(n int) (out []core.Entry) {
	for i := range n {
		out = append(out, l.post(fmt.Sprintf("message %d, as short as they are", i)))
	}
	return out
}

// node is a running replica.
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
	var diff []string
	eventually.Nil(t, func() (err error) { // after a crash of the database the pool has broken connections
		diff, err = pgtest.Compare(t.Context(), a.db, b.db)
		return err
	})
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
