package replica_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/command"
	"github.com/nearside/nearside/core/pg"
	"github.com/nearside/nearside/core/pg/pgtest"
)

// An applied post can be read from the tables by whoever waited for its index.
func TestReplica_Apply(t *testing.T) {
	n := newNode(t, pgtest.Database(t))
	l := newLog(t)
	accepted(t, n.apply(t, l.begin()...))
	e := l.post("hello #world")
	receipts := n.apply(t, e)
	accepted(t, receipts)
	if err := n.WaitApplied(t.Context(), e.Index); err != nil {
		t.Fatal(err)
	}
	var made core.Post
	if err := command.DecodeOutcome(receipts[0].Outcome, &made); err != nil {
		t.Fatal(err)
	}
	got, ok, err := pg.QueryOne(t.Context(), n.db, "SELECT "+pg.Posts.Columns("p")+" FROM posts p WHERE p.id = $1", pg.Posts.Scan, made.ID)
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	made.PendingPostID = "" // not a column
	if d := cmp.Diff(made, got); d != "" {
		t.Fatalf("outcome and row differ:\n%s", d)
	}
}
