package simtest_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/replication/link"
	"github.com/nearside/nearside/replication/simtest"
)

var (
	seedFlag = flag.Uint64("seed", 0, "run the simulation with this seed only")
	runsFlag = flag.Int("runs", 1, "how many random seeds the simulation runs")
)

func TestSim_Faults(t *testing.T) {
	// Whatever happens to the links, the nodes and the log, every edge ends at the source's
	// position.
	seeds := []uint64{*seedFlag}
	if *seedFlag == 0 {
		seeds = []uint64{1, 2, 3}
		for range *runsFlag {
			seeds = append(seeds, rand.Uint64())
		}
	}
	for _, seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { storm(t, seed) })
		})
	}
}

func storm(t *testing.T, seed uint64) {
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	w := simtest.NewWorld(t, simtest.NewNet(), seed)
	homes := []*simtest.Node{w.Home("h1"), w.Home("h2"), w.Home("h3")}
	edges := []*simtest.Node{w.Edge("e1"), w.Edge("e2"), w.Edge("e3")}
	epoch := core.Epoch(1)
	for range 40 {
		h, e := homes[rng.IntN(len(homes))], edges[rng.IntN(len(edges))]
		switch rng.IntN(8) {
		case 0, 1:
			fill(w.Source(), rng.IntN(300), rng.IntN(2000))
		case 2:
			w.Path(h, e, link.Path{Blackout: true})
		case 3:
			w.Path(h, e, link.Path{Delay: time.Duration(rng.IntN(150)) * time.Millisecond, Jitter: 5 * time.Millisecond,
				Loss: rng.Float64() / 10, Reorder: rng.Float64() / 20})
		case 4:
			w.Lead(h)
		case 5:
			w.Source().Compact(rng.IntN(100))
			w.Source().DropSnapshots()
		case 6:
			n := h
			if rng.IntN(2) == 0 {
				n = e
			}
			n.Stop()
			n.Restart()
		case 7:
			if rng.IntN(4) == 0 {
				epoch++
				w.Fork(epoch, rng.IntN(50))
			}
		}
		time.Sleep(time.Duration(rng.IntN(3000)) * time.Millisecond) // in the bubble's time
	}
	for _, h := range homes {
		for _, e := range edges {
			w.Path(h, e, link.Path{})
		}
	}
	fill(w.Source(), 5, 5)
	w.Synced(edges...)
}

func TestSim_SameEpochFork(t *testing.T) {
	// A home is restored from an old backup without a new epoch, and an edge is ahead of it: when
	// their histories differ, the edge restores a snapshot.
	synctest.Test(t, func(t *testing.T) {
		w := simtest.NewWorld(t, simtest.NewNet(), 1)
		w.Home("h1")
		fill(w.Source(), 20, 5)
		e := w.Edge("e")
		w.Synced(e)
		w.Fork(1, 10)
		w.Until("reconnected", func() bool { return e.Follower.Status().Connected })
		fill(w.Source(), 20, 5)
		w.Synced(e)
		if e.Chain.Restores() != 1 {
			t.Fatalf("%d snapshots", e.Chain.Restores())
		}
	})
}

func TestFollower_DivergedAndCut(t *testing.T) {
	// An edge that has diverged knows this until a snapshot has replaced its state, even if the
	// link breaks before: clients must not be served from it.
	synctest.Test(t, func(t *testing.T) {
		w := simtest.NewWorld(t, simtest.NewNet(), 1)
		h := w.Home("h1")
		noise(w.Source(), 1<<20)
		e := w.Edge("e")
		w.Synced(e)
		w.Path(h, e, link.Path{Delay: 20 * time.Millisecond, Bandwidth: 1 << 20}) // first: the edge must not have the snapshot before we look
		w.Fork(2, 10)
		noise(w.Source(), 4<<20)
		w.Until("diverged", func() bool { return e.Follower.Status().Diverged })
		w.Path(h, e, link.Path{Blackout: true})
		w.Until("disconnected", func() bool { return !e.Follower.Status().Connected })
		if !e.Follower.Status().Diverged {
			t.Fatal("cut off, it forgot that it has diverged")
		}
		w.Path(h, e, link.Path{Delay: 20 * time.Millisecond})
		w.Synced(e)
		w.Until("healed", func() bool { return !e.Follower.Status().Diverged })
	})
}

func TestFollower_DivergedFromASpoiledHome(t *testing.T) {
	// A home node with a spoiled log says that an edge has diverged, while the edge can ask no other, and ends
	// before its snapshot has arrived. At the next home node the edge learns that its own history is right, also when
	// nothing new is ordered: else it would refuse its clients until somebody else writes.
	synctest.Test(t, func(t *testing.T) {
		w := simtest.NewWorld(t, simtest.NewNet(), 1)
		bad, good := w.Home("h1"), w.Home("h2")
		fill(w.Source(), 10, 10)
		e := w.Edge("e")
		w.Synced(e)
		e.Stop()
		spoiled := simtest.NewChain(1)
		noise(spoiled, 4<<20)
		bad.Spoil(spoiled)
		w.Path(bad, e, link.Path{Delay: 20 * time.Millisecond, Bandwidth: 1 << 20})
		w.Path(good, e, link.Path{Blackout: true})
		e.Restart()
		w.Until("restoring", func() bool { s := e.Follower.Status(); return s.Restoring && s.Diverged })
		time.Sleep(time.Second) // the snapshot has begun
		bad.Stop()
		w.Path(good, e, link.Path{})
		w.Until("trusted again", func() bool { s := e.Follower.Status(); return s.Connected && !s.Restoring && !s.Diverged })
		if e.Chain.Restores() != 0 || e.Chain.Position() != w.Source().Position() {
			t.Errorf("%d snapshots, at %s", e.Chain.Restores(), e.Chain.Position())
		}
	})
}

func TestFollower_SpoiledHome_IsContradicted(t *testing.T) {
	// A home node with a spoiled log says that an edge has diverged. Another home node knows the edge's history, so the
	// edge keeps its state, goes on serving it, and follows the other one.
	synctest.Test(t, func(t *testing.T) {
		w := simtest.NewWorld(t, simtest.NewNet(), 1)
		bad, good := w.Home("h1"), w.Home("h2")
		w.Lead(bad)
		fill(w.Source(), 10, 10)
		e := w.Edge("e")
		w.Synced(e)
		e.Stop()
		spoiled := simtest.NewChain(1)
		noise(spoiled, 1<<20)
		bad.Spoil(spoiled)
		w.Lead(good)
		w.Path(good, e, link.Path{Delay: 700 * time.Millisecond}) // so that the bad one is first, also before it is known to know no leader
		e.Restart()
		w.Until("at the good one", func() bool {
			s := e.Follower.Status()
			if s.Diverged || s.Restoring {
				t.Fatal("it believes the bad one")
			}
			return s.Connected && s.Hub.Node == good.Name
		})
		fill(w.Source(), 10, 10)
		w.Synced(e)
		if e.Chain.Restores() != 0 {
			t.Errorf("%d snapshots", e.Chain.Restores())
		}
	})
}

func TestFollower_OwnDigestDiffers_IsConfirmed(t *testing.T) {
	// The state of an edge comes to another digest than home's. Another home node says the same as the first, so the edge
	// takes a snapshot. If it does not know what the first one came to, the first one is wrong.
	synctest.Test(t, func(t *testing.T) {
		w := simtest.NewWorld(t, simtest.NewNet(), 1)
		first, second := w.Home("h1"), w.Home("h2")
		w.Lead(first)
		fill(w.Source(), 10, 10)
		e := w.Edge("e")
		w.Synced(e)
		differs := fmt.Errorf("another digest: %w", core.ErrDiverged)
		e.Chain.Fail(differs)
		fill(w.Source(), 10, 10)
		w.Until("a snapshot", func() bool { return e.Chain.Restores() > 0 })
		e.Chain.Fail(nil)
		w.Synced(e)

		restores := e.Chain.Restores()
		w.Until("at the first", func() bool { return e.Follower.Status().Hub.Node == first.Name })
		w.Path(first, e, link.Path{Delay: 50 * time.Millisecond}) // the second has what it has before the edge hears of it
		own := w.Source().Copy()
		own.Append([]byte("only here"))
		e.Chain.FailAt(own.Position(), differs)
		first.Spoil(own)
		w.Source().Append([]byte("everywhere else"))
		w.Until("away", func() bool { return e.Follower.Status().Hub.Node == second.Name })
		fill(w.Source(), 5, 10)
		w.Synced(e)
		if n := e.Chain.Restores() - restores; n != 0 {
			t.Errorf("%d snapshots at the word of one home node", n)
		}
	})
}

func TestFollower_Fork_IsConfirmed(t *testing.T) {
	// Home is restored from an old backup. Two home nodes say that the edge has another history, and it takes theirs.
	synctest.Test(t, func(t *testing.T) {
		w := simtest.NewWorld(t, simtest.NewNet(), 1)
		w.Home("h1")
		w.Home("h2")
		fill(w.Source(), 20, 5)
		e := w.Edge("e")
		w.Synced(e)
		w.Fork(1, 10)
		fill(w.Source(), 20, 5)
		w.Synced(e)
		if e.Chain.Restores() != 1 {
			t.Errorf("%d snapshots", e.Chain.Restores())
		}
	})
}

func TestFollower_Compacted(t *testing.T) {
	// If the log is compacted, an empty edge starts from a snapshot and then follows.
	synctest.Test(t, func(t *testing.T) {
		w := simtest.NewWorld(t, simtest.NewNet(), 1)
		w.Home("h1")
		fill(w.Source(), 100, 50)
		w.Source().Compact(10)
		e := w.Edge("e")
		w.Synced(e)
		fill(w.Source(), 10, 50)
		w.Synced(e)
		if e.Chain.Restores() != 1 {
			t.Fatalf("%d snapshots", e.Chain.Restores())
		}
	})
}

func TestFollower_SnapshotCut(t *testing.T) {
	// An interrupted snapshot continues at its offset over the next connection.
	synctest.Test(t, func(t *testing.T) {
		w := simtest.NewWorld(t, simtest.NewNet(), 1)
		h := w.Home("h1")
		noise(w.Source(), 4<<20)
		w.Source().Compact(200)
		s, err := w.Source().Snapshot(t.Context(), "", false)
		if err != nil {
			t.Fatal(err)
		}
		half := make(chan struct{}, 1)
		var offsets []int64 // written by one snapshot stream at a time, and read after Synced
		s.(*simtest.Snapshot).OnRead(func(off int64) {
			offsets = append(offsets, off)
			if off > 2<<20 && len(half) == 0 {
				half <- struct{}{}
			}
		})
		h.Distance.SetDefault(link.Path{Delay: 20 * time.Millisecond, Bandwidth: 4 << 20}) // from the edge's first packet on
		e := w.Edge("e")
		w.Until("half of it", func() bool { return len(half) > 0 })
		w.Path(h, e, link.Path{Blackout: true})
		time.Sleep(3 * time.Second) // after two seconds of silence the connection is closed; if the path works again earlier, the stream would continue
		w.Path(h, e, link.Path{Delay: 20 * time.Millisecond})
		w.Synced(e)
		if e.Chain.Restores() != 1 || !resumed(offsets) {
			t.Fatalf("%d snapshots, read at %v", e.Chain.Restores(), offsets)
		}
	})
}

// resumed reports whether reading began at 0 once, and later at another offset.
func resumed(offsets []int64) bool {
	zeroes, jumps := 0, 0
	for i, off := range offsets {
		if off == 0 {
			zeroes++
		}
		if i > 0 && off <= offsets[i-1] && off > 0 {
			jumps++
		}
	}
	return zeroes == 1 && jumps >= 1
}

func noise(c *simtest.Chain, bytes int) {
	rng := rand.NewChaCha8([32]byte{1})
	for range bytes >> 14 {
		b := make([]byte, 1<<14)
		_, _ = rng.Read(b)
		c.Append(b)
	}
}

func TestFollower_SnapshotGone(t *testing.T) {
	// If the snapshot is gone when its reader comes back, the reader starts again with another.
	synctest.Test(t, func(t *testing.T) {
		w := simtest.NewWorld(t, simtest.NewNet(), 1)
		h := w.Home("h1")
		noise(w.Source(), 4<<20)
		w.Source().Compact(200)
		h.Distance.SetDefault(link.Path{Delay: 20 * time.Millisecond, Bandwidth: 1 << 20})
		e := w.Edge("e")
		w.Until("restoring", func() bool { return e.Follower.Status().Restoring })
		time.Sleep(time.Second)
		w.Path(h, e, link.Path{Blackout: true})
		w.Until("disconnected", func() bool { return !e.Follower.Status().Connected })
		w.Source().DropSnapshots()
		fill(w.Source(), 1, 1)
		if e.Chain.Position() != (core.Position{}) {
			t.Fatal("the snapshot came whole before the cut")
		}
		w.Path(h, e, link.Path{})
		w.Synced(e)
	})
}

func TestFollower_SinkFails(t *testing.T) {
	// A sink that fails for a while (its database restarts) is tried again; home counts as
	// connected the whole time.
	synctest.Test(t, func(t *testing.T) {
		w := simtest.NewWorld(t, simtest.NewNet(), 1)
		w.Home("h1")
		e := w.Edge("e")
		fill(w.Source(), 10, 10)
		w.Synced(e)
		e.Chain.Fail(core.E(core.KindUnavailable, "the database is starting"))
		noise(w.Source(), 64<<20)
		for range 20 {
			time.Sleep(time.Second)
			if !e.Follower.Status().Connected {
				t.Fatal("a busy sink is no dead link")
			}
		}
		e.Chain.Fail(nil)
		w.Synced(e)
	})
}

func TestFollower_Moves(t *testing.T) {
	// When another home node becomes the leader, the edge moves there and loses nothing.
	synctest.Test(t, func(t *testing.T) {
		w := simtest.NewWorld(t, simtest.NewNet(), 1)
		h1, h2 := w.Home("h1"), w.Home("h2")
		e := w.Edge("e")
		w.Until("at h1", func() bool { return e.Follower.Status().Hub.Node == h1.Name })
		at := time.Now()
		w.Lead(h2)
		fill(w.Source(), 10, 10)
		w.Until("at h2", func() bool { return e.Follower.Status().Hub.Node == h2.Name })
		if took := time.Since(at); took > time.Second {
			t.Errorf("the first move took %s", took)
		}
		fill(w.Source(), 10, 10)
		w.Synced(e)
	})
}

func TestFollower_SilentHub(t *testing.T) {
	// When the hub falls silent and another home node is alive, the edge follows that one within
	// a second and a half, and never counts as disconnected.
	synctest.Test(t, func(t *testing.T) {
		w := simtest.NewWorld(t, simtest.NewNet(), 1)
		h1, h2 := w.Home("h1"), w.Home("h2")
		e := w.Edge("e")
		w.Path(h1, e, link.Path{Delay: 50 * time.Millisecond})
		w.Path(h2, e, link.Path{Delay: 50 * time.Millisecond})
		fill(w.Source(), 10, 10)
		w.Synced(e)
		at := time.Now()
		w.Path(h1, e, link.Path{Blackout: true})
		fill(w.Source(), 10, 10)
		w.Until("following again", func() bool {
			if !e.Follower.Status().Connected {
				t.Fatal("cut off")
			}
			return e.Chain.Position() == w.Source().Position()
		})
		if took := time.Since(at); took > 1500*time.Millisecond {
			t.Fatalf("took %s", took)
		}
		if s := e.Follower.Status(); s.Hub.Node != h2.Name {
			t.Fatalf("at %s", s.Hub)
		}
	})
}

func TestFollower_StrandedHub(t *testing.T) {
	// A hub that is alive but cut off from the other home nodes gets nothing new. The edge
	// follows one that knows a leader within two seconds; if no node knows one, it stays.
	synctest.Test(t, func(t *testing.T) {
		w := simtest.NewWorld(t, simtest.NewNet(), 1)
		h1, h2 := w.Home("h1"), w.Home("h2")
		e := w.Edge("e")
		fill(w.Source(), 10, 10)
		w.Synced(e)
		at := time.Now()
		h1.Strand()
		w.Lead(h2)
		fill(w.Source(), 10, 10)
		w.Synced(e)
		if took := time.Since(at); took > 2*time.Second {
			t.Errorf("followed again after %s", took)
		}
		h2.Strand()
		time.Sleep(10 * time.Second)
		if s := e.Follower.Status(); !s.Connected || s.Hub.Node != h2.Name {
			t.Errorf("without any leader it left its hub: %+v", s)
		}
	})
}

func TestFollower_OneWay(t *testing.T) {
	// An edge that hears its hub but is not heard soon learns that it is disconnected, and
	// continues when both directions work again.
	synctest.Test(t, func(t *testing.T) {
		w := simtest.NewWorld(t, simtest.NewNet(), 1)
		h := w.Home("h1")
		e := w.Edge("e")
		fill(w.Source(), 10, 10)
		w.Synced(e)
		at := time.Now()
		e.Distance.Set(netip.MustParseAddrPort(h.Addr), link.Path{Loss: 1})
		w.Until("cut off", func() bool { return !e.Follower.Status().Connected })
		if took := time.Since(at); took > 4*time.Second {
			t.Errorf("noticed after %s", took)
		}
		e.Distance.Set(netip.MustParseAddrPort(h.Addr), link.Path{})
		fill(w.Source(), 10, 10)
		w.Synced(e)
	})
}

func TestFollower_Status(t *testing.T) {
	// The status has the path's round trip, home's position and the replica's freshness; the hub
	// knows the follower's position.
	synctest.Test(t, func(t *testing.T) {
		w := simtest.NewWorld(t, simtest.NewNet(), 1)
		h := w.Home("h1")
		e := w.Edge("e")
		w.Path(h, e, link.Path{Delay: 40 * time.Millisecond})
		fill(w.Source(), 10, 10)
		w.Synced(e)
		time.Sleep(10 * time.Second) // the round trip is averaged over many
		s := e.Follower.Status()
		if !s.Connected || s.RTT < 75*time.Millisecond || s.RTT > 120*time.Millisecond || s.Source != w.Source().Position() ||
			time.Since(s.FreshAt) > 500*time.Millisecond || s.Leader != h.Addr {
			t.Fatalf("%+v", s)
		}
		p := h.Hub.Peers()
		if len(p) != 1 || p[0].Node.Node != "e" || p[0].At != w.Source().Position() {
			t.Fatalf("%+v", p)
		}
		e.Chain.Fail(core.E(core.KindUnavailable, "busy"))
		fill(w.Source(), 1, 1)
		time.Sleep(3 * time.Second)
		if s := e.Follower.Status(); time.Since(s.FreshAt) < 2*time.Second {
			t.Fatalf("stale, yet fresh %s ago", time.Since(s.FreshAt))
		}
		e.Chain.Fail(nil)
		w.Synced(e)
	})
}

func TestFollower_Upgrade(t *testing.T) {
	// A sink that returns KindUpgrade stops the follower; nothing is skipped.
	synctest.Test(t, func(t *testing.T) {
		w := simtest.NewWorld(t, simtest.NewNet(), 1)
		w.Home("h1")
		e := w.Edge("e")
		e.Chain.Fail(core.E(core.KindUpgrade, "unknown command"))
		fill(w.Source(), 1, 1)
		w.Until("stopped", func() bool { return core.KindOf(e.Err()) == core.KindUpgrade })
	})
}

func TestSignals_ReachEverybodyOnce(t *testing.T) {
	// A signal from any node reaches every other node exactly once.
	synctest.Test(t, func(t *testing.T) {
		w := simtest.NewWorld(t, simtest.NewNet(), 1)
		h1, h2 := w.Home("h1"), w.Home("h2")
		a, b := w.Edge("a"), w.Edge("b") // at h1
		w.Lead(h2)
		c := w.Edge("c") // at h2
		time.Sleep(3 * time.Second)
		w.Lead(h2)
		nodes := []*simtest.Node{h1, h2, a, b, c}
		for _, from := range nodes {
			from.Relay.Send([]byte(from.Name))
			time.Sleep(time.Second)
			for _, to := range nodes {
				if got := drain(t, to); (to == from) != (len(got) == 0) || len(got) > 1 || len(got) == 1 && got[0] != from.Name {
					t.Errorf("from %s at %s: %q", from.Name, to.Name, got)
				}
			}
		}
	})
}

func drain(t *testing.T, n *simtest.Node) (out []string) {
	t.Helper()
	for {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		s, err := n.Relay.Receive(ctx)
		cancel()
		if err != nil {
			return out
		}
		out = append(out, string(s))
	}
}
