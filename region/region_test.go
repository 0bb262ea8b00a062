package region

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hashicorp/raft"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/eventually"
)

func TestRegion_OneVoter(t *testing.T) {
	t.Run("LeadsWithinASecond", func(t *testing.T) {
		// A home of one node takes its first write soon after it starts.
		begin := time.Now()
		w := startWorld(t, 1, nil)
		w.nodes[0].propose(0, 1)
		eventually.InTime(t, begin, time.Second)
	})
	t.Run("RestartLosesAndDoublesNothing", func(t *testing.T) {
		// After a restart, everything that was acknowledged before is there once, in the same order.
		w := startWorld(t, 1, nil)
		n := w.nodes[0]
		n.propose(0, 50)
		if err := n.stop(); err != nil {
			t.Fatal(err)
		}
		before := n.machine.ids()
		n.start()
		w.leader()
		n.propose(25, 75) // half of them are retries
		ids := n.machine.ids()
		if len(ids) != 75 {
			t.Fatalf("%d ids, want 75", len(ids))
		}
		if d := cmp.Diff(before, ids[:50]); d != "" {
			t.Error(d)
		}
	})
	t.Run("LostDatabaseIsReplayedFromTheLog", func(t *testing.T) {
		// A machine that has lost its state gets everything again from the log.
		w := startWorld(t, 1, nil)
		n := w.nodes[0]
		n.propose(0, 20)
		want := n.Position()
		n.stop()
		n.machine = newChain()
		n.start()
		eventually.Nil(t, func() error {
			if got := n.Position(); got != want {
				return errors.New(got.String())
			}
			return nil
		})
	})
	t.Run("LostLogIsRefused", func(t *testing.T) {
		// A database whose log is gone must not silently start a new history.
		w := startWorld(t, 1, nil)
		n := w.nodes[0]
		n.propose(0, 5)
		n.stop()
		n.dir = t.TempDir()
		n.start()
		if err := n.ended(); core.KindOf(err) != core.KindDiverged {
			t.Errorf("Run gave %v, want KindDiverged", err)
		}
	})
}

// A proposal of another node is checked once, by the leader, whichever home node it came to. If it is refused,
// it is not tried again. A proposal of a home node itself is not checked.
func TestAccept_ChecksOnce(t *testing.T) {
	var checked atomic.Int32
	bad := core.Refusal{Kind: core.KindUnavailable, ID: "x"}.With("reason", "later_version")
	w := startWorld(t, 3, func(c *Config) {
		c.Check = func(_ context.Context, p core.Proposal) (core.Proposal, error) {
			checked.Add(1)
			if string(p.Data) == "bad" {
				return p, bad
			}
			return p, nil
		}
	})
	for i, n := range w.nodes {
		begun := checked.Load()
		if _, err := n.Accept(t.Context(), proposal(i)); err != nil {
			t.Fatal(err)
		}
		if _, err := n.Accept(t.Context(), core.Proposal{ID: proposal(9).ID, Data: []byte("bad")}); core.AsError(err).ID != bad.ID {
			t.Errorf("what the check refuses gave %v", err)
		}
		if got := checked.Load() - begun; got != 2 {
			t.Errorf("two proposals to %s were checked %d times", n.name, got)
		}
	}
	begun, leader := checked.Load(), w.leader()
	leader.propose(3, 4)
	if got := checked.Load(); got != begun {
		t.Errorf("the leader's own proposal was checked %d times", got-begun)
	}
	if _, err := leader.Order(t.Context(), core.Proposal{ID: proposal(9).ID, Data: []byte("bad")}); core.AsError(err).ID != bad.ID {
		t.Errorf("handed over, what the check refuses gave %v", err)
	}
	w.agree()
	if got := len(leader.machine.ids()); got != 4 {
		t.Errorf("%d entries, not 4", got)
	}
}

func TestPropose_Bounds(t *testing.T) {
	w := startWorld(t, 1, func(c *Config) { c.MaxInFlight = 1 })
	n := w.nodes[0]
	big := proposal(0)
	big.Data = make([]byte, core.MaxProposalBytes+1)
	if _, err := n.Propose(t.Context(), big); core.KindOf(err) != core.KindTooLarge {
		t.Errorf("too large: %v", err)
	}
	if _, err := n.Propose(t.Context(), core.Proposal{}); core.KindOf(err) != core.KindInvalid {
		t.Errorf("without id: %v", err)
	}
	big.Data = big.Data[:core.MaxProposalBytes]
	if _, err := n.Propose(t.Context(), big); err != nil {
		t.Errorf("largest: %v", err)
	}
	n.enter(0) // as if a proposal were under way
	_, err := n.Propose(t.Context(), proposal(1))
	if e := core.AsError(err); err == nil || e.Kind != core.KindUnavailable || e.ID != busy.ID {
		t.Errorf("busy: %v", err)
	}
	n.leave(0)
	n.propose(1, 2)
}

func TestPropose_SameIDFromMany(t *testing.T) {
	// Callers that retry one id at the same time all get the same receipt, and it is applied once.
	w := startWorld(t, 1, nil)
	n := w.nodes[0]
	var wg sync.WaitGroup
	got := make([]core.Receipt, 16)
	for i := range got {
		wg.Go(func() {
			r, err := n.Propose(t.Context(), proposal(7))
			if err != nil {
				t.Error(err)
			}
			got[i] = r
		})
	}
	wg.Wait()
	for _, r := range got {
		if r.Index != got[0].Index || r.Index == 0 {
			t.Errorf("receipts differ: %v", got)
			break
		}
	}
	if ids := n.machine.ids(); len(ids) != 1 {
		t.Errorf("applied %d times", len(ids))
	}
}

func TestPropose_Canceled(t *testing.T) {
	// A caller that goes away does not block the others.
	w := newWorld(t, 1, nil)
	n := w.nodes[0]
	n.machine.failures = 1 << 30
	n.start()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := n.Propose(ctx, proposal(0)); !core.KindOf(err).Temporary() {
		t.Errorf("got %v, want a temporary error", err)
	}
	if got := len(n.lead.waiters); got != 0 {
		t.Errorf("%d waiters left", got)
	}
	n.machine.mu.Lock()
	n.machine.failures = 0
	n.machine.mu.Unlock()
	n.propose(0, 2)
}

func TestRegion_ThreeVoters(t *testing.T) {
	t.Run("FollowerHandsOver", func(t *testing.T) {
		// Any home node takes a proposal; edges need not know who leads.
		w := startWorld(t, 3, nil)
		for i, n := range w.nodes {
			n.propose(10*i, 10*i+10)
		}
		w.agree()
		if ids := w.nodes[0].machine.ids(); len(ids) != 30 {
			t.Errorf("%d ids, want 30", len(ids))
		}
	})
	t.Run("KilledLeaderCostsUnderTwoSeconds", func(t *testing.T) {
		// Writes go on within two seconds after the leader was killed. Everything that was acknowledged
		// is there once on every node, also on the killed one after its restart.
		w := startWorld(t, 3, nil)
		var acked []core.ProposalID
		old := w.leader()
		for i := range 100 {
			old.propose(i, i+1)
			acked = append(acked, proposal(i).ID)
		}
		survivor := w.followers()[0]
		begin := time.Now()
		old.kill()
		survivor.propose(100, 101)
		eventually.InTime(t, begin, 2*time.Second)
		survivor.propose(90, 200)
		for i := 100; i < 200; i++ {
			acked = append(acked, proposal(i).ID)
		}
		old.start()
		w.agree()
		for _, n := range w.nodes {
			if d := cmp.Diff(acked, n.machine.ids()); d != "" {
				t.Errorf("%s: %s", n.name, d)
			}
		}
	})
	t.Run("StoppedLeaderHandsLeadershipOver", func(t *testing.T) {
		// A clean stop transfers leadership instead of waiting for an election.
		w := startWorld(t, 3, func(c *Config) { c.ElectionTimeout = 2 * time.Second })
		old, next := w.leader(), w.followers()[0]
		old.propose(0, 5)
		begin := time.Now()
		go old.cancel()
		next.propose(5, 6)
		eventually.InTime(t, begin, 2*time.Second)
		old.stop()
	})
	t.Run("NoMajorityIsUnavailable", func(t *testing.T) {
		// Without a majority a proposal is refused as temporary after its deadline.
		w := startWorld(t, 3, func(c *Config) { c.ProposeTimeout = 700 * time.Millisecond })
		lead := w.leader()
		for _, n := range w.followers() {
			n.kill()
		}
		if _, err := lead.Propose(t.Context(), proposal(0)); !core.KindOf(err).Temporary() {
			t.Errorf("got %v, want a temporary error", err)
		}
	})
}

func TestStamp_GrowsOverLeaderChanges(t *testing.T) {
	// Times grow strictly even when the next leader's clock is an hour behind. The machine
	// panics on a time that does not grow.
	var clocks sync.Map
	w := startWorld(t, 3, func(c *Config) {
		node := c.Node
		c.now = func() time.Time {
			back, _ := clocks.LoadOrStore(node, time.Duration(0))
			return time.Now().Add(-back.(time.Duration))
		}
	})
	for round := range 3 {
		lead := w.leader()
		lead.propose(10*round, 10*round+10)
		for _, n := range w.followers() {
			clocks.Store(n.name, time.Duration(round+1)*time.Hour)
		}
		lead.transfer(t.Context())
	}
	w.leader().propose(30, 40)
	w.agree()
}

func TestStamp_OtherTermIsVoid(t *testing.T) {
	// An entry that was stamped for one term and ordered in another is not applied and not in the feed.
	w := startWorld(t, 1, nil)
	n := w.nodes[0]
	b := encodeEntry(proposal(0))
	stampEntry(b, n.raft.CurrentTerm()-1, time.Now().UnixNano())
	if err := n.raft.Apply(b, eventually.Limit).Error(); err != nil {
		t.Fatal(err)
	}
	n.propose(1, 2)
	if d := cmp.Diff(wantIDs(1, 2), n.machine.ids()); d != "" {
		t.Error(d)
	}
	n.feed.reset(n.Position().Index) // so that the log on disk is read
	if ids, _ := n.follow(core.Position{}, 1, 1<<20); len(ids) != 1 {
		t.Errorf("fed %d entries, want 1", len(ids))
	}
}

func TestEntry_SealedPart(t *testing.T) {
	// An entry keeps its sealed values beside its data; one that is cut short is not read.
	p := proposal(1)
	p.Sealed = [][]byte{[]byte("a hash"), bytes.Repeat([]byte{7}, core.MaxSealedBytes)}
	b := encodeEntry(p)
	stampEntry(b, 3, 4)
	_, e, err := decodeLog(&raft.Log{Type: raft.LogCommand, Term: 3, Data: b})
	if d := cmp.Diff(p, core.Proposal{ID: e.ID, Scope: e.Scope, Data: e.Data, Sealed: e.Sealed}); d != "" || err != nil {
		t.Error(d, err)
	}
	for n := offAt; n < len(b)-len(p.Data); n++ {
		if _, _, err := decodeLog(&raft.Log{Type: raft.LogCommand, Term: 3, Data: b[:n]}); core.KindOf(err) != core.KindUpgrade && !errors.Is(err, errDamaged) {
			t.Fatalf("cut at %d: %v", n, err)
		}
	}
}

func TestRegion_ConcurrentUse(t *testing.T) {
	// Every method may be called by many goroutines while leadership moves.
	const callers, each = 8, 40
	w := startWorld(t, 3, nil)
	ctx, cancel := context.WithTimeout(t.Context(), eventually.Limit)
	defer cancel()
	var wg sync.WaitGroup
	for c := range callers {
		n := w.nodes[c%3]
		wg.Go(func() {
			for i := range each {
				if _, err := n.Propose(ctx, proposal(c*each+i)); err != nil {
					t.Errorf("proposal at %s: %v", n.name, err)
				}
				n.Status()
				n.Leader()
			}
		})
	}
	for _, n := range w.nodes {
		wg.Go(func() { n.follow(core.Position{}, callers*each, 4096) })
	}
	w.leader().transfer(ctx)
	wg.Wait()
	w.agree()
	if ids := w.nodes[0].machine.ids(); len(ids) != callers*each {
		t.Errorf("%d applied, want %d", len(ids), callers*each)
	}
}

func TestApply_MachineErrorIsRetried(t *testing.T) {
	// A database that is down delays entries and loses none.
	w := startWorld(t, 1, nil)
	n := w.nodes[0]
	n.machine.mu.Lock()
	n.machine.failures = 3
	n.machine.mu.Unlock()
	n.propose(0, 10)
	if ids := n.machine.ids(); len(ids) != 10 {
		t.Errorf("%d applied, want 10", len(ids))
	}
}

func TestApply_StopsWhileMachineIsDown(t *testing.T) {
	// A node whose database is down still stops, and applies the rest after its next start.
	w := startWorld(t, 1, func(c *Config) { c.ProposeTimeout = 100 * time.Millisecond })
	n := w.nodes[0]
	n.machine.mu.Lock()
	n.machine.failures = 1 << 30
	n.machine.mu.Unlock()
	if _, err := n.Propose(t.Context(), proposal(0)); core.KindOf(err) != core.KindTimeout {
		t.Errorf("got %v, want KindTimeout", err)
	}
	if err := n.stop(); err != nil {
		t.Fatal(err)
	}
	n.machine.failures = 0
	n.start()
	eventually.Nil(t, func() error {
		if len(n.machine.ids()) != 1 {
			return errors.New("not applied")
		}
		return nil
	})
}

func TestApply_HangingMachineYields(t *testing.T) {
	// If the database of the leader does not answer, another home node leads. Proposals that waited are
	// ordered once, and the node catches up when its database answers again.
	w := startWorld(t, 3, func(c *Config) { c.MachineLate = 50 * time.Millisecond })
	old := w.leader()
	old.propose(0, 1)
	hang := make(chan struct{})
	old.machine.mu.Lock()
	old.machine.hang = hang
	old.machine.mu.Unlock()
	old.propose(1, 10)
	if now := w.leader(); now == old {
		t.Error("the node with the hanging machine still leads")
	}
	close(hang)
	w.agree()
	if ids := old.machine.ids(); len(ids) != 10 {
		t.Errorf("%d applied, want 10", len(ids))
	}
}

func TestApply_UnknownEntryStops(t *testing.T) {
	t.Run("UnknownToTheMachine", func(t *testing.T) {
		// A command that the machine does not know stops the node with an error that says what to do.
		w := startWorld(t, 1, nil)
		n := w.nodes[0]
		n.machine.mu.Lock()
		n.machine.fatal = core.E(core.KindUpgrade, "unknown command 99")
		n.machine.mu.Unlock()
		_, _ = n.Propose(t.Context(), proposal(0))
		wantUpgrade(t, n.ended())
	})
	t.Run("UnknownForm", func(t *testing.T) {
		// An entry in a form of a later version does the same; nothing after it is applied.
		w := startWorld(t, 1, nil)
		n := w.nodes[0]
		n.propose(0, 1)
		n.raft.Apply([]byte{200, 1, 2, 3}, eventually.Limit)
		wantUpgrade(t, n.ended())
		if _, err := n.Propose(t.Context(), proposal(1)); core.KindOf(err) != core.KindUnavailable {
			t.Errorf("after the end: %v", err)
		}
		if ids := n.machine.ids(); len(ids) != 1 {
			t.Errorf("%d applied, want 1", len(ids))
		}
	})
}

func wantUpgrade(t *testing.T, err error) {
	t.Helper()
	if core.KindOf(err) != core.KindUpgrade {
		t.Fatalf("Run gave %v, want KindUpgrade", err)
	}
	if !strings.Contains(err.Error(), "upgrade this node") {
		t.Errorf("message %q does not say what to do", err)
	}
}
