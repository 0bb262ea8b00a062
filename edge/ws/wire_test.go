package ws

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/nearside/nearside/core/event"
	"github.com/nearside/nearside/core/eventually"
	"github.com/nearside/nearside/edge/fanout"
)

// large is an event for everybody with its number and 64 KiB, so that a few fill a connection.
type large int

func (large) Name() string         { return "large" }
func (large) To() []event.Audience { return []event.Audience{{}} }
func (e large) Write(d *event.Data, _ *event.Audience) {
	d.Int("n", int64(e))
	d.String("text", strings.Repeat("x", 64<<10))
}

// Clients that do not read, also those that send pings, are cut; another gets every event without
// waiting for them.
func TestHandler_StuckClients(t *testing.T) {
	s := newSite(t, nil)
	const stuck = 8
	for i := range stuck {
		c, _ := s.login(alice)
		if i%2 == 0 {
			for range 100 {
				if err := c.WriteControl(websocket.PingMessage, make([]byte, 125), time.Now().Add(patience)); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	b, _ := s.login(bob)
	for end, n := time.Now().Add(patience), 0; s.hub.Stats().Slow < stuck; n++ {
		if time.Now().After(end) {
			t.Fatalf("after %d events: %+v", n, s.hub.Stats())
		}
		s.publish(large(n))
		if m := b.event("large"); m.Data["n"] != float64(n) {
			t.Fatalf("event %d is %v", n, m.Data["n"])
		}
	}
}

// A client that reads late gets every event whole, and the answers to its pings between them.
func TestHandler_LateReader(t *testing.T) {
	s := newSite(t, func(_ *Config, f *fanout.Config) { f.Limits.QueueBytes = 64 << 20 })
	a, _ := s.login(alice)
	const events, pings = 200, 10
	for n := range events {
		s.publish(large(n))
	}
	eventually.Nil(t, func() error {
		if s.hub.Stats().Delivered < events {
			return errors.New("not queued yet")
		}
		return nil
	})
	for range pings {
		if err := a.WriteControl(websocket.PingMessage, []byte("there?"), time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
	}
	pongs := 0
	a.SetPongHandler(func(text string) error {
		if pongs++; text != "there?" {
			t.Errorf("pong %q", text)
		}
		if pongs == pings {
			s.publish(made("fence"))
		}
		return nil
	})
	for n := range events {
		if m := a.event("large"); m.Data["n"] != float64(n) || len(m.Data["text"].(string)) != 64<<10 {
			t.Fatalf("event %d is %v", n, m.Data["n"])
		}
	}
	a.event("fence")
}

// A client's close frame is answered with its code.
func TestHandler_ClientCloses(t *testing.T) {
	s := newSite(t, nil)
	a, _ := s.login(alice)
	text := websocket.FormatCloseMessage(websocket.CloseGoingAway, "")
	if err := a.WriteControl(websocket.CloseMessage, text, time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if code := a.closed(); code != websocket.CloseGoingAway {
		t.Errorf("close code %d", code)
	}
}

func TestAppendHead(t *testing.T) {
	for n, want := range map[int][]byte{
		0:     {0x81, 0},
		125:   {0x81, 125},
		126:   {0x81, 126, 0, 126},
		65535: {0x81, 126, 255, 255},
		65536: {0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0},
	} {
		if got := appendHead(nil, websocket.TextMessage, n); !bytes.Equal(got, want) {
			t.Errorf("%d: %v, want %v", n, got, want)
		}
	}
}
