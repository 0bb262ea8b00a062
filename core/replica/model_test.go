package replica_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
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

// The database and a store of plain maps make the same decisions and the same rows, for any batches and
// also with a small cache.
func TestReplica_Model(t *testing.T) {
	runs := map[string][]core.Entry{}
	for seed := range uint64(3) {
		c := applytest.NewChaos(seed)
		entries := c.People()
		for len(entries) < 1200 {
			entries = append(entries, c.Next())
		}
		runs[fmt.Sprint("seed ", seed)] = entries
	}
	nouns, err := filepath.Glob("../apply/testdata/history/*-*.log.gz")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range nouns {
		entries, err := applytest.ReadHistory(file)
		if err != nil {
			t.Fatal(err)
		}
		runs[filepath.Base(file)] = entries[:2000]
	}
	used := map[*schema.Shape]bool{apply.Tasks.Shape: true, apply.Voids.Shape: true} // for voids see TestReplica_StuckAndSkipped
	for name, entries := range runs {
		t.Run(name, func(t *testing.T) { likeModel(t, entries, used) })
	}
	for _, s := range apply.Shapes {
		if !used[s] {
			t.Errorf("%s is always empty: the test says little", s.Name)
		}
	}
}

// likeModel applies entries over maps and to two databases, and notes which tables are used.
func likeModel(t *testing.T, entries []core.Entry, used map[*schema.Shape]bool) {
	t.Helper()
	m := applytest.NewModel()
	var want []core.Receipt
	for _, e := range entries {
		m.Take(e)
		want = append(want, m.Receipts[e.Index])
	}
	whole := newNode(t, pgtest.Database(t))
	small := newNode(t, pgtest.Database(t), tinyCache)
	rnd := rand.New(rand.NewPCG(1, 2))
	compare(t, want, whole.apply(t, entries...))
	var got []core.Receipt
	for rest := entries; len(rest) > 0; {
		n := min(1+rnd.IntN(20), len(rest))
		got = append(got, small.apply(t, rest[:n]...)...)
		rest = rest[n:]
	}
	compare(t, want, got)
	same(t, whole, small)
	if got := whole.Position().Digest; got != m.Digest {
		t.Errorf("the digest is %v, over maps %v", got, m.Digest)
	}
	equalRows(t, m, whole.db)
	for _, s := range apply.Shapes {
		used[s] = used[s] || len(m.Rows(s)) > 0
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
func equalRows(t *testing.T, m *applytest.Model, db *pg.DB) {
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

// The recorded logs give the same digest on PostgreSQL as on maps.
func TestReplica_History(t *testing.T) {
	files, err := filepath.Glob("../apply/testdata/history/*.log.gz")
	if err != nil || len(files) == 0 {
		t.Fatal("no recorded history", err)
	}
	for _, file := range files {
		entries, err := applytest.ReadHistory(file)
		if err != nil {
			t.Fatal(err)
		}
		digests, err := os.ReadFile(strings.TrimSuffix(file, ".log.gz") + ".txt")
		if err != nil {
			t.Fatal(err)
		}
		n := newNode(t, pgtest.Database(t))
		n.apply(t, entries...)
		lines := strings.Fields(string(digests))
		if got := n.Position().Digest.String(); got != lines[len(lines)-1] {
			t.Errorf("%s comes to %s, recorded was %s", file, got, lines[len(lines)-1])
		}
	}
}
