package replica_test

import (
	"bytes"
	"io"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/apply/applytest"
	"github.com/nearside/nearside/core/command"
	"github.com/nearside/nearside/core/eventually"
	"github.com/nearside/nearside/core/pg"
	"github.com/nearside/nearside/core/pg/pgtest"
	"github.com/nearside/nearside/core/replica"
)

// sealedAt gives which of some values a replica has sealed.
func sealedAt(t testing.TB, n *node, values ...string) (out []string) {
	t.Helper()
	for _, v := range values {
		got, ok, err := pg.Unseal(t.Context(), n.db, core.SealOf([]byte(v)))
		if err != nil || ok && string(got) != v {
			t.Fatalf("%q: %q, %v", v, got, err)
		}
		if ok {
			out = append(out, v)
		}
	}
	return out
}

// signUp makes an account with a sealed password hash.
func (l *log) signUp(name, hash string, more ...string) core.Entry {
	sealed := [][]byte{[]byte(hash)}
	for _, v := range more {
		sealed = append(sealed, []byte(v))
	}
	u := core.User{ID: applytest.ID[core.User](l.Log), Username: name, Email: name + "@example.com", PasswordSeal: core.SealOf([]byte(hash))}
	return l.Entry(command.Caller{}, &command.CreateUser{User: u, OpenServer: true}, sealed...)
}

// Home keeps the sealed values that an accepted command names, and nothing else of a sealed part. A replica that
// gets the entries without them comes to the same state, and so does one that is restored from the snapshot for
// edges, which has none. A snapshot for home nodes has them, and its id does not open it for an edge.
func TestReplica_SealedValues(t *testing.T) {
	home, away := newNode(t, pgtest.Database(t)), newNode(t, pgtest.Database(t))
	l := newLog(t)
	entries := []core.Entry{l.signUp("ann", "hash of ann", "named by nothing"), l.signUp("ann", "hash of another ann"), l.signUp("bob", "hash of ann")}
	all := []string{"hash of ann", "named by nothing", "hash of another ann"}
	home.apply(t, entries...)
	for i := range entries {
		entries[i].Sealed = nil
	}
	away.apply(t, entries...)
	same(t, home, away)
	if got := sealedAt(t, home, all...); !slices.Equal(got, all[:1]) {
		t.Errorf("home has sealed %q", got)
	}
	if got := sealedAt(t, away, all...); got != nil {
		t.Errorf("the edge has sealed %q", got)
	}
	var whole core.Snapshot
	for _, sealed := range []bool{true, false} {
		id := ""
		if whole != nil {
			id = whole.ID()
		}
		s, err := home.Snapshot(t.Context(), id, sealed)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		raw, err := io.ReadAll(io.NewSectionReader(s, 0, math.MaxInt64))
		if err != nil || bytes.Contains(raw, []byte("hash of ann")) != sealed {
			t.Errorf("the snapshot with sealed values %v: %v", sealed, err)
		}
		copied := newNode(t, pgtest.Database(t))
		if err := copied.Restore(t.Context(), s.Position(), bytes.NewReader(raw)); err != nil {
			t.Fatal(err)
		}
		same(t, home, copied)
		if got := sealedAt(t, copied, all...); len(got) > 0 != sealed {
			t.Errorf("restored with sealed values %v: %q", sealed, got)
		}
		whole = s
	}
}

// Readers that answer clients cannot see sealed values, also at home.
func TestReplica_SealedValues_NotForReaders(t *testing.T) {
	cfg := pgtest.Database(t)
	home := newNode(t, cfg)
	home.apply(t, newLog(t).signUp("ann", "hash of ann"))
	cfg.Role = pg.ReaderRole
	if _, _, err := pg.Unseal(t.Context(), pgtest.Connect(t, cfg), core.SealOf([]byte("hash of ann"))); err == nil {
		t.Error("a reader read a sealed value")
	}
}

// A sealed value that no row names any more is removed after a while, and no other.
func TestReplica_SealedValues_AreSwept(t *testing.T) {
	n := newNode(t, pgtest.Database(t), func(c *replica.Config) { c.SweepEvery = 10 * time.Millisecond })
	l := newLog(t)
	n.apply(t, l.begin()...)
	token := func(text string) (core.TokenHash, core.SessionID) {
		return core.HashToken(text), applytest.ID[core.Session](l.Log)
	}
	old, oldID := token("old")
	kept, keptID := token("kept")
	fresh, freshID := token("fresh")
	in := func(h core.TokenHash, id core.SessionID) core.Entry {
		return l.Entry(command.Caller{}, &command.CreateSession{Session: core.Session{ID: id, UserID: l.user, Token: h.Seal()}, PasswordSeal: core.Seal{1}}, h[:])
	}
	accepted(t, n.apply(t, in(old, oldID), in(kept, keptID), l.Entry(l.by, &command.EndSession{SessionID: oldID})))
	l.At = l.At.Add(2 * time.Hour)
	accepted(t, n.apply(t, in(fresh, freshID), l.Entry(l.by, &command.EndSession{SessionID: freshID})))
	all := []string{string(old[:]), string(kept[:]), string(fresh[:])}
	eventually.True(t, "the old value goes", func() bool { return len(sealedAt(t, n, all[0])) == 0 })
	if got := sealedAt(t, n, all...); !slices.Equal(got, all[1:]) {
		t.Errorf("%d values are left", len(got))
	}
}
