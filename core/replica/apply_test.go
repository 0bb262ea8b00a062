package replica_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/apply"
	"github.com/nearside/nearside/core/command"
	"github.com/nearside/nearside/core/event"
	"github.com/nearside/nearside/core/pg"
	"github.com/nearside/nearside/core/pg/pgtest"
	"github.com/nearside/nearside/core/replica"
)

// After WaitApplied for its index, a post can be read from the tables.
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
	var made command.Made
	if err := command.DecodeOutcome(receipts[0].Outcome, &made); err != nil {
		t.Fatal(err)
	}
	got, ok, err := pg.QueryOne(t.Context(), n.db, "SELECT "+pg.Columns(apply.Posts.Shape, "p")+" FROM posts p WHERE p.id = $1", pg.Scan[core.Post](apply.Posts.Shape), made.ID)
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	if got.CreateAt != made.At {
		t.Fatalf("the outcome says %d, the row %d", made.At, got.CreateAt)
	}
}

// Applying entries again changes nothing and gives their receipts again.
func TestReplica_Apply_Replay(t *testing.T) {
	n := newNode(t, pgtest.Database(t))
	l := newLog(t)
	entries := append(l.begin(), l.posts(3)...)
	first := n.apply(t, entries...)
	at, sums := n.Position(), digests(t, n)
	again := n.apply(t, entries...)
	if d := cmp.Diff(first, again); d != "" {
		t.Errorf("receipts differ:\n%s", d)
	}
	if n.Position() != at {
		t.Errorf("moved from %v to %v", at, n.Position())
	}
	if d := cmp.Diff(sums, digests(t, n)); d != "" {
		t.Errorf("tables changed:\n%s", d)
	}
}

// A proposal that is ordered twice is applied once, in one batch or two, and both entries get
// the first receipt.
func TestReplica_Apply_RepeatedProposal(t *testing.T) {
	for _, batches := range []int{1, 2} {
		t.Run(fmt.Sprint(batches), func(t *testing.T) {
			n := newNode(t, pgtest.Database(t))
			l := newLog(t)
			n.apply(t, l.begin()...)
			posts := count(t, n.db, "SELECT count(*) FROM posts")
			first, second := l.post("once"), l.post("")
			second.ID, second.Data = first.ID, first.Data
			var got []core.Receipt
			if batches == 1 {
				got = n.apply(t, first, second)
			} else {
				got = append(n.apply(t, first), n.apply(t, second)...)
			}
			accepted(t, got)
			if d := cmp.Diff(got[0], got[1]); d != "" || got[0].Index != first.Index {
				t.Errorf("receipts differ:\n%s", d)
			}
			if got := count(t, n.db, "SELECT count(*) FROM posts"); got != posts+1 {
				t.Errorf("%d posts became %d", posts, got)
			}
			if n.Position().Index != second.Index {
				t.Errorf("at %v, not at entry %d", n.Position(), second.Index)
			}
		})
	}
}

// A replica that has just started does not know which proposals it accepted. So a batch that repeats one is
// decided from memory, refused by the database, and decided again. Decided anew, the repeated proposal here
// would be refused, because the channel is archived by now, and the replica would diverge. The connection and
// what is in memory still serve afterwards: a batch without a repetition takes one round trip.
func TestReplica_Apply_RepeatedAfterStart(t *testing.T) {
	l := newLog(t)
	first := newNode(t, pgtest.Database(t))
	header, begin := "h", l.begin()
	patch := l.Entry(l.by, &command.PatchChannel{ChannelID: l.room, ChannelPatch: core.ChannelPatch{Header: &header}})
	archive := l.Entry(l.by, &command.DeleteChannel{ChannelID: l.room})
	want := first.apply(t, append(begin, patch, archive)...)[len(begin)]
	n := tripsNode{registry: prometheus.NewRegistry()}
	n.node = newNode(t, first.cfg, func(c *replica.Config) { c.Metrics, c.FlushEvery = n.registry, limit })
	n.apply(t, l.post("refused, but the rows are in memory now"))
	for _, trips := range []int{3, 2} { // in vain, to read, and to write; then it is remembered
		batch := []core.Entry{l.post("refused"), l.Again(patch), l.Again(archive)}
		before := n.trips(t)
		got := n.apply(t, batch...)
		if took := n.trips(t) - before; took != trips {
			t.Errorf("%d round trips, not %d", took, trips)
		}
		if d := cmp.Diff(want, got[1]); d != "" {
			t.Errorf("the receipt is not that of the first:\n%s", d)
		}
		before = n.trips(t)
		n.apply(t, l.post("refused"))
		if took := n.trips(t) - before; took != 1 {
			t.Errorf("%d round trips afterwards", took)
		}
		if n.Position().Digest != l.Model.Digest {
			t.Errorf("the digest is %v, over maps %v", n.Position().Digest, l.Model.Digest)
		}
	}
}

// Whether a proposal is a repetition depends only on the times in the log, not on the batches or on when
// old rows are removed.
func TestReplica_Apply_ForgetsByLogTime(t *testing.T) {
	a, b := newNode(t, pgtest.Database(t)), newNode(t, pgtest.Database(t))
	l := newLog(t)
	entries := append(l.begin(), l.posts(2)...)
	old := entries[len(entries)-1]
	l.At = l.At.Add(core.DedupeWindow / 2)
	middle := l.post("later")
	l.At = l.At.Add(core.DedupeWindow/2 + 2*3600e9)
	again := l.post("")
	again.ID, again.Data = old.ID, old.Data // forgotten, so it is decided again: the post id is taken
	late := l.post("")
	late.ID, late.Data = middle.ID, middle.Data // remembered
	entries = append(entries, middle, again, late)
	ra := a.apply(t, entries...)
	var rb []core.Receipt
	for _, e := range entries {
		rb = append(rb, b.apply(t, e)...)
	}
	if d := cmp.Diff(ra, rb); d != "" {
		t.Errorf("receipts differ:\n%s", d)
	}
	if ra[len(ra)-2].Index != again.Index || ra[len(ra)-1].Index != middle.Index {
		t.Errorf("receipts %d and %d, want %d and %d", ra[len(ra)-2].Index, ra[len(ra)-1].Index, again.Index, middle.Index)
	}
	if n := count(t, a.db, "SELECT count(*) FROM entries"); n != 3 {
		t.Errorf("%d entries are remembered, not 3", n)
	}
	same(t, a, b)
}

// A refused command changes no rows, whatever it had written before it was refused.
func TestReplica_Apply_Refusal(t *testing.T) {
	n := newNode(t, pgtest.Database(t))
	l := newLog(t)
	n.apply(t, l.begin()...)
	before := digests(t, n)
	p := l.post("no")
	var missing command.Command = &command.CreatePost{Post: core.Post{ID: id[core.Post](l), ChannelID: id[core.Channel](l), Message: "x"}}
	bad := l.Entry(l.by, missing)
	stranger := l.Entry(command.Caller{Session: id[core.Session](l)}, &command.DeleteTeam{TeamID: l.team})
	got := n.apply(t, bad, stranger)
	for _, r := range got {
		if err := command.DecodeOutcome(r.Outcome, nil); err == nil {
			t.Errorf("entry %d was accepted", r.Index)
		}
	}
	for i, d := range digests(t, n) {
		if d != before[i] && d.Name != "entries" && d.Name != "applied" {
			t.Errorf("%s changed from %v to %v", d.Name, before[i], d)
		}
	}
	_ = p
}

// The replica stops immediately before an entry that it cannot understand.
func TestReplica_Apply_UnknownCommand(t *testing.T) {
	n := newNode(t, pgtest.Database(t))
	l := newLog(t)
	n.apply(t, l.begin()...)
	good, bad := l.post("good"), l.Raw([]byte{0xa3, 1, 0x19, 0xff, 0xff, 2, 0xa1, 1, 0x40, 3, 0xa0})
	got, err := n.Apply(t.Context(), []core.Entry{good, bad, l.post("never")})
	if core.KindOf(err) != core.KindUpgrade {
		t.Fatalf("got %v", err)
	}
	if len(got) != 1 || n.Position().Index != good.Index {
		t.Fatalf("%d receipts, at %v; want the one entry %d", len(got), n.Position(), good.Index)
	}
	if _, err := n.Apply(t.Context(), []core.Entry{bad}); core.KindOf(err) != core.KindUpgrade || n.Position().Index != good.Index {
		t.Fatalf("again: %v at %v", err, n.Position())
	}
}

// A follower comes to its source's digest, skips entries that it has, and refuses a batch with another
// digest or of another epoch without changing anything.
func TestSink_Apply(t *testing.T) {
	home, edge := newNode(t, pgtest.Database(t)), newNode(t, pgtest.Database(t))
	l := newLog(t)
	entries := append(l.begin(), l.posts(5)...)
	home.apply(t, entries...)
	good := core.Batch{Entries: entries, After: home.Position()}
	bad := good
	bad.After.Digest[3]++
	sink := edge.Sink()
	wantErr(t, sink.Apply(t.Context(), bad), core.ErrDiverged)
	if !edge.Position().Same(core.Position{}) || count(t, edge.db, "SELECT count(*) FROM users") != 0 {
		t.Fatalf("a diverged batch left traces; at %v", edge.Position())
	}
	for range 2 {
		if err := sink.Apply(t.Context(), good); err != nil {
			t.Fatal(err)
		}
		same(t, home, edge)
	}
	wantErr(t, sink.Apply(t.Context(), bad), core.ErrDiverged)
	other := core.Batch{Entries: []core.Entry{l.post("elsewhere")}}
	other.After = core.Position{Epoch: 2, Index: other.Entries[0].Index}
	wantErr(t, sink.Apply(t.Context(), other), core.ErrDiverged)
	same(t, home, edge)
}

// Hundreds of waiters and subscribers see every entry once, in order and not too early, while batches
// are applied.
func TestReplica_ConcurrentReaders(t *testing.T) {
	n := newNode(t, pgtest.Database(t))
	l := newLog(t)
	entries := append(l.begin(), l.posts(60)...)
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	var wg sync.WaitGroup
	for i := range 200 {
		want := entries[i%len(entries)].Index
		wg.Go(func() {
			if err := n.WaitApplied(ctx, want); err != nil {
				t.Errorf("wait for %d: %v", want, err)
			}
			if got := n.Position().Index; got < want {
				t.Errorf("woken at %d, not %d", got, want)
			}
		})
		gone, leave := context.WithCancel(ctx)
		wg.Go(func() { _ = n.WaitApplied(gone, 1<<40) })
		wg.Go(leave)
	}
	last := entries[len(entries)-1].Index
	for range 20 {
		cursor := n.Subscribe()
		wg.Go(func() {
			var seen core.Index
			for seen < last {
				batches, err := cursor.Next(ctx)
				if err != nil {
					t.Errorf("after %d: %v", seen, err)
					return
				}
				seen = inOrder(t, batches, seen)
			}
		})
	}
	for len(entries) > 0 {
		k := min(7, len(entries))
		n.apply(t, entries[:k]...)
		entries = entries[k:]
	}
	wg.Wait()
}

func inOrder(t *testing.T, batches []event.Batch, seen core.Index) core.Index {
	for _, b := range batches {
		if b.Index <= seen {
			t.Errorf("entry %d announced after %d", b.Index, seen)
		}
		seen = b.Index
	}
	return seen
}

// The digest of any remembered entry can be asked for.
func TestReplica_DigestAt(t *testing.T) {
	n := newNode(t, pgtest.Database(t))
	l := newLog(t)
	var want []core.Position
	for _, e := range append(l.begin(), l.posts(3)...) {
		n.apply(t, e)
		want = append(want, n.Position())
	}
	for _, p := range append(want, core.Position{}) {
		got, ok, err := n.DigestAt(t.Context(), p.Index)
		if err != nil || !ok || got != p.Digest {
			t.Errorf("at %d: %v, %v, %v; want %v", p.Index, got, ok, err, p.Digest)
		}
	}
	if _, ok, err := n.DigestAt(t.Context(), 1000); ok || err != nil {
		t.Errorf("of an entry to come: %v, %v", ok, err)
	}
}

func digests(t testing.TB, n *node) []pg.TableDigest {
	t.Helper()
	d, err := n.Digests(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return d
}
