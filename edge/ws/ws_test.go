package ws

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/event"
	"github.com/nearside/nearside/edge"
	"github.com/nearside/nearside/edge/fanout"
	"github.com/nearside/nearside/edge/presence"
)

const patience = 10 * time.Second

var (
	alice   = core.DeriveID[core.User]("alice")
	bob     = core.DeriveID[core.User]("bob")
	town    = core.DeriveID[core.Channel]("town")
	private = core.DeriveID[core.Channel]("private")
)

func sessionOf(u core.UserID) core.SessionID { return core.DeriveID[core.Session](u.String()) }

// site is an edge's WebSocket side on a real listener: alice and bob are in town.
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
	return fanout.Memberships{At: core.Position{Index: s.index}, Channels: []core.ChannelID{town}}, nil
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

// newSite starts a site that must leave no goroutine behind.
func newSite(t *testing.T, change func(*Config, *fanout.Config)) *site {
	t.Helper()
	before := runtime.NumGoroutine()
	t.Cleanup(func() { // runs after the site's own clean-up
		until(t, func() error {
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
	server := httptest.NewServer(h)
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
	until(t, func() error {
		_, err := s.hub.Register(ctx, fanout.Client{}, nil, fanout.Resume{})
		if h.room() == nil || core.KindOf(err) != core.KindUnauthorized {
			return errors.New("not running")
		}
		return nil
	})
	return s
}

func until(t testing.TB, f func() error) {
	t.Helper()
	tick, end := time.NewTicker(time.Millisecond), time.After(patience)
	defer tick.Stop()
	for {
		err := f()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-end:
			t.Fatal(err)
		}
	}
}

// conn is a client that checks the rules every message must keep.
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

// closed reads until the connection ends and gives the close code (1006: none).
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

// A client authenticates by header, by cookie, or by a challenge, whose answer follows hello.
func TestHandler_Authenticates(t *testing.T) {
	s := newSite(t, nil)
	hello := func(c *conn) {
		t.Helper()
		m := c.next()
		id, _ := m.Data["connection_id"].(string)
		if m.Event != "hello" || len(id) != core.IDLength || m.Data["server_version"] != "11.6.0.a.b.false" || m.Data["server_hostname"] != "edge-1" {
			t.Errorf("first message %+v", m)
		}
	}
	t.Run("Header", func(*testing.T) { hello(s.dial("", bearer(alice))) })
	t.Run("Cookie", func(*testing.T) { hello(s.dial("/", http.Header{"Cookie": {"MMAUTHTOKEN=" + alice.String()}})) })
	t.Run("Challenge", func(t *testing.T) {
		c := s.dial("", nil)
		c.challenge(alice.String())
		hello(c)
		if m := c.reply(1); m.Status != "OK" {
			t.Errorf("%+v", m)
		}
	})
	t.Run("BadHeaderThenChallenge", func(*testing.T) {
		c := s.dial("", http.Header{"Authorization": {"Bearer nonsense"}})
		c.challenge(bob.String())
		hello(c)
	})
	t.Run("SecondChallengeIsSilent", func(*testing.T) {
		c := s.dial("", bearer(alice))
		c.challenge("whatever")
		c.send(`{"seq":2,"action":"ping"}`)
		c.reply(2)
	})
}

// A challenge with a bad token, or none, ends the connection without a word.
func TestHandler_BadChallenge(t *testing.T) {
	s := newSite(t, nil)
	for _, data := range []string{`{"token":"nonsense"}`, `{"token":"broken"}`, `{"token":5}`, `{}`, `null`} {
		c := s.dial("", nil)
		c.send(`{"seq":1,"action":"authentication_challenge","data":` + data + `}`)
		if _, b, err := c.ReadMessage(); err == nil {
			t.Errorf("%s: got %s", data, b)
		}
	}
}

// A client that shows no token gets no answer to anything, and is closed in time.
func TestHandler_Unauthenticated(t *testing.T) {
	s := newSite(t, func(c *Config, _ *fanout.Config) { c.AuthWithin = 50 * time.Millisecond })
	c := s.dial("", nil)
	c.send(`{"seq":1,"action":"ping"}`)
	c.send(`{"seq":2,"action":"nonsense"}`)
	c.send(`{"seq":0,"action":"authentication_challenge"}`)
	s.publish(event.Event{Name: "for everybody"})
	if _, b, err := c.ReadMessage(); err == nil {
		t.Errorf("got %s", b)
	}
}

// Requests are answered as the protocol says.
func TestHandler_Actions(t *testing.T) {
	s := newSite(t, nil)
	c, _ := s.login(alice)
	seq := int64(0)
	ask := func(action, data string) message {
		t.Helper()
		seq++
		c.send(fmt.Sprintf(`{"seq":%d,"action":%q,"data":%s}`, seq, action, data))
		return c.reply(seq)
	}
	if m := ask("ping", "null"); m.Data["text"] != "pong" || m.Data["version"] != "11.6.0" || m.Data["node_id"] != "" || m.Data["server_time"].(float64) < 1e12 {
		t.Errorf("ping: %+v", m)
	}
	if m := ask("get_statuses", "null"); m.Data[alice.String()] != "online" || len(m.Data) != 1 {
		t.Errorf("get_statuses: %+v", m)
	}
	if m := ask("get_statuses_by_ids", fmt.Sprintf(`{"user_ids":[%q,%q]}`, alice, bob)); m.Data[alice.String()] != "online" || m.Data[bob.String()] != "offline" {
		t.Errorf("get_statuses_by_ids: %+v", m)
	}
	for action, data := range map[string]string{
		"presence":                  `{"channel_id":"x"}`,
		"posted_notify_ack":         `{"post_id":"x"}`,
		"user_typing":               fmt.Sprintf(`{"channel_id":%q,"parent_id":""}`, town),
		"user_update_active_status": `{"user_is_active":false,"manual":true}`,
	} {
		if m := ask(action, data); m.Status != "OK" || m.Data != nil {
			t.Errorf("%s: %+v", action, m)
		}
	}
	const param = "api.websocket_handler.invalid_param.app_error"
	for _, tc := range []struct {
		action, data, id string
		status           int
	}{
		{"nonsense", "{}", "api.web_socket_router.bad_action.app_error", 500},
		{"", "{}", "api.web_socket_router.no_action.app_error", 400},
		{"user_typing", "{}", param, 400},
		{"user_typing", `{"channel_id":5}`, param, 400},
		{"user_typing", fmt.Sprintf(`{"channel_id":%q}`, private), param, 400},
		{"user_typing", fmt.Sprintf(`{"channel_id":%q,"parent_id":"x"}`, town), param, 400},
		{"user_update_active_status", `{"user_is_active":"yes"}`, param, 400},
		{"get_statuses_by_ids", `{"user_ids":"x"}`, param, 400},
		{"get_statuses_by_ids", `{"user_ids":[]}`, param, 400},
		{"get_statuses_by_ids", `{"user_ids":[1]}`, param, 400},
	} {
		m := ask(tc.action, tc.data)
		if m.Status != "FAIL" || m.Error == nil || m.Error.ID != tc.id || m.Error.Status != tc.status || m.Error.Message == "" {
			t.Errorf("%s %s: %+v %+v", tc.action, tc.data, m, m.Error)
		}
	}
	c.send(`{"seq":0,"action":"ping"}`)
	if m := c.reply(0); m.Error.ID != "api.web_socket_router.bad_seq.app_error" {
		t.Errorf("%+v", m)
	}
	c.send(`{"seq":77,"action":"custom_plugin_thing"}`)
	ask("ping", "null") // the next answer is this one's
}

// Events come in log order with contiguous numbers, to all sockets, while replies come between.
func TestHandler_Events(t *testing.T) {
	s := newSite(t, nil)
	a, _ := s.login(alice)
	b, _ := s.login(bob)
	const n = 200
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range n / 4 {
				s.mu.Lock() // the number is the place in the log
				s.index++
				s.tail.Publish([]event.Batch{{Index: s.index, Events: []event.Event{{
					Name: "posted", Audience: event.Audience{Channel: town}, Data: []event.Field{{Key: "n", Value: int64(s.index)}},
				}}}})
				s.mu.Unlock()
			}
		})
	}
	a.send(`{"seq":1,"action":"ping"}`)
	all.Wait()
	for _, c := range []*conn{a, b} {
		for i := range n {
			if m := c.event("posted"); m.Data["n"].(float64) != float64(i+1) {
				t.Fatalf("event %d is entry %v", i+1, m.Data["n"])
			}
		}
	}
}

// What one person types is told to the others of the channel.
func TestHandler_Typing(t *testing.T) {
	s := newSite(t, nil)
	a, _ := s.login(alice)
	b, _ := s.login(bob)
	a.send(fmt.Sprintf(`{"seq":1,"action":"user_typing","data":{"channel_id":%q,"parent_id":""}}`, town))
	a.reply(1)
	if m := b.event("typing"); m.Data["user_id"] != alice.String() || m.Data["parent_id"] != "" {
		t.Errorf("%+v", m)
	}
}

// A session that ends takes its socket with it.
func TestHandler_SessionEnded(t *testing.T) {
	s := newSite(t, nil)
	a, _ := s.login(alice)
	b, _ := s.login(bob)
	s.publish(event.Event{Effect: event.Effect{Kind: event.SessionEnded, User: alice, Session: sessionOf(alice)}}, event.Event{Name: "fence"})
	if code := a.closed(); code != websocket.ClosePolicyViolation {
		t.Errorf("close code %d", code)
	}
	b.event("fence")
}

// A client that comes back with its ids goes on without hello; malformed ids end the connection.
func TestHandler_Resume(t *testing.T) {
	s := newSite(t, nil)
	a, id := s.login(alice)
	a.event("status_change")
	_ = a.NetConn().Close()
	until(t, func() error {
		if s.hub.Stats().Parked != 1 {
			return errors.New("not parked")
		}
		return nil
	})
	s.publish(event.Event{Name: "missed"})
	b := s.dial("?connection_id="+id+"&sequence_number=2", bearer(alice))
	b.seq = 2
	if m := b.next(); m.Event != "missed" && m.Event != "status_change" {
		t.Errorf("%+v", m)
	}
	if st := s.hub.Stats(); st.Resumed != 1 {
		t.Errorf("stats %+v", st)
	}
	for _, q := range []string{"?connection_id=short&sequence_number=2", "?connection_id=" + id, "?connection_id=" + id + "&sequence_number=x"} {
		if _, text, err := s.dial(q, bearer(alice)).ReadMessage(); err == nil {
			t.Errorf("%s: got %s", q, text)
		}
	}
	c := s.dial("?connection_id=junk", nil)
	c.challenge(bob.String())
	c.event("hello")
}

// The end of Run closes every connection, authenticated or not, with "going away".
func TestHandler_Stops(t *testing.T) {
	s := newSite(t, nil)
	a, _ := s.login(alice)
	b := s.dial("", nil)
	go s.stop()
	for _, c := range []*conn{a, b} {
		if code := c.closed(); code != websocket.CloseGoingAway {
			t.Errorf("close code %d", code)
		}
	}
	s.stop()
}

// A frame over 8 KiB or one that cannot be decoded ends the connection; the largest legal one
// does not. MessagePack comes in binary frames.
func TestHandler_Frames(t *testing.T) {
	s := newSite(t, nil)
	text := func(b string) (int, []byte) { return websocket.TextMessage, []byte(b) }
	pad := func(n int) string {
		head, tail := `{"seq":1,"action":"ping","data":{"x":"`, `"}}`
		return head + strings.Repeat("x", n-len(head)-len(tail)) + tail
	}
	for name, frame := range map[string]func() (int, []byte){
		"TooLarge":    func() (int, []byte) { return text(pad(RequestBytes + 1)) },
		"NotJSON":     func() (int, []byte) { return text("nonsense") },
		"Array":       func() (int, []byte) { return text("[]") },
		"TwoValues":   func() (int, []byte) { return text("{}{}") },
		"WrongSeq":    func() (int, []byte) { return text(`{"seq":"1"}`) },
		"Empty":       func() (int, []byte) { return text("") },
		"BadMsgpack":  func() (int, []byte) { return websocket.BinaryMessage, []byte{0xc1, 0xff} },
		"HugeMsgpack": func() (int, []byte) { return websocket.BinaryMessage, []byte{0xdf, 0xff, 0xff, 0xff, 0xff} },
	} {
		c, _ := s.login(alice)
		if err := c.WriteMessage(frame()); err != nil {
			t.Fatal(err)
		}
		c.closed()
		t.Log(name, "ended")
	}
	c, _ := s.login(alice)
	c.send(pad(RequestBytes))
	c.reply(1)
	ping := append([]byte{0x82, 0xa3}, "seq\x05\xa6action\xa4ping"...)
	if err := c.WriteMessage(websocket.BinaryMessage, ping); err != nil {
		t.Fatal(err)
	}
	c.reply(5)
}

// What is not an upgrade, or comes from a foreign page, is refused in the API's error shape.
func TestHandler_Refuses(t *testing.T) {
	s := newSite(t, func(c *Config, _ *fanout.Config) { c.Pending = 1 })
	get := func(h http.Header) (*http.Response, apiError) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), "GET", "http"+strings.TrimPrefix(s.url, "ws")+"/api/v4/websocket", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header = h
		r, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = r.Body.Close() }()
		var e apiError
		if err := json.NewDecoder(r.Body).Decode(&e); err != nil {
			t.Fatal(err)
		}
		return r, e
	}
	upgrade := func() http.Header {
		return http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="}}
	}
	foreign := upgrade()
	foreign.Set("Origin", "https://evil.example")
	for _, h := range []http.Header{{}, foreign} {
		r, e := get(h)
		if r.StatusCode != 400 || e.ID != "api.web_socket.connect.upgrade.app_error" || e.Status != 400 || r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%d %+v", r.StatusCode, e)
		}
	}
	s.dial("", nil)
	if r, e := get(upgrade()); r.StatusCode != 503 || r.Header.Get("Retry-After") == "" || e.Status != 503 {
		t.Errorf("%d %+v", r.StatusCode, e)
	}
}

// Pings keep a silent client's connection open past the read deadline; a dead one is closed.
func TestHandler_KeepAlive(t *testing.T) {
	s := newSite(t, func(c *Config, f *fanout.Config) {
		c.ReadWithin = 300 * time.Millisecond
		f.Limits.PingEvery = 60 * time.Millisecond
	})
	a, _ := s.login(alice)
	b, _ := s.login(bob)
	pings := 0
	a.SetPingHandler(func(d string) error {
		if pings++; pings == 12 {
			s.publish(event.Event{Name: "fence"})
		}
		return a.WriteControl(websocket.PongMessage, []byte(d), time.Now().Add(patience))
	})
	b.SetPingHandler(func(string) error { return nil }) // does not answer
	a.event("fence")
	b.closed()
}

// No frame of a client crashes the server or stops it from serving the next client.
func FuzzDecode(f *testing.F) {
	f.Add(true, []byte(`{"seq":1,"action":"ping","data":{"a":[1,{}]}}`))
	f.Add(false, append([]byte{0x82, 0xa3}, "seq\x05\xa6action\xa4ping"...))
	f.Add(false, []byte{0xdf, 0xff, 0xff, 0xff, 0xff})
	f.Add(false, []byte{0xc9, 0xff, 0xff, 0xff, 0xff, 1})
	p, err := presence.New(presence.Config{})
	if err != nil {
		f.Fatal(err)
	}
	s := &site{tail: event.NewTail()}
	hub, err := fanout.New(fanout.Config{View: s, Memberships: s.members, Presence: p})
	if err != nil {
		f.Fatal(err)
	}
	c := &client{handler: &Handler{cfg: Config{Hub: hub, Presence: p}}, session: Session{UserID: alice}}
	f.Fuzz(func(t *testing.T, isText bool, b []byte) {
		kind := websocket.BinaryMessage
		if isText {
			kind = websocket.TextMessage
		}
		if len(b) > RequestBytes {
			return
		}
		r, err := decode(kind, b)
		if err != nil {
			return
		}
		data, fail, answer := c.serve(context.Background(), r)
		if _, err := json.Marshal(reply{Data: data, Error: fail}); err != nil || answer && fail != nil && fail.ID == "" {
			t.Fatalf("%v %+v", err, fail)
		}
	})
}
