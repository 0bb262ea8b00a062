package replica_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/apply"
	"github.com/nearside/nearside/core/pg"
	"github.com/nearside/nearside/core/pg/pgtest"
	"github.com/nearside/nearside/core/replica"
)

// copyOf reads a whole snapshot.
func copyOf(t testing.TB, n *node) (core.Position, []byte) {
	t.Helper()
	s, err := n.Snapshot(t.Context(), "", true)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	raw, err := io.ReadAll(io.NewSectionReader(s, 0, math.MaxInt64))
	if err != nil {
		t.Fatal(err)
	}
	return s.Position(), raw
}

// A replica restored from the snapshot of another is equal to it and goes on from there, also for its
// readers, waiters and subscribers.
func TestReplica_Restore(t *testing.T) {
	a, b := newNode(t, pgtest.Database(t)), newNode(t, pgtest.Database(t))
	l := newLog(t)
	a.apply(t, append(l.begin(), l.posts(50)...)...)
	other := newLog(t)
	other.At = other.At.Add(core.DedupeWindow)
	b.apply(t, other.begin()...) // another history
	cursor := b.Subscribe()
	at, raw := copyOf(t, a)
	if err := b.Restore(t.Context(), at, bytes.NewReader(raw)); err != nil {
		t.Fatal(err)
	}
	same(t, a, b)
	if !a.LastAt().Equal(b.LastAt()) {
		t.Errorf("last at %v and %v", a.LastAt(), b.LastAt())
	}
	if _, err := cursor.Next(t.Context()); !errors.Is(err, core.ErrDiverged) {
		t.Errorf("a subscriber was told %v", err)
	}
	if err := b.WaitApplied(t.Context(), at.Index); err != nil {
		t.Error(err)
	}
	more := l.posts(10)
	a.apply(t, more...)
	if err := b.Sink().Apply(t.Context(), core.Batch{Entries: more, After: a.Position()}); err != nil {
		t.Fatal(err)
	}
	same(t, a, b)
	if d := cmp.Diff(shape(t, a), shape(t, b)); d != "" {
		t.Errorf("indexes and columns differ:\n%s", d)
	}
}

// A snapshot of an earlier program, without a column and a table, and one of a later program, with more
// of both, can be read; one of a later log version is refused.
func TestReplica_Restore_OtherProgram(t *testing.T) {
	newer := func(t *testing.T, n *node) {
		t.Helper()
		for _, sql := range []string{
			`ALTER TABLE nearside.posts ADD COLUMN mood text COLLATE "C" NOT NULL DEFAULT 'calm', ADD COLUMN weight bigint`,
			`CREATE TABLE nearside.novelties (id uuid PRIMARY KEY, name text COLLATE "C" NOT NULL)`,
		} {
			if _, err := n.db.Exec(t.Context(), sql); err != nil {
				t.Fatal(err)
			}
		}
	}
	sums := func(t *testing.T, n *node) map[string]string {
		t.Helper()
		list, err := n.Digests(t.Context(), "posts.mood", "posts.weight")
		if err != nil {
			t.Fatal(err)
		}
		out := map[string]string{}
		for _, d := range list {
			if d.Name != "novelties" {
				out[d.Name] = d.Sum
			}
		}
		return out
	}
	old, next := newNode(t, pgtest.Database(t)), newNode(t, pgtest.Database(t))
	newer(t, next)
	l := newLog(t)
	entries := append(l.begin(), l.posts(600)...)
	old.apply(t, entries...)
	next.apply(t, entries...)
	if _, err := next.db.Exec(t.Context(), `INSERT INTO nearside.novelties VALUES (gen_random_uuid(), 'x')`); err != nil {
		t.Fatal(err)
	}
	want := sums(t, old)
	for name, from := range map[string]*node{"of the program before": old, "of the program after": next} {
		to := newNode(t, pgtest.Database(t))
		at, raw := copyOf(t, from)
		if err := to.Restore(t.Context(), at, bytes.NewReader(raw)); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if d := cmp.Diff(want, sums(t, to)); d != "" {
			t.Errorf("%s: tables differ:\n%s", name, d)
		}
		at, cut := copyOf(t, from)
		if err := to.Restore(t.Context(), at, bytes.NewReader(cut[:len(cut)/2])); core.KindOf(err) != core.KindInvalid {
			t.Errorf("half a snapshot %s: %v", name, err)
		}
	}
	later := newNode(t, pgtest.Database(t))
	later.apply(t, newLog(t).begin()...)
	if _, err := later.db.Exec(t.Context(), `INSERT INTO nearside.counters (name, value) VALUES ('log_version', $1)`, core.LogVersion+1); err != nil {
		t.Fatal(err)
	}
	at, raw := copyOf(t, later)
	if err := newNode(t, pgtest.Database(t)).Restore(t.Context(), at, bytes.NewReader(raw)); core.KindOf(err) != core.KindUpgrade {
		t.Errorf("a snapshot of a later log version: %v", err)
	}
}

// shape gives what the catalogue says about the replicated schema.
func shape(t testing.TB, n *node) []string {
	t.Helper()
	got, err := pg.Query(t.Context(), n.db, `SELECT indexdef FROM pg_indexes WHERE schemaname = 'nearside'
		UNION ALL SELECT table_name || '.' || column_name || ' ' || data_type FROM information_schema.columns WHERE table_schema = 'nearside' ORDER BY 1`, pg.Scalar[string])
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// A snapshot that is cut short or has a flipped bit anywhere is refused, and the replica does not change.
func TestReplica_Restore_Damaged(t *testing.T) {
	a, b := newNode(t, pgtest.Database(t)), newNode(t, pgtest.Database(t))
	l := newLog(t)
	a.apply(t, append(l.begin(), l.posts(20)...)...)
	at, raw := copyOf(t, a)
	b.apply(t, newLog(t).begin()...)
	before, sums := b.Position(), digests(t, b)
	try := func(what string, at core.Position, raw []byte) {
		t.Helper()
		if err := b.Restore(t.Context(), at, bytes.NewReader(raw)); err == nil {
			t.Fatalf("%s: restored", what)
		}
		if b.Position() != before || !cmp.Equal(sums, digests(t, b)) {
			t.Fatalf("%s: changed from %v to %v", what, before, b.Position())
		}
		if n := count(t, b.db, "SELECT count(*) FROM pg_namespace WHERE nspname = 'nearside_next'"); n != 0 {
			t.Fatalf("%s: left a schema behind", what)
		}
	}
	for _, n := range []int{0, 10, 30, len(raw) / 2, len(raw) - 40, len(raw) - 1} {
		try("cut", at, raw[:n])
	}
	for _, n := range []int{5, 25, 200, len(raw) / 3, len(raw) / 2, len(raw) - 60, len(raw) - 3} {
		bad := bytes.Clone(raw)
		bad[n] ^= 0x10
		try("flipped", at, bad)
	}
	wrong := at
	wrong.Index++
	try("of another position", wrong, raw)
	if err := b.Restore(t.Context(), at, bytes.NewReader(raw)); err != nil {
		t.Fatalf("whole: %v", err)
	}
	same(t, a, b)
}

// Readers with prepared statements, alone and in transactions, see all of the old state or all
// of the new while restores are switched in, and never an error.
func TestReplica_Restore_UnderReaders(t *testing.T) {
	a, b := newNode(t, pgtest.Database(t)), newNode(t, pgtest.Database(t))
	l := newLog(t)
	a.apply(t, append(l.begin(), l.posts(30)...)...)
	at, raw := copyOf(t, a)
	b.apply(t, newLog(t).begin()...)
	cfg := b.cfg
	cfg.Role = pg.ReaderRole
	reader := pgtest.Connect(t, cfg)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	var reads int
	for i := range 4 {
		wg.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				if err := readPair(context.WithoutCancel(ctx), reader); err != nil {
					t.Errorf("read: %v", err)
					return
				}
				if i == 0 {
					reads = n
				}
			}
		})
	}
	for range 5 {
		if err := b.Restore(t.Context(), at, bytes.NewReader(raw)); err != nil {
			t.Error(err)
		}
	}
	cancel()
	wg.Wait()
	if reads < 5 {
		t.Errorf("only %d reads during 5 restores", reads)
	}
	same(t, a, b)
}

// readPair reads in one transaction two things that must agree: the position and the rows of its entries.
func readPair(ctx context.Context, db *pg.DB) error {
	if _, err := pg.Query(ctx, db, "SELECT "+pg.Columns(apply.Posts.Shape, "")+" FROM posts", pg.Scan[core.Post](apply.Posts.Shape)); err != nil {
		return err
	}
	return db.ReadTx(ctx, func(ctx context.Context, tx pg.Tx) error {
		index, _, err := pg.QueryOne(ctx, tx, "SELECT index FROM applied", pg.Scalar[int])
		if err != nil {
			return err
		}
		entries, _, err := pg.QueryOne(ctx, tx, "SELECT count(*) FROM entries", pg.Scalar[int])
		if err == nil && index != entries {
			err = errors.New("position and entries of different states")
		}
		return err
	})
}

// A snapshot can be got again by its id and read from any offset by several readers; one that is recent
// enough is given instead of a new one.
func TestReplica_Snapshot_Resumes(t *testing.T) {
	n := newNode(t, pgtest.Database(t))
	l := newLog(t)
	n.apply(t, append(l.begin(), l.posts(20)...)...)
	first, err := n.Snapshot(t.Context(), "", true)
	if err != nil {
		t.Fatal(err)
	}
	all, err := io.ReadAll(io.NewSectionReader(first, 0, math.MaxInt64))
	if err != nil {
		t.Fatal(err)
	}
	n.apply(t, l.posts(1)...)
	for _, id := range []string{first.ID(), "", "unknown"} {
		again, err := n.Snapshot(t.Context(), id, true)
		if err != nil {
			t.Fatal(err)
		}
		if again.ID() != first.ID() || again.Position() != first.Position() {
			t.Fatalf("asked for %q: got %s", id, again.ID())
		}
		rest, err := io.ReadAll(io.NewSectionReader(again, 1000, math.MaxInt64))
		if err != nil || !bytes.Equal(rest, all[1000:]) {
			t.Fatalf("the rest differs: %v", err)
		}
		if err := errors.Join(again.Close(), again.Close()); err != nil {
			t.Fatal(err)
		}
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
}

// The number of snapshots is bounded, and one that is being read stays until its reader is done.
func TestReplica_Snapshot_Bounded(t *testing.T) {
	n := newNode(t, pgtest.Database(t), func(c *replica.Config) { c.SnapshotsKept, c.SnapshotKeep = 1, 1 })
	l := newLog(t)
	n.apply(t, l.begin()...)
	first, err := n.Snapshot(t.Context(), "", true)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	second, err := n.Snapshot(t.Context(), first.ID(), true)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	if first.ID() == second.ID() {
		t.Fatal("an expired snapshot was given")
	}
	if _, err := io.ReadAll(io.NewSectionReader(first, 0, math.MaxInt64)); err != nil {
		t.Fatalf("the first cannot be read any more: %v", err)
	}
}
