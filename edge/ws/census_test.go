package ws

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/nearside/nearside/core/eventually"
	"github.com/nearside/nearside/edge/fanout"
	"github.com/nearside/nearside/edge/rate"
)

// dialFrom dials from an address, and reports whether there is a connection.
func (s *site) dialFrom(address string, h http.Header) bool {
	s.t.Helper()
	if h == nil {
		h = http.Header{}
	}
	h.Set("From", address)
	c, r, err := websocket.DefaultDialer.Dial(s.url+"/api/v4/websocket", h)
	if err != nil {
		if r == nil || r.StatusCode != http.StatusServiceUnavailable {
			s.t.Fatalf("dial: %v (%v)", err, r)
		}
		return false
	}
	s.t.Cleanup(func() { _ = c.Close() })
	return true
}

// Regression: 1,024 upgrades without a session stopped all sockets. Those of one address have a limit of their
// own, and even those of many addresses leave room for everybody who comes with a session.
func TestHandler_IdleUpgradesStopNobody(t *testing.T) {
	s := newSite(t, func(c *Config, _ *fanout.Config) { c.Limits = Limits{Pending: 5, PendingOne: 3} })
	open := 0
	for range 10 {
		if s.dialFrom("192.0.2.1", nil) {
			open++
		}
	}
	if open != 3 {
		t.Errorf("%d idle ones from one address, want 3", open)
	}
	if !s.dialFrom("192.0.2.1", bearer(alice)) {
		t.Error("somebody with a session is refused at the same address")
	}
	for i := range 10 {
		if s.dialFrom(fmt.Sprintf("198.51.100.%d", i), nil) {
			open++
		}
	}
	if open != 5 {
		t.Errorf("%d idle ones from many addresses, want 5", open)
	}
	for range 8 { // they are authenticated one by one, and then no longer pending
		eventually.Nil(t, func() error {
			if !s.dialFrom("203.0.113.1", bearer(bob)) {
				return fmt.Errorf("somebody with a session is refused at another address")
			}
			return nil
		})
	}
}

// An idle upgrade ends in time and frees its place.
func TestHandler_IdleUpgradesEnd(t *testing.T) {
	s := newSite(t, func(c *Config, _ *fanout.Config) {
		c.Limits, c.AuthWithin = Limits{PendingOne: 1}, 50*time.Millisecond
	})
	for range 3 {
		eventually.Nil(t, func() error {
			if !s.dialFrom("192.0.2.1", nil) {
				return fmt.Errorf("the place is not free")
			}
			return nil
		})
	}
}

// One address has only so many connections, also with sessions; when one ends, its place is free.
func TestHandler_ConnectionsOfAnAddress(t *testing.T) {
	s := newSite(t, func(c *Config, _ *fanout.Config) { c.Limits = Limits{PerAddress: 2} })
	from := func() http.Header { h := bearer(alice); h.Set("From", "2001:db8::1"); return h }
	a := s.dial("", from())
	b := s.dial("", from())
	a.event("hello")
	b.event("hello")
	if s.dialFrom("2001:db8::2", bearer(bob)) { // of the same network
		t.Error("a third one from one address")
	}
	if !s.dialFrom("192.0.2.1", bearer(bob)) {
		t.Error("another address is refused")
	}
	_ = a.Close()
	eventually.Nil(t, func() error {
		if !s.dialFrom("2001:db8::1", bearer(alice)) {
			return fmt.Errorf("the place is not free")
		}
		return nil
	})
}

// Requests of a socket spend the account's tokens; those over the rate are refused, and the connection stays.
func TestHandler_RequestsAreLimited(t *testing.T) {
	l, err := rate.New(rate.Config{Rates: rate.Rates{"read": {PerSec: 0.01, MaxBurst: 3}}})
	if err != nil {
		t.Fatal(err)
	}
	s := newSite(t, func(c *Config, _ *fanout.Config) { c.Limiter = l })
	c, _ := s.login(alice)
	for seq := range int64(5) {
		c.send(fmt.Sprintf(`{"seq":%d,"action":"get_statuses"}`, seq+1))
		m := c.reply(seq + 1)
		if refused := m.Error != nil; refused != (seq >= 3) || refused && (m.Error.Status != http.StatusTooManyRequests || m.Error.ID != "api.nearside.limit.app_error" || m.Error.Message == "") {
			t.Errorf("request %d: %+v %+v", seq+1, m, m.Error)
		}
	}
	if v, _ := l.Take(rate.Read, rate.Caller{Account: alice}); v.Allowed {
		t.Error("they were not the account's tokens")
	}
}
