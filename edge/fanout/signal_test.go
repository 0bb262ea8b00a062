package fanout

import (
	"context"
	"testing"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/eventually"
	"github.com/nearside/nearside/edge/presence"
)

// air carries signals between edges in a test.
type air struct{ out, in chan []byte }

func (a air) Send(b []byte) {
	select {
	case a.out <- b:
	default: // signals may be lost
	}
}

func (a air) Receive(ctx context.Context) ([]byte, error) {
	select {
	case b := <-a.in:
		return b, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func twoEdges(t *testing.T) (a, b *Hub, wa *world) {
	t.Helper()
	ab, ba := make(chan []byte, 64), make(chan []byte, 64)
	wa, wb := newWorld(), newWorld()
	for _, w := range []*world{wa, wb} {
		w.publish(joined(user(1), channel(1)), joined(user(2), channel(1)))
	}
	pa, pb := newPresence(t, air{out: ab}.Send), newPresence(t, air{out: ba}.Send)
	a = start(t, wa, func(c *Config) { c.Signals, c.Presence = air{ab, ba}, pa })
	b = start(t, wb, func(c *Config) { c.Signals, c.Presence = air{ba, ab}, pb })
	return a, b, wa
}

func (w *wired) find(t *testing.T, name string) got {
	t.Helper()
	var g got
	w.await(t, name, func() bool {
		for _, s := range w.texts {
			if g = parse(t, s); g.Event == name {
				return true
			}
		}
		return false
	})
	return g
}

// Typing at one edge is shown to the channel's members at both, except the user who types.
func TestHub_TypingAcrossEdges(t *testing.T) {
	a, b, _ := twoEdges(t)
	_, mine := register(t, a, client(user(1)), Resume{})
	_, near := register(t, a, client(user(2)), Resume{})
	_, far := register(t, b, client(user(2)), Resume{})
	_, mineFar := register(t, b, client(user(1)), Resume{})
	parent := core.DeriveID[core.Post]("p")
	if err := a.Typing(context.Background(), user(1), channel(1), parent); err != nil {
		t.Fatal(err)
	}
	for _, w := range []*wired{near, far} {
		g := w.find(t, "typing")
		omit, _ := g.Cast["omit_users"].(map[string]any)
		if g.Data["user_id"] != user(1).String() || g.Data["parent_id"] != parent.String() ||
			g.Cast["channel_id"] != channel(1).String() || omit[user(1).String()] != true {
			t.Errorf("got %v", g)
		}
	}
	for _, w := range []*wired{mine, mineFar} {
		w.mu.Lock()
		for _, s := range w.texts {
			if parse(t, s).Event == "typing" {
				t.Error("the one who types was told")
			}
		}
		w.mu.Unlock()
	}
}

// A user who may not post in a channel cannot send typing either.
func TestHub_TypingForbidden(t *testing.T) {
	h := start(t, newWorld(), func(c *Config) {
		c.MayPost = func(context.Context, core.UserID, core.ChannelID) error { return core.E(core.KindForbidden, "no") }
	})
	if err := h.Typing(context.Background(), user(1), channel(1), core.PostID{}); core.KindOf(err) != core.KindForbidden {
		t.Errorf("Typing: %v", err)
	}
}

// Typing faster than the limit is dropped, at its own edge and as a signal.
func TestHub_TypingRate(t *testing.T) {
	a, _, wa := twoEdges(t)
	_, near := register(t, a, client(user(2)), Resume{})
	for range 300 {
		if err := a.Typing(context.Background(), user(1), channel(1), core.PostID{}); err != nil {
			t.Fatal(err)
		}
		a.signal(append([]byte{signalTyping}, append(append(idBytes(user(1)), idBytes(channel(1))...), make([]byte, 16)...)...))
	}
	wa.publish(fence(user(2)))
	near.await(t, "fence", func() bool { return fenced(near) })
	n := 0
	for _, s := range near.texts {
		if parse(t, s).Event == "typing" {
			n++
		}
	}
	if n > 4*TypingPerSecond { // the test may run across the boundary of a second
		t.Errorf("%d typing events", n)
	}
}

func idBytes[T any](id core.ID[T]) []byte { return id[:] }

// A status at another edge is known here, and sent to the user's own sockets.
func TestHub_StatusAcrossEdges(t *testing.T) {
	a, b, _ := twoEdges(t)
	s, one := register(t, a, client(user(1)), Resume{})
	if g := one.find(t, "status_change"); g.Data["status"] != presence.Online || g.Cast["user_id"] != user(1).String() {
		t.Errorf("got %v", g)
	}
	status := func(h *Hub, want string) {
		t.Helper()
		eventually.Nil(t, func() error {
			if got := h.cfg.Presence.Status([]core.UserID{user(1)})[0].Status; got != want {
				return core.E(core.KindInternal, "status %s, want %s", got, want)
			}
			return nil
		})
	}
	status(b, presence.Online)
	a.Active(user(1), false, true)
	status(b, presence.Away)
	s.Leave(true)
	status(b, presence.Offline)
	status(a, presence.Offline)
}

// Malformed signals are ignored.
func FuzzHub_Signal(f *testing.F) {
	f.Add([]byte{})
	f.Add(make([]byte, typingBytes))
	f.Add(append([]byte{signalTyping}, make([]byte, 48)...))
	f.Add(append([]byte{presence.SignalKind}, make([]byte, 8+25)...))
	p, err := presence.New(presence.Config{})
	if err != nil {
		f.Fatal(err)
	}
	w := newWorld()
	h, err := New(Config{View: w, Memberships: w.Memberships, Presence: p})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(_ *testing.T, b []byte) { h.signal(b) })
}
