package simtest_test

import (
	"testing"
	"testing/synctest"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/replication/follower"
	"github.com/nearside/nearside/replication/simtest"
)

func TestHub_SealedValues_StayAtHome(t *testing.T) {
	// Sealed values that an edge proposes come to home and to other home nodes, by snapshot as by
	// log, and to no edge.
	synctest.Test(t, func(t *testing.T) {
		w := simtest.NewWorld(t, simtest.NewNet(), 1)
		h, h2, e := w.Home("h1"), w.Home("h2"), w.Edge("e")
		fill(w.Source(), 1, 10)
		w.Synced(e)
		p := proposal("sign me up")
		p.Sealed = [][]byte{[]byte("a hash of a password")}
		if _, err := e.Forward.Propose(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		late := w.Edge("late") // by the log from its start
		w.Synced(e, late)
		fill(w.Source(), 10, 10)
		w.Source().Compact(11)
		copied := w.Edge("copied") // by a snapshot
		w.Synced(copied)
		if copied.Chain.Restores() != 1 {
			t.Error("the third edge took no snapshot")
		}
		for _, n := range []*simtest.Node{e, late, copied} {
			if n.Chain.Sealed() != 0 {
				t.Errorf("%s has sealed values", n.Name)
			}
		}
		sink := simtest.NewChain(0)
		err := follower.Fetch(t.Context(), follower.FetchConfig{Endpoint: h2.Link, Sink: sink, Candidates: func() []string { return []string{h.Addr} }})
		if err != nil || sink.Sealed() != 1 || w.Source().Sealed() != 1 {
			t.Errorf("%v, %d at another home node, %d at home", err, sink.Sealed(), w.Source().Sealed())
		}
	})
}

func TestPropose_TooMuchSealed_IsRefused(t *testing.T) {
	// The sealed part of a proposal is bounded in number and size.
	for _, values := range [][][]byte{make([][]byte, core.MaxSealed+1), {make([]byte, core.MaxSealedBytes+1)}, {{}}} {
		if err := core.CheckSealed(values); core.KindOf(err) != core.KindInvalid {
			t.Errorf("%d values: %v", len(values), err)
		}
	}
}
