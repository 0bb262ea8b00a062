package simtest_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/replication/link"
	"github.com/nearside/nearside/replication/simtest"
)

func proposal(data string) core.Proposal {
	return core.Proposal{ID: core.NewID[core.Proposal](time.Now()), Data: []byte(data)}
}

func TestForward_Propose(t *testing.T) {
	// A proposal of an edge is ordered at home, and comes back to the edge in the log.
	w := simtest.NewWorld(t, nil, 1)
	w.Home("h1")
	e := w.Edge("e")
	p := proposal("hello")
	r, err := e.Forward.Propose(t.Context(), p)
	if err != nil || r.Index != 1 || string(r.Outcome) != "hello" {
		t.Fatalf("%+v, %v", r, err)
	}
	again, err := e.Forward.Propose(t.Context(), p)
	if diff := cmp.Diff(r, again); diff != "" || err != nil {
		t.Fatal(diff, err)
	}
	w.Synced(e)
}

func TestForward_ErrorCrosses(t *testing.T) {
	// A refusal from home keeps all its fields on the way.
	w := simtest.NewWorld(t, nil, 1)
	w.Home("h1")
	e := w.Edge("e")
	want := core.Refusal{Kind: core.KindForbidden, ID: "a.b"}.With("name", "ada")
	w.Source().Refuse(want)
	_, err := e.Forward.Propose(t.Context(), proposal("x"))
	if diff := cmp.Diff(want, core.AsError(err)); diff != "" {
		t.Fatal(diff)
	}
}

func TestForward_RetriesElsewhere(t *testing.T) {
	// While the first home node is silent or dead, proposals go through another one in less than
	// two seconds, and each is ordered once.
	synctest.Test(t, func(t *testing.T) {
		w := simtest.NewWorld(t, simtest.NewNet(), 1)
		h1, _, e := w.Home("h1"), w.Home("h2"), w.Edge("e")
		propose := func(what string, within time.Duration) {
			t.Helper()
			at, p := time.Now(), proposal(what)
			for range 2 {
				if _, err := e.Forward.Propose(t.Context(), p); err != nil {
					t.Fatal(what, err)
				}
			}
			if took := time.Since(at); took > within {
				t.Fatalf("%s took %s", what, took)
			}
		}
		propose("all well", 100*time.Millisecond)
		w.Path(h1, e, link.Path{Blackout: true})
		propose("silent", 2*time.Second)
		propose("still silent, and known", 100*time.Millisecond)
		h1.Stop()
		time.Sleep(10 * time.Second)
		propose("dead", 2*time.Second)
		if at := w.Source().Position().Index; at != 4 {
			t.Fatalf("4 proposals gave %d entries", at)
		}
	})
}

func TestForward_WaitsForLeader(t *testing.T) {
	// While home has no leader, a proposal waits for one and is then ordered.
	synctest.Test(t, func(t *testing.T) {
		w := simtest.NewWorld(t, simtest.NewNet(), 1)
		w.Home("h1")
		e := w.Edge("e")
		w.Source().Refuse(core.E(core.KindUnavailable, "no leader"))
		time.AfterFunc(time.Second, func() { w.Source().Refuse(nil) })
		if _, err := e.Forward.Propose(t.Context(), proposal("x")); err != nil {
			t.Fatal(err)
		}
	})
}

func TestForward_HomeCannot(t *testing.T) {
	// If every home node answers for longer than an election that it cannot order, their error is
	// returned to the caller, well before the deadline; a dead node among them does not matter.
	synctest.Test(t, func(t *testing.T) {
		w := simtest.NewWorld(t, simtest.NewNet(), 1)
		w.Home("h1")
		h2, e := w.Home("h2"), w.Edge("e")
		want := core.AsError(core.Refusal{Kind: core.KindUnavailable, ID: "disk_full"})
		w.Source().Refuse(want)
		for range 2 {
			at := time.Now()
			_, err := e.Forward.Propose(t.Context(), proposal("x"))
			if diff := cmp.Diff(want, core.AsError(err)); diff != "" || time.Since(at) > 6*time.Second {
				t.Fatalf("after %s: %v", time.Since(at), err)
			}
			h2.Stop()
		}
	})
}

func TestForward_CutOff(t *testing.T) {
	// If no home node can be reached, a proposal fails with KindUnavailable, long before its
	// deadline.
	synctest.Test(t, func(t *testing.T) {
		w := simtest.NewWorld(t, simtest.NewNet(), 1)
		h, e := w.Home("h1"), w.Edge("e")
		if _, err := e.Forward.Propose(t.Context(), proposal("x")); err != nil {
			t.Fatal(err)
		}
		w.Path(h, e, link.Path{Blackout: true})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		for range 2 { // over a connection that is not yet known to be dead, and without one
			at := time.Now()
			_, err := e.Forward.Propose(ctx, proposal("y"))
			if core.KindOf(err) != core.KindUnavailable || time.Since(at) > 4*time.Second {
				t.Fatalf("after %s: %v", time.Since(at), err)
			}
		}
		ctx2, cancel2 := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel2()
		if _, err := e.Forward.Propose(ctx2, proposal("z")); core.KindOf(err) != core.KindTimeout {
			t.Fatal(err)
		}
	})
}

func TestForward_Ask(t *testing.T) {
	// A question is answered by the handler of its kind at home; other kinds are refused.
	w := simtest.NewWorld(t, nil, 1)
	w.Home("h1")
	e := w.Edge("e")
	got, err := e.Forward.Ask(t.Context(), 1, []byte("who"))
	if string(got) != "e asked who of h1" || err != nil {
		t.Fatalf("%q, %v", got, err)
	}
	if _, err := e.Forward.Ask(t.Context(), 9, nil); core.KindOf(err) != core.KindNotBuilt {
		t.Fatal(err)
	}
}

func TestForward_HandOverIsForHomes(t *testing.T) {
	// Only a home node may pass on a proposal.
	w := simtest.NewWorld(t, nil, 1)
	h := w.Home("h1")
	e := w.Edge("e")
	if _, err := e.Forward.ProposeTo(t.Context(), h.Addr, proposal("x")); core.KindOf(err) != core.KindMisdirected {
		t.Fatal(err)
	}
}

func TestForward_TooLarge(t *testing.T) {
	// The largest proposal is accepted, one byte more is refused.
	w := simtest.NewWorld(t, nil, 1)
	w.Home("h1")
	e := w.Edge("e")
	if _, err := e.Forward.Propose(t.Context(), proposal(string(make([]byte, core.MaxProposalBytes)))); err != nil {
		t.Fatal(err)
	}
	_, err := e.Forward.Propose(t.Context(), proposal(string(make([]byte, core.MaxProposalBytes+1))))
	if core.KindOf(err) != core.KindTooLarge {
		t.Fatal(err)
	}
	w.Synced(e)
}
