package region

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/raft"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/eventually"
)

// follow tails from a position until it has n entries, checks that the digests it comes to
// are those of the batches, and gives the entries' ids.
func (n *node) follow(at core.Position, want int, maxBytes int) ([]core.ProposalID, core.Position) {
	n.world.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), eventually.Limit)
	defer cancel()
	var ids []core.ProposalID
	for len(ids) < want {
		b, err := n.Tail(ctx, at, maxBytes)
		if err != nil {
			n.world.t.Fatalf("tail after %s: %v", at, err)
		}
		d := at.Digest
		for _, e := range b.Entries {
			if e.Index <= at.Index {
				n.world.t.Fatalf("entry %d after %s", e.Index, at)
			}
			ids = append(ids, e.ID)
			d = d.Next(e, []byte("ok"))
		}
		if d != b.After.Digest {
			n.world.t.Fatalf("after %s the digest is %s, want %s", at, d, b.After.Digest)
		}
		at = b.After
	}
	return ids, at
}

func wantIDs(from, to int) []core.ProposalID {
	var ids []core.ProposalID
	for i := from; i < to; i++ {
		ids = append(ids, proposal(i).ID)
	}
	return ids
}

func TestTail(t *testing.T) {
	for _, where := range []struct {
		name      string
		tailBytes int
	}{{"FromMemory", 1 << 20}, {"FromDisk", 1}} {
		t.Run(where.name, func(t *testing.T) {
			w := startWorld(t, 1, func(c *Config) { c.TailBytes = where.tailBytes })
			n := w.nodes[0]
			rec := n.propose(0, 50)

			// A follower gets every entry once, from the beginning, the middle or the end.
			ids, tip := n.follow(core.Position{}, 50, 700)
			if d := cmp.Diff(wantIDs(0, 50), ids); d != "" {
				t.Error(d)
			}
			mid := core.Position{Epoch: 1, Index: rec[19].Index, Digest: n.machine.digests[rec[19].Index]}
			ids, _ = n.follow(mid, 30, 1<<20)
			if d := cmp.Diff(wantIDs(20, 50), ids); d != "" {
				t.Error(d)
			}
			if tip != n.Position() {
				t.Errorf("followed to %s, source is at %s", tip, n.Position())
			}
			got := make(chan []core.ProposalID, 1)
			go func() { ids, _ := n.follow(tip, 1, 1<<20); got <- ids }()
			n.propose(50, 51)
			if d := cmp.Diff(wantIDs(50, 51), <-got); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestTail_OverRestart(t *testing.T) {
	// After its source has restarted, a follower goes on where it was, from the log on disk.
	w := startWorld(t, 1, nil)
	n := w.nodes[0]
	n.propose(0, 10)
	_, at := n.follow(core.Position{}, 10, 1<<20)
	n.propose(10, 20)
	n.stop()
	n.start()
	ids, _ := n.follow(at, 10, 1<<20)
	if d := cmp.Diff(wantIDs(10, 20), ids); d != "" {
		t.Error(d)
	}
}

func TestTail_Refuses(t *testing.T) {
	w := startWorld(t, 1, func(c *Config) { c.TrailingLogs, c.TailBytes = 5, 1 })
	n := w.nodes[0]
	rec := n.propose(0, 30)
	good := n.Position()
	bad := good
	bad.Digest[0]++
	oldBad := core.Position{Epoch: 1, Index: rec[3].Index}
	if err := n.raft.Snapshot().Error(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		after core.Position
		want  error
	}{
		{"ZeroIsCompacted", core.Position{}, core.ErrCompacted},
		{"OldIsCompacted", core.Position{Epoch: 1, Index: rec[3].Index, Digest: n.machine.digests[rec[3].Index]}, core.ErrCompacted},
		{"OtherDigestDiverged", bad, core.ErrDiverged},
		{"OldOtherDigestDiverged", oldBad, core.ErrDiverged},
		{"OlderEpochDiverged", core.Position{Epoch: 0, Index: good.Index, Digest: good.Digest}, core.ErrDiverged},
		{"NewerEpochDiverged", core.Position{Epoch: 2}, core.ErrDiverged},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := n.Tail(t.Context(), c.after, 1<<20); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
	t.Run("ForgottenDigestIsCompacted", func(t *testing.T) {
		// A position whose digest is not remembered cannot be verified, so the follower needs a snapshot.
		n.machine.mu.Lock()
		delete(n.machine.digests, rec[27].Index)
		n.machine.mu.Unlock()
		if _, err := n.Tail(t.Context(), core.Position{Epoch: 1, Index: rec[27].Index}, 1); !errors.Is(err, core.ErrCompacted) {
			t.Errorf("got %v, want ErrCompacted", err)
		}
	})
	t.Run("AheadWaits", func(t *testing.T) {
		// A position ahead of a home node that is behind is no divergence: Tail waits.
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
		defer cancel()
		ahead := core.Position{Epoch: 1, Index: good.Index + 100}
		if _, err := n.Tail(ctx, ahead, 1); core.KindOf(err) != core.KindTimeout {
			t.Errorf("got %v, want KindTimeout", err)
		}
	})
	t.Run("StoppedIsUnavailable", func(t *testing.T) {
		n.stop()
		if _, err := n.Tail(t.Context(), good, 1); core.KindOf(err) != core.KindUnavailable {
			t.Errorf("got %v, want KindUnavailable", err)
		}
	})
}

func TestTail_SteadyFollowerAsksNoDatabase(t *testing.T) {
	// A follower at the end of the log is served from memory only.
	w := startWorld(t, 1, nil)
	n := w.nodes[0]
	n.propose(0, 5)
	_, at := n.follow(core.Position{}, 5, 1<<20)
	n.machine.mu.Lock()
	clear(n.machine.digests) // the database would not know
	n.machine.mu.Unlock()
	n.propose(5, 10)
	if ids, _ := n.follow(at, 5, 1<<20); len(ids) != 5 {
		t.Errorf("%d entries, want 5", len(ids))
	}
}

func TestSnapshot_FlushesBeforeTruncating(t *testing.T) {
	// The log is shortened only up to what the machine has flushed, and not at all when
	// flushing fails.
	w := startWorld(t, 1, func(c *Config) { c.TrailingLogs = 1 })
	n := w.nodes[0]
	n.propose(0, 20)
	first := func() uint64 {
		i, err := n.log.FirstIndex()
		if err != nil {
			t.Fatal(err)
		}
		return i
	}
	n.machine.mu.Lock()
	n.machine.flushErr = errors.New("no space")
	n.machine.mu.Unlock()
	if err := n.raft.Snapshot().Error(); err == nil {
		t.Error("a snapshot succeeded without a flush")
	}
	if got := first(); got != 1 {
		t.Errorf("the log begins at %d after a failed flush", got)
	}
	n.machine.mu.Lock()
	n.machine.flushErr = nil
	n.machine.mu.Unlock()
	if err := n.raft.Snapshot().Error(); err != nil {
		t.Fatal(err)
	}
	n.machine.mu.Lock()
	flushed := n.machine.flushed.Index
	n.machine.mu.Unlock()
	if got := first(); got == 1 || got > uint64(flushed)+1 {
		t.Errorf("the log begins at %d, the machine flushed %d", got, flushed)
	}
}

func TestSnapshot_LaggingFollowerFetches(t *testing.T) {
	t.Run("OverTheLink", func(t *testing.T) {
		// A follower whose entries are gone from the leader's log restores its machine over a
		// link and then follows the log again.
		w, n := laggingWorld(t)
		n.start()
		w.leader().propose(60, 70)
		w.agree()
		if n.fetched() == 0 {
			t.Error("the follower did not fetch")
		}
		if d := cmp.Diff(wantIDs(0, 70), n.machine.ids()); d != "" {
			t.Error(d)
		}
	})
	t.Run("KilledWhileFetching", func(t *testing.T) {
		// A node that was killed after it got the pointer and before it had the state must not apply
		// later entries to its old state.
		w, n := laggingWorld(t)
		n.failFetch(errors.New("link cut"))
		n.start()
		eventually.Nil(t, func() error {
			if n.fetched() == 0 {
				return errors.New("not yet fetching")
			}
			return nil
		})
		n.kill()
		before := n.machine.Position()
		n.failFetch(nil)
		n.start()
		w.leader().propose(60, 70)
		w.agree()
		if d := cmp.Diff(wantIDs(0, 70), n.machine.ids()); d != "" {
			t.Errorf("was at %s: %s", before, d)
		}
	})
}

// laggingWorld gives a world whose last node is stopped and needs a snapshot.
func laggingWorld(t *testing.T) (*world, *node) {
	w := startWorld(t, 3, func(c *Config) {
		c.TrailingLogs = 3
		c.openLog = func(dir string) (logStore, error) { return openWAL(dir, 1024) } // whole segments go
	})
	n := w.followers()[0]
	w.leader().propose(0, 10)
	w.agree()
	n.stop()
	w.leader().propose(10, 60)
	for _, up := range w.nodes {
		if up != n {
			if err := up.raft.Snapshot().Error(); err != nil {
				t.Fatal(err)
			}
		}
	}
	return w, n
}

func TestDecodeLog(t *testing.T) {
	// The form of an entry never changes, and one ordered in another term than it was stamped
	// for is void.
	p := core.Proposal{ID: core.ProposalID{1, 2}, Scope: core.Scope{Team: core.TeamID{3}}, Sealed: [][]byte{{0xab}}, Data: []byte("hi")}
	b := encodeEntry(p)
	stampEntry(b, 7, 1_700_000_000_123_456_789)
	const golden = "01 0000000000000007 17979cfe3d85cd15 01020000000000000000000000000000 03000000000000000000000000000000 b693c37c 01 0001ab 6869"
	if got := hex.EncodeToString(b); got != strings.ReplaceAll(golden, " ", "") {
		t.Errorf("encoded as %s", got)
	}
	kind, e, err := decodeLog(&raft.Log{Index: 9, Term: 7, Type: raft.LogCommand, Data: b})
	want := core.Entry{Index: 9, At: time.Unix(0, 1_700_000_000_123_456_789).UTC(), ID: p.ID, Scope: p.Scope, Sealed: p.Sealed, Data: p.Data}
	if d := cmp.Diff(want, e); kind != isEntry || err != nil || d != "" {
		t.Errorf("%v %v %s", kind, err, d)
	}
	for i := range b {
		rotten := bytes.Clone(b)
		rotten[i] ^= 4
		if _, got, err := decodeLog(&raft.Log{Index: 9, Term: 7, Type: raft.LogCommand, Data: rotten}); err == nil && got.Index != 0 {
			t.Errorf("byte %d is damaged, and the entry is read as %+v", i, got)
		}
	}
	for name, l := range map[string]*raft.Log{
		"void":  {Term: 8, Type: raft.LogCommand, Data: b},
		"noop":  {Term: 7, Type: raft.LogNoop},
		"other": {Term: 7, Type: raft.LogConfiguration, Data: []byte{1}},
	} {
		if kind, _, err := decodeLog(l); kind != isNothing || err != nil {
			t.Errorf("%s: %v %v", name, kind, err)
		}
	}
	if kind, _, err := decodeLog(&raft.Log{Term: 7, Type: raft.LogCommand, Data: encodeMark(7)}); kind != isMark || err != nil {
		t.Errorf("mark: %v %v", kind, err)
	}
}

func FuzzDecodeLog(f *testing.F) {
	f.Add([]byte{})
	f.Add(encodeMark(1))
	f.Add(encodeEntry(proposal(1)))
	f.Fuzz(func(t *testing.T, b []byte) {
		// Decoding any bytes gives a result or KindUpgrade, never a panic.
		kind, e, err := decodeLog(&raft.Log{Index: 3, Term: 1, Type: raft.LogCommand, Data: b})
		if err != nil && core.KindOf(err) != core.KindUpgrade {
			t.Errorf("%v", err)
		}
		if kind == isEntry && e.Index != 3 {
			t.Errorf("%+v", e)
		}
	})
}
