package simtest_test

import (
	"bytes"
	"context"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/replication/link"
	"github.com/nearside/nearside/replication/simtest"
	"github.com/nearside/nearside/replication/wire"
)

// frame returns the bytes of one frame.
func frame(kind wire.Kind, body []byte) []byte {
	var buf bytes.Buffer
	if err := wire.NewWriter(&buf).WritePacked(kind, body); err != nil {
		panic(err)
	}
	return buf.Bytes()
}

// spoil flips a bit, or cuts off the end.
func spoil(rng *rand.Rand, b []byte) []byte {
	b = bytes.Clone(b)
	if rng.IntN(2) == 0 {
		return b[:rng.IntN(len(b))]
	}
	b[rng.IntN(len(b))] ^= 1 << rng.IntN(8)
	return b
}

func TestHub_SpoiltFrames(t *testing.T) {
	// Whatever bytes a follower sends, its stream ends in time, and the hub still serves the
	// others.
	synctest.Test(t, func(t *testing.T) {
		w := simtest.NewWorld(t, simtest.NewNet(), 1)
		h, e := w.Home("h1"), w.Edge("e")
		fill(w.Source(), 10, 10)
		w.Synced(e)
		rng := rand.New(rand.NewPCG(1, 1))
		at := core.Position{Epoch: 9, Index: 9, Digest: core.Digest{9}}
		frames := [][]byte{
			frame(wire.KindHello, wire.AppendHello(nil, wire.Hello{Version: wire.Version, At: at})),
			frame(wire.KindHello, wire.AppendHello(nil, wire.Hello{Version: wire.Version + 1})),
			frame(wire.KindFetch, wire.AppendFetch(nil, wire.Fetch{ID: "none", Offset: 1 << 60})),
			frame(wire.KindPropose, wire.AppendPropose(nil, wire.Propose{Proposal: proposal("x"), Wait: time.Second})),
			frame(wire.KindAsk, wire.AppendAsk(nil, wire.Ask{Kind: 1, Wait: time.Second, Payload: []byte("q")})),
			frame(wire.KindBatch, nil),
		}
		for _, class := range []link.Class{link.ClassLog, link.ClassForward} {
			conn, err := e.Link.Dial(t.Context(), h.Addr, class)
			if err != nil {
				t.Fatal(err)
			}
			for range 100 {
				st, err := conn.OpenStream(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				_, _ = st.Write(spoil(rng, frames[rng.IntN(len(frames))]))
				if rng.IntN(2) == 0 {
					_ = st.CloseWrite()
				}
				readAll(t, st, time.Minute)
			}
			conn.Close(link.CodeDone, "done")
		}
		fill(w.Source(), 10, 10)
		w.Synced(e)
	})
}

// readAll reads frames until the stream ends, which must happen in time. A damaged frame may
// still be valid, so answers are read too.
func readAll(t *testing.T, st *link.Stream, limit time.Duration) {
	t.Helper()
	defer st.Abort()
	_ = st.SetReadDeadline(time.Now().Add(limit))
	for r, err := wire.NewReader(st, 0), error(nil); err == nil; {
		_, _, err = r.Next()
	}
	if err := context.Cause(st.Conn().Context()); err != nil {
		t.Fatalf("the hub gave up the connection: %v", err)
	}
}

func TestFollower_SpoiltFrames(t *testing.T) {
	// A follower whose hub sends damaged frames applies nothing wrong, and continues with the
	// next good hub.
	synctest.Test(t, func(t *testing.T) {
		w := simtest.NewWorld(t, simtest.NewNet(), 1)
		h := w.Home("h1")
		fill(w.Source(), 50, 100)
		h.Stop()
		evil := w.Evil(h, spoiler(w))
		e := w.Edge("e")
		time.Sleep(2 * time.Minute)
		if n := evil.Load(); n < 50 {
			t.Fatalf("only %d streams", n)
		}
		h.Stop()
		h.Restart()
		w.Synced(e)
		if e.Chain.Restores() != 0 {
			t.Fatal("spoilt frames are no reason for a snapshot")
		}
	})
}

// spoiler is a hub with a correct pulse that sends a damaged frame on every other stream.
func spoiler(w *simtest.World) func(ctx context.Context, st *link.Stream, streams *atomic.Int64) {
	return func(ctx context.Context, st *link.Stream, streams *atomic.Int64) {
		kind, _, err := wire.NewReader(st, 0).Next()
		if err != nil {
			return
		}
		status := wire.AppendStatus(nil, wire.Status{Version: wire.Version, At: w.Source().Position(), Leads: true})
		if kind == wire.KindPulse {
			for ctx.Err() == nil {
				if _, err := st.Write(frame(wire.KindStatus, status)); err != nil {
					return
				}
				time.Sleep(250 * time.Millisecond)
			}
			return
		}
		n := streams.Add(1)
		rng := rand.New(rand.NewPCG(uint64(n), 2))
		_, _ = st.Write(frame(wire.KindWelcome, status))
		b, err := w.Source().Tail(ctx, core.Position{}, 1<<20)
		if err != nil {
			return
		}
		body := wire.AppendBatch(nil, b)
		_, _ = st.Write(spoil(rng, frame(wire.KindBatch, body)))
		_ = st.CloseWrite()
	}
}
