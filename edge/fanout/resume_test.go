package fanout

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/event"
	"github.com/nearside/nearside/core/eventually"
)

func fence(u core.UserID) event.Event {
	return made{name: "fence", to: event.Audience{User: u}}
}

func seqs(gs []got) string {
	out := ""
	for _, g := range gs {
		out += fmt.Sprintf("%s%d ", g.Event, g.Seq)
	}
	return out
}

// A client that reconnects continues where it was, or gets a new connection id and hello, and
// must read everything again.
func TestHub_Resume(t *testing.T) {
	u := user(1)
	// Each case: a socket with hello and 4 written events, then one event while it is parked.
	for _, tc := range []struct {
		name   string
		change func(*Client, *Resume)
		want   string
	}{
		{"UnknownID/NewConnection", func(_ *Client, r *Resume) { r.ConnectionID = core.DeriveID[Socket]("x").String() }, "hello0 fence1 "},
		{"InRing/Replays", func(_ *Client, r *Resume) { r.Next = 3 }, "fence3 fence4 fence5 fence6 "},
		{"FromTheStart/ReplaysHello", func(_ *Client, r *Resume) { r.Next = 0 }, "hello0 fence1 fence2 fence3 fence4 fence5 fence6 "},
		{"NothingLost/Continues", func(_ *Client, r *Resume) { r.Next = 5 }, "fence5 fence6 "},
		{"TooFar/NewConnection", func(_ *Client, r *Resume) { r.Next = 6 }, "hello0 fence1 "},
		{"Negative/NewConnection", func(_ *Client, r *Resume) { r.Next = -1 }, "hello0 fence1 "},
		{"OtherSession/NewConnection", func(c *Client, r *Resume) { r.Next = 5; c.Session[0]++ }, "hello0 fence1 "},
		{"OtherUser/NewConnection", func(c *Client, r *Resume) { r.Next = 5; c.User = user(2) }, "hello0 "},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld()
			h := start(t, w, nil)
			s, a := register(t, h, client(u), Resume{})
			for range 4 {
				w.publish(fence(u))
			}
			a.count(t, 5)
			s.Reply([]byte(`{"seq_reply":1}`))
			a.count(t, 6)
			s.idle(t)
			s.Leave(true)
			w.publish(fence(u))
			h.settled(t, w)
			c, r := client(u), Resume{ConnectionID: s.ID()}
			tc.change(&c, &r)
			s2, b := register(t, h, c, r)
			w.publish(fence(u))
			h.settled(t, w)
			s2.idle(t)
			b.mu.Lock()
			defer b.mu.Unlock()
			var gs []got
			for _, s := range b.texts {
				gs = append(gs, parse(t, s))
			}
			if got := seqs(gs); got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}

// idle waits until the socket has no writer.
func (s *Socket) idle(t *testing.T) {
	t.Helper()
	eventually.Nil(t, func() error {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.writing {
			return fmt.Errorf("writer runs")
		}
		return nil
	})
}

// settled waits until the hub has delivered everything that was published.
func (h *Hub) settled(t *testing.T, w *world) {
	t.Helper()
	h.passed(t, w.Position().Index)
}

func (h *Hub) passed(t *testing.T, at core.Index) {
	t.Helper()
	eventually.Nil(t, func() error {
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.at < at {
			return fmt.Errorf("hub at %d of %d", h.at, at)
		}
		return nil
	})
}

// Events that are no longer in the ring cannot be repeated: the client starts again.
func TestHub_ResumePastRing(t *testing.T) {
	w := newWorld()
	h := start(t, w, func(c *Config) { c.Limits.RingEvents = 3 })
	s, a := register(t, h, client(user(1)), Resume{})
	for range 9 {
		w.publish(fence(user(1)))
	}
	a.count(t, 10)
	s.idle(t)
	s.Leave(true)
	_, b := register(t, h, client(user(1)), Resume{ConnectionID: s.ID(), Next: 6})
	if got := seqs(b.count(t, 1)); got != "hello0 " {
		t.Errorf("got %s", got)
	}
	if st := h.Stats(); st.Resumed != 0 || st.Parked != 0 {
		t.Errorf("stats %+v", st)
	}
}

// A membership change while the client is away takes effect.
func TestHub_ResumeKeepsMemberships(t *testing.T) {
	w := newWorld()
	h := start(t, w, nil)
	s, a := register(t, h, client(user(1)), Resume{})
	a.count(t, 1)
	s.idle(t)
	s.Leave(true)
	w.publish(posted(channel(1), "no"), joined(user(1), channel(1)), posted(channel(1), "yes"))
	h.settled(t, w)
	_, b := register(t, h, client(user(1)), Resume{ConnectionID: s.ID(), Next: 1})
	if g := b.count(t, 1)[0]; g.Seq != 1 || g.post(t).Message != "yes" {
		t.Errorf("got %v", g)
	}
}

// Parked sockets are bounded: by number, by bytes and by time; the one parked first is dropped.
func TestHub_ParkedBounds(t *testing.T) {
	w := newWorld()
	var mu sync.Mutex
	now := time.Now()
	h := start(t, w, func(c *Config) {
		c.Limits = Limits{Parked: 2, ParkedBytes: 2 << 10, PingEvery: 60 * time.Millisecond}
		c.Now = func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	})
	parked := func(n int) {
		t.Helper()
		eventually.Nil(t, func() error {
			if st := h.Stats(); st.Parked != n || st.Sockets != 0 {
				return fmt.Errorf("stats %+v, want %d parked", st, n)
			}
			return nil
		})
	}
	for i := range 3 {
		s, _ := register(t, h, client(user(i)), Resume{})
		s.Leave(true)
	}
	parked(2)
	for range 20 {
		w.publish(fence(user(2)))
	}
	parked(1)
	mu.Lock()
	now = now.Add(5*time.Minute + time.Second)
	mu.Unlock()
	parked(0)
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.users)+len(h.byID) != 0 {
		t.Errorf("%d users and %d sockets stay in the indexes", len(h.users), len(h.byID))
	}
}

// The end of a session closes its parked sockets: they cannot be resumed.
func TestHub_SessionEndedWhileParked(t *testing.T) {
	w := newWorld()
	h := start(t, w, nil)
	s, _ := register(t, h, client(user(1)), Resume{})
	s.Leave(true)
	w.publish(event.SessionEnded{User: user(1), Session: client(user(1)).Session})
	h.settled(t, w)
	if st := h.Stats(); st.Parked != 0 {
		t.Errorf("stats %+v", st)
	}
}

// A queue that is never empty does not grow for ever.
func TestSocket_QueueStaysSmall(t *testing.T) {
	w := newWorld()
	h := start(t, w, nil)
	wire := newWire()
	wire.gate = make(chan struct{})
	s := registerWire(t, h, client(user(1)), wire, Resume{})
	h.Publish(fence(user(1)))
	h.Publish(fence(user(1)))
	for i := range 2000 {
		h.Publish(fence(user(1)))
		wire.gate <- struct{}{}
		wire.await(t, "an event", func() bool { return len(wire.texts) == i+1 })
	}
	s.mu.Lock()
	if n := cap(s.queue); n > 64 {
		t.Errorf("the queue has room for %d", n)
	}
	s.mu.Unlock()
	close(wire.gate)
}
