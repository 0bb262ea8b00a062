package simtest_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/nearside/nearside/replication/link"
	"github.com/nearside/nearside/replication/simtest"
)

func fill(c *simtest.Chain, n, size int) {
	for i := range n {
		c.Append(append(fmt.Appendf(nil, "entry %d ", i), bytes.Repeat([]byte("x"), size)...))
	}
}

func TestFollower_Chain(t *testing.T) {
	// Two edges follow a log over real sockets, from the beginning and as it grows.
	w := simtest.NewWorld(t, nil, 1)
	w.Home("h1")
	fill(w.Source(), 2000, 300)
	a, b := w.Edge("a"), w.Edge("b")
	w.Synced(a, b)
	fill(w.Source(), 500, 10)
	w.Synced(a, b)
	if n := a.Chain.Restores() + b.Chain.Restores(); n != 0 {
		t.Fatalf("%d snapshots for a log that was there", n)
	}
}

func TestFollower_Cut(t *testing.T) {
	// A disconnected edge notices it soon, and continues where it stopped.
	w := simtest.NewWorld(t, nil, 1)
	h, a := w.Home("h1"), w.Edge("a")
	fill(w.Source(), 10, 10)
	w.Synced(a)
	w.Until("connected", func() bool { return a.Follower.Status().Connected })
	w.Path(h, a, link.Path{Blackout: true})
	fill(w.Source(), 10, 10)
	w.Until("disconnected", func() bool { return !a.Follower.Status().Connected })
	w.Path(h, a, link.Path{})
	w.Synced(a)
	if a.Chain.Restores() != 0 {
		t.Fatal("a cut needs no snapshot")
	}
}
