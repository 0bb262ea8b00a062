package simtest_test

import (
	"testing"

	"github.com/nearside/nearside/replication/simtest"
)

func BenchmarkForward_Propose(b *testing.B) {
	// Proposals from one edge over loopback, many concurrently.
	w := simtest.NewWorld(b, nil, 1)
	w.Home("h1")
	e := w.Edge("e")
	w.Until("connected", func() bool { return e.Follower.Status().Connected })
	b.SetParallelism(16)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := e.Forward.Propose(b.Context(), proposal("hello, world")); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkFollower_CatchUp(b *testing.B) {
	// Entries of 300 bytes from hub to sink over loopback.
	w := simtest.NewWorld(b, nil, 1)
	w.Home("h1")
	fill(w.Source(), b.N, 300)
	b.SetBytes(350)
	b.ResetTimer()
	w.Synced(w.Edge("e"))
}

func BenchmarkFollower_OneEntry(b *testing.B) {
	// One entry at a time: from the source to the sink.
	w := simtest.NewWorld(b, nil, 1)
	w.Home("h1")
	fill(w.Source(), 1, 1)
	e := w.Edge("e")
	w.Synced(e)
	b.ResetTimer()
	for range b.N {
		changed := e.Chain.Changed()
		w.Source().Append([]byte("x"))
		<-changed
	}
}
