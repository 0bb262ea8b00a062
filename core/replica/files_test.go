package replica_test

import (
	"bytes"
	"testing"

	"github.com/nearside/nearside/core/apply/applytest"
	"github.com/nearside/nearside/core/pg/pgtest"
)

// A snapshot has files, their texts, uploads, links and counts, and a replica restored from it goes on
// as if it had applied everything itself.
func TestReplica_Restore_Files(t *testing.T) {
	c := applytest.NewChaos(4)
	a, b := newNode(t, pgtest.Database(t)), newNode(t, pgtest.Database(t))
	entries := c.People()
	for len(entries) < 500 {
		entries = append(entries, c.Next())
	}
	a.apply(t, entries[:300]...)
	for _, table := range []string{"files", "file_texts", "file_links", "uploads", "blobs"} {
		if count(t, a.db, "SELECT count(*) FROM "+table) == 0 {
			t.Errorf("%s is empty: the test says little", table)
		}
	}
	at, raw := copyOf(t, a)
	if err := b.Restore(t.Context(), at, bytes.NewReader(raw)); err != nil {
		t.Fatal(err)
	}
	same(t, a, b)
	a.apply(t, entries[300:]...)
	b.apply(t, entries[300:]...)
	same(t, a, b)
}
