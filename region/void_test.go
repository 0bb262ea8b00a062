package region

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/eventually"
)

// refuse makes a machine refuse a proposal from now on, or accept it again.
func (c *chain) refuse(i int, on bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bad = map[core.ProposalID]bool{proposal(i).ID: on}
}

// stick makes some nodes refuse a proposal, orders it, and waits until these are stuck there.
func (w *world) stick(i int, at ...*node) core.Index {
	w.t.Helper()
	for _, n := range at {
		n.machine.refuse(i, true)
	}
	lead := w.leader()
	ctx, cancel := context.WithCancel(context.Background())
	w.t.Cleanup(cancel)
	go func() { _, _ = lead.Propose(ctx, proposal(i)) }()
	var index core.Index
	for _, n := range at {
		eventually.Nil(w.t, func() error {
			s := n.Stuck()
			if s == nil {
				return errors.New(n.name + " is not stuck")
			}
			index = s.Index
			return nil
		})
	}
	return index
}

// void orders at the leader that an entry is skipped, until the order is given.
func (w *world) void(i core.Index) {
	w.t.Helper()
	eventually.Nil(w.t, func() error { return w.leading().Void(w.t.Context(), i, "no machine can apply it") })
}

// leading gives a node that leads, ready or not: no leader is ready before it has applied what its forerunner has ordered.
func (w *world) leading() (found *node) {
	w.t.Helper()
	eventually.True(w.t, "somebody leads", func() bool {
		for _, n := range w.nodes {
			if n.cancel != nil && n.lead.view().leads {
				found = n
				return true
			}
		}
		return false
	})
	return found
}

// An entry that no machine can apply stops all home nodes, which say so and refuse proposals. After an order to skip it all go
// on with one digest, also if the leader was killed meanwhile. So does a machine that could apply it and gets the
// whole log later, because the node reads ahead; and a follower that reads the log from the disk is told.
func TestVoid_AllGoOn(t *testing.T) {
	w := startWorld(t, 3, nil)
	w.leader().propose(0, 10)
	w.agree()
	i := w.stick(10, w.nodes...)
	lead := w.leading()
	if _, err := lead.Propose(t.Context(), proposal(11)); core.KindOf(err) != core.KindUnavailable || core.AsError(err).ID != stuckThere.ID {
		t.Errorf("a proposal while the leader is stuck: %v", err)
	}
	for what, err := range map[string]error{
		"no reason":     lead.Void(t.Context(), i, " "),
		"a long reason": lead.Void(t.Context(), i, strings.Repeat("x", core.MaxVoidReason+1)),
		"bad text":      lead.Void(t.Context(), i, "\xff"),
		"another entry": lead.Void(t.Context(), i-1, "wrong"),
	} {
		if err == nil {
			t.Errorf("%s: accepted", what)
		}
	}
	lead.kill()
	w.void(i)
	w.leader().propose(20, 30)
	lead.start()
	w.agree()

	late := w.followers()[0]
	if err := late.stop(); err != nil {
		t.Fatal(err)
	}
	late.machine = newChain()
	late.start()
	w.leader().propose(30, 31)
	w.agree()
	b, err := late.readBatch(t.Context(), i-1, 1<<20)
	if err != nil || b.Entries[0].Index != i || b.Entries[0].Void == nil || b.Entries[0].Void.Reason != "no machine can apply it" {
		t.Errorf("the log on the disk gives %+v, %v", b.Entries, err)
	}
	if e, err := late.Entry(t.Context(), i); err != nil || e.ID != proposal(10).ID || e.Void == nil {
		t.Errorf("entry %d is %+v, %v", i, e, err)
	}
	if _, err := late.Entry(t.Context(), b.Entries[0].Void.By); core.KindOf(err) != core.KindNotFound {
		t.Errorf("the order itself: %v", err)
	}
}

// A node that is stuck alone cannot have an entry skipped that the others have applied.
func TestVoid_OfAMinority_IsRefused(t *testing.T) {
	w := startWorld(t, 3, nil)
	w.leader().propose(0, 10)
	alone := w.followers()[0]
	i := w.stick(10, alone)
	if err := w.leader().Void(t.Context(), i, "it is stuck"); core.KindOf(err) != core.KindConflict || !strings.Contains(err.Error(), "1 of 3") {
		t.Errorf("got %v", err)
	}
	if err := alone.Void(t.Context(), i, "it is stuck"); core.KindOf(err) != core.KindConflict {
		t.Errorf("at a node that does not lead: %v", err)
	}
	alone.machine.refuse(10, false)
	w.agree()
	w.leader().propose(11, 12)
	w.agree()
}

// A node that has applied an entry which the majority cannot apply is made anew after the order.
func TestVoid_OfAnEntryThatOneApplied(t *testing.T) {
	w := startWorld(t, 3, nil)
	w.leader().propose(0, 10)
	w.agree()
	rest := w.followers()
	i := w.stick(10, w.leader(), rest[0])
	able := rest[1]
	eventually.True(t, "one node has applied it", func() bool { return able.Position().Index >= i })
	w.void(i)
	if err := able.ended(); !errors.Is(err, ErrOutvoted) {
		t.Fatalf("it ended with %v", err)
	}
	able.machine = newChain()
	able.start()
	w.leader().propose(20, 21)
	w.agree()
}

// A node that has promised not to apply an entry keeps the promise over a restart, also if it could apply the entry by then,
// until the order comes or is called off.
func TestVoid_PromiseIsKept(t *testing.T) {
	for name, finish := range map[string]func(w *world, n *node, i core.Index){
		"order":    func(w *world, _ *node, i core.Index) { w.void(i) },
		"released": func(w *world, n *node, i core.Index) { n.sayVoid(t.Context(), i, voidRelease) },
	} {
		t.Run(name, func(t *testing.T) {
			w := startWorld(t, 1, nil)
			n := w.nodes[0]
			n.propose(0, 3)
			i := w.stick(3, n)
			if got := n.sayVoid(t.Context(), i, voidHold); got != 1 {
				t.Fatal("it does not promise")
			}
			n.kill()
			n.machine.refuse(3, false)
			n.start()
			w.leading()
			eventually.True(t, "it waits", func() bool { return n.applier.late() > 2*heldPause })
			if got := n.Position().Index; got >= i {
				t.Fatalf("it is at %d", got)
			}
			finish(w, n, i)
			w.leader().propose(10, 11)
			if _, err := n.readBatch(t.Context(), i-1, 1); err != nil {
				t.Error(err)
			}
		})
	}
}

// The form of an order never changes, and a damaged one is not obeyed.
func TestVoid_Form(t *testing.T) {
	data := encodeVoid(7, time.Unix(0, 9), "why")
	const golden = "\x04\x00\x00\x00\x00\x00\x00\x00\x07\x00\x00\x00\x00\x00\x00\x00\x09"
	if string(data[:voidSum]) != golden || string(data[voidReason:]) != "why" {
		t.Errorf("an order is %x", data)
	}
	kind, e, err := decodeLog(&raft.Log{Index: 8, Type: raft.LogCommand, Data: data})
	if kind != isVoid || err != nil || e.Index != 7 || e.Void.By != 8 || e.Void.Reason != "why" || e.Void.At.UnixNano() != 9 {
		t.Errorf("got %v %+v %v", kind, e, err)
	}
	for i := range data {
		bad := append([]byte(nil), data...)
		bad[i] ^= 1
		if kind, _, err := decodeLog(&raft.Log{Index: 8, Term: 1, Type: raft.LogCommand, Data: bad}); err == nil && kind == isVoid {
			t.Errorf("a damaged order is obeyed: byte %d", i)
		}
	}
	v := newVoids(&Config{})
	v.note(core.Entry{Index: 9, Void: &core.Void{By: 9}})
	if len(v.known) != 0 {
		t.Error("an order before its entry counts")
	}
}
