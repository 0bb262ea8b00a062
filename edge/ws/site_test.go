package ws

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/event"
	"github.com/nearside/nearside/core/eventually"
	"github.com/nearside/nearside/edge"
	"github.com/nearside/nearside/edge/fanout"
	"github.com/nearside/nearside/edge/presence"
	"github.com/nearside/nearside/edge/rate"
)

const patience = eventually.Limit

var (
	alice   = core.DeriveID[core.User]("alice")
	bob     = core.DeriveID[core.User]("bob")
	town    = core.DeriveID[core.Channel]("town")
	private = core.DeriveID[core.Channel]("private")
)

func sessionOf(u core.UserID) core.SessionID { return core.DeriveID[core.Session](u.String()) }

// site is an edge's WebSocket side on a real listener; alice and bob are members of channel town.
type site struct {
	t    testing.TB
	hub  *fanout.Hub
	url  string
	tail *event.Tail
	stop func()

	mu    sync.Mutex
	index core.Index
}

func (s *site) Position() core.Position                       { return core.Position{} }
func (s *site) WaitApplied(context.Context, core.Index) error { return nil }
func (s *site) Subscribe() *event.Cursor                      { return s.tail.Subscribe() }
func (s *site) Link() edge.Link                               { return edge.Link{Connected: true} }
func (s *site) members(context.Context, core.UserID) (fanout.Memberships, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return fanout.Memberships{At: core.Position{Index: s.index}, Channels: map[core.ChannelID]core.TeamID{town: {}}}, nil
}

func (s *site) publish(evs ...event.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.index++
	s.tail.Publish([]event.Batch{{Index: s.index, Events: evs}})
}

func authenticate(_ context.Context, token string) (Session, error) {
	for _, u := range []core.UserID{alice, bob} {
		if token == u.String() {
			return Session{ID: sessionOf(u), UserID: u}, nil
		}
	}
	if token == "broken" {
		return Session{}, errors.New("no database")
	}
	return Session{}, core.E(core.KindUnauthorized, "no such session")
}

func tokenOf(r *http.Request) string {
	if t, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		return t
	}
	if c, err := r.Cookie("MMAUTHTOKEN"); err == nil {
		return c.Value
	}
	return ""
}

// newSite starts a site that must leave no goroutine.
func newSite(t *testing.T, change func(*Config, *fanout.Config)) *site {
	t.Helper()
	before := runtime.NumGoroutine()
	t.Cleanup(func() { // runs after the site's own clean-up
		eventually.Nil(t, func() error {
			if n := runtime.NumGoroutine(); n > before {
				return fmt.Errorf("%d goroutines, %d before", n, before)
			}
			return nil
		})
	})
	return startSite(t, change)
}

func startSite(t testing.TB, change func(*Config, *fanout.Config)) *site {
	t.Helper()
	s := &site{t: t, tail: event.NewTail()}
	p, err := presence.New(presence.Config{})
	if err != nil {
		t.Fatal(err)
	}
	fc := fanout.Config{View: s, Memberships: s.members, Presence: p, Version: "11.6.0.a.b.false", Hostname: "edge-1",
		MayPost: func(_ context.Context, _ core.UserID, ch core.ChannelID) error {
			if ch == private {
				return core.E(core.KindForbidden, "no")
			}
			return nil
		}}
	cfg := Config{Authenticate: authenticate, TokenFromRequest: tokenOf, Presence: p}
	if change != nil {
		change(&cfg, &fc)
	}
	if s.hub, err = fanout.New(fc); err != nil {
		t.Fatal(err)
	}
	cfg.Hub = s.hub
	h, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = s.hub.Run(ctx) })
	running.Go(func() { _ = h.Run(ctx) })
	server := httptest.NewServer(called(h))
	s.url = "ws" + strings.TrimPrefix(server.URL, "http")
	s.stop = sync.OnceFunc(func() {
		cancel()
		done := make(chan struct{})
		go func() { running.Wait(); close(done) }()
		select {
		case <-done:
		case <-time.After(patience):
			t.Fatal("Run did not end")
		}
		server.Close()
	})
	t.Cleanup(s.stop)
	eventually.Nil(t, func() error {
		_, err := s.hub.Register(ctx, fanout.Client{}, nil, fanout.Resume{})
		running := h.admit(visitor{}) != nil
		if running {
			h.dismiss(visitor{})
		}
		if !running || core.KindOf(err) != core.KindUnauthorized {
			return errors.New("not running")
		}
		return nil
	})
	return s
}

// called does what the API does with an upgrade: it says who the caller is. A test says the address.
func called(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var c rate.Caller
		if s, err := authenticate(r.Context(), tokenOf(r)); err == nil {
			c.Account = s.UserID
		}
		c.Address, _ = netip.ParseAddr(r.Header.Get("From"))
		h.ServeHTTP(w, r.WithContext(rate.With(r.Context(), c)))
	})
}

// conn is a client that checks the rules for every message.
type conn struct {
	*websocket.Conn
	t   testing.TB
	seq int64
}

type message struct {
	Event string         `json:"event"`
	Data  map[string]any `json:"data"`
	Seq   *int64         `json:"seq"`

	Status string    `json:"status"`
	Reply  int64     `json:"seq_reply"`
	Error  *apiError `json:"error"`
}

func (s *site) dial(query string, header http.Header) *conn {
	s.t.Helper()
	c, r, err := websocket.DefaultDialer.Dial(s.url+"/api/v4/websocket"+query, header)
	if err != nil {
		s.t.Fatalf("dial: %v (%v)", err, r)
	}
	s.t.Cleanup(func() { _ = c.Close() })
	_ = c.SetReadDeadline(time.Now().Add(patience))
	return &conn{Conn: c, t: s.t}
}

func bearer(u core.UserID) http.Header {
	return http.Header{"Authorization": {"Bearer " + u.String()}}
}

// login dials as a user and reads hello and the user's own status.
func (s *site) login(u core.UserID) (c *conn, id string) {
	s.t.Helper()
	c = s.dial("", bearer(u))
	m := c.event("hello")
	id, _ = m.Data["connection_id"].(string)
	return c, id
}

func (c *conn) next() message {
	c.t.Helper()
	_, b, err := c.ReadMessage()
	if err != nil {
		c.t.Fatalf("read: %v", err)
	}
	var m message
	if err := json.Unmarshal(b, &m); err != nil {
		c.t.Fatalf("%v: %s", err, b)
	}
	switch {
	case m.Status != "" && m.Seq != nil:
		c.t.Fatalf("a reply has an event number: %s", b)
	case m.Status == "" && (m.Seq == nil || *m.Seq != c.seq):
		c.t.Fatalf("event without number %d: %s", c.seq, b)
	case m.Status == "":
		c.seq++
	}
	return m
}

// event reads up to the next event with a name.
func (c *conn) event(name string) message {
	c.t.Helper()
	for {
		if m := c.next(); m.Event == name {
			return m
		}
	}
}

func (c *conn) reply(seq int64) message {
	c.t.Helper()
	for {
		if m := c.next(); m.Status != "" {
			if m.Reply != seq {
				c.t.Fatalf("reply to %d, want %d", m.Reply, seq)
			}
			return m
		}
	}
}

func (c *conn) send(text string) {
	c.t.Helper()
	if err := c.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
		c.t.Fatal(err)
	}
}

// closed reads until the connection ends and returns the close code (1006: none).
func (c *conn) closed() int {
	c.t.Helper()
	for {
		_, _, err := c.ReadMessage()
		var ce *websocket.CloseError
		switch {
		case errors.As(err, &ce):
			return ce.Code
		case err != nil && strings.Contains(err.Error(), "timeout"):
			c.t.Fatal("the connection stays open")
		case err != nil:
			return websocket.CloseAbnormalClosure
		}
	}
}

func (c *conn) challenge(token string) {
	c.send(`{"seq":1,"action":"authentication_challenge","data":{"token":"` + token + `"}}`)
}

// made is an event for everybody, with this name.
type made string

func (e made) Name() string                         { return string(e) }
func (made) To() []event.Audience                   { return []event.Audience{{}} }
func (made) Write(d *event.Data, _ *event.Audience) {}

// numbered is a post in channel town whose message is its index in the log.
type numbered core.Index

func (numbered) Name() string                             { return "posted" }
func (numbered) To() []event.Audience                     { return []event.Audience{{Channel: town}} }
func (e numbered) Write(d *event.Data, _ *event.Audience) { d.Int("n", int64(e)) }
