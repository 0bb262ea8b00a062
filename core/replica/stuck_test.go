package replica_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/apply"
	"github.com/nearside/nearside/core/command"
	"github.com/nearside/nearside/core/pg/pgtest"
)

// forbid makes the database of a node refuse posts that say "poison". The error quotes the post, as PostgreSQL quotes values.
func (n *node) forbid(t *testing.T) {
	t.Helper()
	for _, sql := range []string{
		`CREATE FUNCTION nearside.forbid() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
			RAISE EXCEPTION 'not with me' USING DETAIL = new.message; END $$`,
		`CREATE TRIGGER forbid BEFORE INSERT ON nearside.posts FOR EACH ROW WHEN (new.message = 'poison') EXECUTE FUNCTION nearside.forbid()`,
	} {
		if _, err := n.db.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
}

// skipped gives entries with an order to skip one of them.
func skipped(entries []core.Entry, i core.Index) []core.Entry {
	out := append([]core.Entry(nil), entries...)
	for n := range out {
		if out[n].Index == i {
			out[n].Void = &core.Void{By: i + 100, At: time.UnixMilli(1_800_000_000_500), Reason: "the database refuses it"}
		}
	}
	return out
}

// What comes before an entry that the database refuses is applied, whatever batch it is in. The replica says where it is stuck
// and why, without what the entry says. After an order to skip the entry it goes on, and comes to the same state as a
// replica that never tried it, and as one over maps.
func TestReplica_StuckAndSkipped(t *testing.T) {
	l := newLog(t)
	entries := append(l.begin(), l.posts(5)...)
	poison := l.post("poison")
	entries = append(append(entries, poison), l.posts(3)...)
	n := newNode(t, pgtest.Database(t))
	n.forbid(t)
	for try := range 3 {
		if n.Stuck() != nil {
			t.Errorf("stuck after %d tries", try)
		}
		got, err := n.Apply(t.Context(), entries)
		var s *core.Stuck
		if !errors.As(err, &s) || s.Index != poison.Index || s.Command != "CreatePost" || strings.Contains(err.Error(), "poison") || !strings.Contains(err.Error(), "not with me") {
			t.Fatalf("got %v", err)
		}
		if n.Position().Index != poison.Index-1 || len(got) != len(entries)-4 {
			t.Fatalf("at %v with %d receipts", n.Position(), len(got))
		}
	}
	if s := n.Stuck(); s == nil || s.Index != poison.Index {
		t.Fatalf("stuck is %v", s)
	}

	list := skipped(entries, poison.Index)
	receipts := n.apply(t, list...)
	if n.Stuck() != nil {
		t.Error("still stuck")
	}
	if err := command.DecodeOutcome(receipts[len(receipts)-4].Outcome, nil); core.KindOf(err) != core.KindConflict {
		t.Errorf("the proposer gets %v", err)
	}
	other := newNode(t, pgtest.Database(t), tinyCache)
	for _, e := range list {
		other.apply(t, e)
	}
	same(t, n, other)
	m := newLog(t).Model
	for _, e := range list {
		m.Take(e)
	}
	if m.Digest != n.Position().Digest {
		t.Error("over maps the digest is another one")
	}
	equalRows(t, m, n.db)
	v, _ := apply.Voids.Get(apply.Direct{Store: m}, int64(poison.Index))
	if v.Reason != "the database refuses it" || v.By != int64(poison.Index)+100 {
		t.Errorf("what is kept is %+v", v)
	}
}

// An order whose reason cannot be stored does not stop anybody once more.
func TestReplica_SkippedForAnyReason(t *testing.T) {
	l := newLog(t)
	entries := l.begin()
	list := skipped(entries, entries[0].Index)
	list[0].Void.Reason = "\x00" + strings.Repeat("x", 600)
	list[0].Data = []byte("no command at all")
	n := newNode(t, pgtest.Database(t))
	n.apply(t, list...)
}

// An error that says nothing about the entries does not make a replica stuck.
func TestReplica_NotStuckWithoutDatabase(t *testing.T) {
	l := newLog(t)
	n := newNode(t, pgtest.Database(t))
	n.apply(t, l.begin()...)
	e := l.post("hello")
	for range 5 {
		if _, err := n.db.Exec(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`); err != nil {
			t.Fatal(err)
		}
		if _, err := n.Apply(t.Context(), []core.Entry{e}); errors.As(err, new(*core.Stuck)) || n.Stuck() != nil {
			t.Fatalf("stuck: %v", err)
		}
	}
}
