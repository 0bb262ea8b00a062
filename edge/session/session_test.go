package session_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/event"
	"github.com/nearside/nearside/edge/session"
)

func TestTokenFrom_Order(t *testing.T) {
	// A cookie is preferred to a header, a header to the query; schemes are case-insensitive.
	request := func(cookie, header, query string) *http.Request {
		r := httptest.NewRequest("GET", "/api/v4/users/me?access_token="+query, nil)
		if cookie != "" {
			r.AddCookie(&http.Cookie{Name: session.CookieToken, Value: cookie})
		}
		if header != "" {
			r.Header.Set("Authorization", header)
		}
		return r
	}
	for _, c := range []struct {
		cookie, header, query string
		want                  string
		from                  session.Source
	}{
		{"c", "Bearer h", "q", "c", session.FromCookie},
		{"", "bEaReR h", "q", "h", session.FromHeader},
		{"", "TOKEN h", "", "h", session.FromHeader},
		{"", "Basic h", "q", "q", session.FromQuery},
		{"", "Bearer", "", "", session.None},
		{"", "Bearer " + strings.Repeat("x", 80), "", strings.Repeat("x", 50), session.FromHeader},
	} {
		if got, from := session.TokenFrom(request(c.cookie, c.header, c.query)); got != c.want || from != c.from {
			t.Errorf("%+v: got %q from %d", c, got, from)
		}
	}
}

func TestPassesCSRF(t *testing.T) {
	// Only our own page can repeat the CSRF cookie or set X-Requested-With.
	token := session.NewToken()
	r := httptest.NewRequest("POST", "/", nil)
	if session.PassesCSRF(r, token) {
		t.Error("passed with nothing")
	}
	r.Header.Set("X-CSRF-Token", session.CSRF(session.NewToken()))
	if session.PassesCSRF(r, token) {
		t.Error("passed with another session's")
	}
	r.Header.Set("X-CSRF-Token", session.CSRF(token))
	if !session.PassesCSRF(r, token) {
		t.Error("refused its own")
	}
}

func TestNewToken_LooksLikeAnID(t *testing.T) {
	// Tokens have the format that clients check, and are not repeated.
	seen := map[string]bool{}
	for range 1000 {
		tok := session.NewToken()
		if _, ok := core.ParseID[core.Session](tok); !ok || seen[tok] {
			t.Fatalf("token %q", tok)
		}
		seen[tok] = true
	}
}

// replica is a test's table of sessions.
type replica map[core.Seal]core.Session

func (r replica) find(_ context.Context, h core.Seal) (core.Session, bool, error) {
	s, ok := r[h]
	return s, ok, nil
}

func store(t *testing.T, cfg session.Config) *session.Store {
	t.Helper()
	s, err := session.NewStore(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestStore_EndedSession(t *testing.T) {
	// A session is found until its end is announced, or it expires.
	r, token, now := replica{}, session.NewToken(), time.UnixMilli(1000)
	hash := core.HashToken(token).Seal()
	s := store(t, session.Config{Find: r.find, Now: func() time.Time { return now }})
	r[hash] = core.Session{ID: core.NewID[core.Session](now), Token: hash, ExpiresAt: 2000}
	if _, err := s.Lookup(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	now = time.UnixMilli(2000)
	if _, err := s.Lookup(t.Context(), token); core.KindOf(err) != core.KindUnauthorized {
		t.Fatalf("expired: %v", err)
	}
	now = time.UnixMilli(1000)
	delete(r, hash)
	s.Ended(event.SessionEnded{Token: hash})
	if _, err := s.Lookup(t.Context(), token); core.KindOf(err) != core.KindUnauthorized {
		t.Fatalf("ended: %v", err)
	}
}

func TestStore_OutOfTouch(t *testing.T) {
	// An edge that may have missed the end of a session says that it is unavailable, not that the session is over, and
	// honours the session again when it has heard from home.
	r, token, now, inTouch := replica{}, session.NewToken(), time.UnixMilli(1000), false
	hash := core.HashToken(token).Seal()
	s := store(t, session.Config{Find: r.find, Now: func() time.Time { return now }, InTouch: func() bool { return inTouch }})
	r[hash] = core.Session{ID: core.NewID[core.Session](now), Token: hash, ExpiresAt: 2000}
	if _, err := s.Lookup(t.Context(), token); core.KindOf(err) != core.KindUnavailable {
		t.Errorf("out of touch: %v", err)
	}
	inTouch = true
	if _, err := s.Lookup(t.Context(), token); err != nil {
		t.Errorf("in touch again: %v", err)
	}
	inTouch, now = false, time.UnixMilli(2000)
	if _, err := s.Lookup(t.Context(), token); core.KindOf(err) != core.KindUnauthorized {
		t.Errorf("expired, whatever home knows: %v", err)
	}
}

func TestStore_AsksHome(t *testing.T) {
	// For an unknown token home is asked before it is refused, and not again for a second.
	r, token, now, asked := replica{}, session.NewToken(), time.UnixMilli(0), 0
	hash := core.HashToken(token).Seal()
	var answer error
	atHome := func() {}
	s := store(t, session.Config{Find: r.find, Now: func() time.Time { return now }, CatchUp: func(context.Context) error {
		asked++
		atHome()
		return answer
	}})
	for range 3 {
		if _, err := s.Lookup(t.Context(), token); core.KindOf(err) != core.KindUnauthorized {
			t.Fatal(err)
		}
	}
	if asked != 1 {
		t.Fatalf("asked %d times", asked)
	}
	now = now.Add(time.Second)
	answer = errors.New("cut off")
	if _, err := s.Lookup(t.Context(), token); core.KindOf(err) != core.KindUnavailable {
		t.Fatal(err)
	}
	answer = nil
	atHome = func() { r[hash] = core.Session{Token: hash} }
	if _, err := s.Lookup(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Lookup(t.Context(), "not a token"); core.KindOf(err) != core.KindUnauthorized || asked != 3 {
		t.Fatal(err, asked)
	}
}
