package fanout

import (
	"testing"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/event"
)

// An event that cannot be encoded is dropped; later ones are delivered.
func TestHub_UnencodableEvent(t *testing.T) {
	w := newWorld()
	h := start(t, w, nil)
	_, wire := register(t, h, client(user(1)), Resume{})
	w.publish(made{name: "bad", write: func(d *event.Data) { d.Value("f", func() {}) }}, fence(user(1)))
	if got := seqs(wire.count(t, 2)); got != "hello0 fence1 " {
		t.Errorf("got %s", got)
	}
}

// A post that the server wrote reaches clients with its text, which the log does not have.
func TestHub_SystemPostHasText(t *testing.T) {
	w := newWorld()
	w.apply(joined(user(1), channel(1)))
	h := start(t, w, nil)
	_, wire := register(t, h, client(user(1)), Resume{})
	w.publish(event.Posted{Channel: core.Channel{ID: channel(1)}, Post: core.Post{
		ChannelID: channel(1), Type: core.TypeJoinChannel, Props: map[string]any{"username": "ada"},
	}})
	if got := wire.count(t, 2)[1].post(t).Message; got != "ada joined the channel." {
		t.Errorf("got %q", got)
	}
}

func BenchmarkDeliver200(b *testing.B) {
	w := newWorld()
	h, err := New(Config{View: w, Memberships: w.Memberships, Limits: Limits{QueueEvents: 1 << 30, QueueBytes: 1 << 40}})
	if err != nil {
		b.Fatal(err)
	}
	h.open = true
	for i := range 200 {
		w.apply(joined(user(i), channel(1)))
		if _, err := h.Register(b.Context(), client(user(i)), nullWire{}, Resume{}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		h.Publish(posted(channel(1), "hello there, how are you today?"))
	}
	h.close()
}

type nullWire struct{}

func (nullWire) Write([]byte, func()) error { return nil }
func (nullWire) Ping(func()) error          { return nil }
func (nullWire) Close(End, func())          {}
func (nullWire) Abort()                     {}
