package ws

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/event"
	"github.com/nearside/nearside/core/eventually"
	"github.com/nearside/nearside/edge/catalogue"
	"github.com/nearside/nearside/edge/fanout"
	"github.com/nearside/nearside/edge/presence"
)

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

// A challenge with an invalid token, or none, ends the connection without an answer.
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

// A client without a token gets no answer to anything, and is closed in time.
func TestHandler_Unauthenticated(t *testing.T) {
	s := newSite(t, func(c *Config, _ *fanout.Config) { c.AuthWithin = 50 * time.Millisecond })
	c := s.dial("", nil)
	c.send(`{"seq":1,"action":"ping"}`)
	c.send(`{"seq":2,"action":"nonsense"}`)
	c.send(`{"seq":0,"action":"authentication_challenge"}`)
	s.publish(made("for everybody"))
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
	german := bearer(bob)
	german.Set("Accept-Language", "de")
	d := s.dial("", german)
	d.send(`{"seq":1,"action":"nonsense"}`)
	if m := d.reply(1); m.Error == nil || m.Error.Message != "Diese Aktion gibt es nicht." {
		t.Errorf("in German: %+v", m.Error)
	}
	c.send(`{"seq":0,"action":"ping"}`)
	if m := c.reply(0); m.Error.ID != "api.web_socket_router.bad_seq.app_error" {
		t.Errorf("%+v", m)
	}
	c.send(`{"seq":77,"action":"custom_plugin_thing"}`)
	ask("ping", "null") // the next answer belongs to this request
}

// Events arrive in log order with contiguous numbers at all sockets, also when replies are mixed
// in.
func TestHandler_Events(t *testing.T) {
	s := newSite(t, nil)
	a, _ := s.login(alice)
	b, _ := s.login(bob)
	const n = 200
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range n / 4 {
				s.mu.Lock() // the number is the index in the log
				s.index++
				s.tail.Publish([]event.Batch{{Index: s.index, Events: []event.Event{numbered(s.index)}}})
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

// A user's typing is shown to the other members of the channel.
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

// When a session ends, its socket is closed.
func TestHandler_SessionEnded(t *testing.T) {
	s := newSite(t, nil)
	a, _ := s.login(alice)
	b, _ := s.login(bob)
	s.publish(event.SessionEnded{User: alice, Session: sessionOf(alice)}, made("fence"))
	if code := a.closed(); code != websocket.ClosePolicyViolation {
		t.Errorf("close code %d", code)
	}
	b.event("fence")
}

// A client that reconnects with its ids continues without hello; malformed ids end the
// connection.
func TestHandler_Resume(t *testing.T) {
	s := newSite(t, nil)
	a, id := s.login(alice)
	a.event("status_change")
	_ = a.NetConn().Close()
	eventually.Nil(t, func() error {
		if s.hub.Stats().Parked != 1 {
			return errors.New("not parked")
		}
		return nil
	})
	s.publish(made("missed"))
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

// When Run ends, every connection, authenticated or not, is closed with "going away".
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

// A frame over 8 KiB, or one that cannot be decoded, ends the connection; the largest allowed one
// does not. Binary frames contain MessagePack.
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

// A request that is not an upgrade, or comes from another site's page, is refused in the API's
// error format.
func TestHandler_Refuses(t *testing.T) {
	s := newSite(t, func(c *Config, _ *fanout.Config) { c.Limits.Pending = 1 })
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
		var e struct {
			apiError
			RequestID string `json:"request_id"`
		}
		if err := json.NewDecoder(r.Body).Decode(&e); err != nil || len(e.RequestID) != core.IDLength {
			t.Fatalf("%+v, %v", e, err)
		}
		return r, e.apiError
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
	if _, e := get(http.Header{"Accept-Language": {"de"}}); !strings.HasPrefix(e.Message, "Das ist kein WebSocket-Upgrade") {
		t.Errorf("in German: %+v", e)
	}
	s.dial("", nil)
	if r, e := get(upgrade()); r.StatusCode != 503 || r.Header.Get("Retry-After") == "" || e.Status != 503 {
		t.Errorf("%d %+v", r.StatusCode, e)
	}
}

// Pings keep a silent client's connection open beyond the read deadline; a dead one is closed.
func TestHandler_KeepAlive(t *testing.T) {
	s := newSite(t, func(c *Config, f *fanout.Config) {
		c.ReadWithin = time.Second
		f.Limits.PingEvery = 60 * time.Millisecond
	})
	a, _ := s.login(alice)
	b, _ := s.login(bob)
	pings := 0
	a.SetPingHandler(func(d string) error {
		if pings++; pings == 20 {
			s.publish(made("fence"))
		}
		return a.WriteControl(websocket.PongMessage, []byte(d), time.Now().Add(patience))
	})
	b.SetPingHandler(func(string) error { return nil }) // does not answer pings
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
		data, refused, _ := c.serve(context.Background(), r)
		if _, err := json.Marshal(reply{Data: data}); err != nil {
			t.Fatal(err)
		}
		if refused != nil {
			if p := problemOf(refused, catalogue.Language{}); p.ID == "" || p.Message == "" || p.Status == 0 {
				t.Fatalf("%v is told as %+v", refused, p)
			}
		}
	})
}
