package simtest_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/replication/follower"
	"github.com/nearside/nearside/replication/forward"
	"github.com/nearside/nearside/replication/link"
	"github.com/nearside/nearside/replication/simtest"
)

func TestFetch_Cut(t *testing.T) {
	// A node that does not follow gets a complete snapshot, although the link breaks in the
	// middle.
	synctest.Test(t, func(t *testing.T) {
		w := simtest.NewWorld(t, simtest.NewNet(), 1)
		h, h2 := w.Home("h1"), w.Home("h2")
		noise(w.Source(), 4<<20)
		slow := link.Path{Delay: 20 * time.Millisecond, Bandwidth: 1 << 20}
		w.Path(h, h2, slow)
		sink := simtest.NewChain(0)
		done := make(chan error, 1)
		go func() {
			done <- follower.Fetch(t.Context(), follower.FetchConfig{Endpoint: h2.Link, Sink: sink,
				Candidates: func() []string { return []string{h.Addr} }})
		}()
		time.Sleep(2 * time.Second)
		w.Path(h, h2, link.Path{Blackout: true})
		time.Sleep(20 * time.Second)
		if len(done) > 0 {
			t.Fatal("ended in the dark")
		}
		w.Path(h, h2, slow)
		if err := <-done; err != nil || sink.Position() != w.Source().Position() || sink.Restores() != 1 {
			t.Fatalf("%v, at %s after %d restores", err, sink.Position(), sink.Restores())
		}
	})
}

func TestForward_FailsFastWhenDisconnected(t *testing.T) {
	// While the caller knows that home is unreachable, a proposal is not tried at all.
	synctest.Test(t, func(t *testing.T) {
		w := simtest.NewWorld(t, simtest.NewNet(), 1)
		w.Home("h1")
		e := w.Edge("e")
		c, err := forward.New(forward.Config{Endpoint: e.Link, Candidates: func() []string { return []string{"10.9.9.9:1"} },
			Connected: func() bool { return false }})
		if err != nil {
			t.Fatal(err)
		}
		at := time.Now()
		if _, err := c.Propose(t.Context(), proposal("x")); core.KindOf(err) != core.KindUnavailable || time.Since(at) > 0 {
			t.Fatal(err, time.Since(at))
		}
	})
}
