package areas_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"strconv"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/nearside/nearside/edge/api/apitest"
	"github.com/nearside/nearside/edge/api/areas"
	"github.com/nearside/nearside/edge/rate"
)

// limited is a home whose edge limits accounts and addresses. The requests of a test come from a
// trusted proxy, which says where from.
func limited(t testing.TB, cfg rate.Config) *apitest.Site {
	t.Helper()
	cfg.Trusted = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
	l, err := rate.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	_, s := apitest.NewHomeWith(t, func(cfg *areas.Config) { cfg.Limiter = l })
	return s
}

func from(address string, more ...string) map[string]string {
	h := map[string]string{"X-Forwarded-For": address}
	for i := 0; i < len(more); i += 2 {
		h[more[i]] = more[i+1]
	}
	return h
}

func account(name string) string {
	return fmt.Sprintf(`{"username":%q,"email":"%s@example.com","password":"correct horse"}`, name, name)
}

func TestRate_SignUpsOfAnAddress(t *testing.T) {
	// Regression: 34 accounts were made from one address in 3 s. After twenty the others are refused,
	// with the time to wait, while another address can sign up; a made-up address before the proxy's
	// does not help.
	reg := prometheus.NewRegistry()
	s := limited(t, rate.Config{Metrics: reg})
	made := 0
	for i := range 34 {
		resp := s.Raw(t, "POST", "/users", account(fmt.Sprint("mass", i)), from(fmt.Sprintf("203.0.113.%d, 192.0.2.1", i)))
		switch resp.StatusCode {
		case http.StatusCreated:
			made++
		case http.StatusTooManyRequests:
			var p apitest.Problem
			if err := json.NewDecoder(resp.Body).Decode(&p); err != nil {
				t.Fatal(err)
			}
			wait, err := strconv.Atoi(resp.Header.Get("Retry-After"))
			if p.ID != "api.nearside.limit.app_error" || err != nil || wait < 1 || wait > 5 || resp.Header.Get("X-RateLimit-Remaining") != "0" ||
				resp.Header.Get("X-RateLimit-Limit") != "20" || resp.Header.Get("X-RateLimit-Reset") == "" {
				t.Fatalf("refused with %+v, %v", p, resp.Header)
			}
		default:
			t.Fatalf("status %d", resp.StatusCode)
		}
	}
	if made < 20 || made > 22 { // one more every five seconds
		t.Errorf("%d accounts were made from one address", made)
	}
	if resp := s.Raw(t, "POST", "/users", account("elsewhere"), from("192.0.2.2")); resp.StatusCode != http.StatusCreated {
		t.Errorf("from another address: status %d", resp.StatusCode)
	}
	const metric = "nearside_rate_refusals_total"
	if n, err := testutil.GatherAndCount(reg, metric); err != nil || n != 1 {
		t.Errorf("%d series of %s, %v", n, metric, err)
	}
}

func TestRate_KnownCallersKeepTheirShare(t *testing.T) {
	// When strangers have spent everything that their address may, those who are signed in at the same
	// address go on, and a login that has succeeded from there before succeeds again.
	s := limited(t, rate.Config{Rates: rate.Rates{"login": {PerSec: 0.01, MaxBurst: 3}, "read": {PerSec: 0.01, MaxBurst: 8}}})
	for _, name := range []string{"ann", "bob"} {
		s.Raw(t, "POST", "/users", account(name), from("192.0.2.1"))
	}
	login := func(name, password string) *http.Response {
		return s.Raw(t, "POST", "/users/login", fmt.Sprintf(`{"login_id":%q,"password":%q}`, name, password), from("192.0.2.1"))
	}
	token := login("Ann", "correct horse").Header.Get("Token")
	signedIn := from("192.0.2.1", "Authorization", "Bearer "+token)
	if got := s.Raw(t, "GET", "/users/me", "", signedIn).StatusCode; got != http.StatusOK {
		t.Fatalf("me: %d", got)
	}
	for range 6 {
		login("nobody", "wrong password")
		s.Raw(t, "GET", "/config/client?format=old", "", from("192.0.2.1"))
		s.Raw(t, "GET", "/users/me", "", from("192.0.2.1", "Authorization", "Bearer aaaaaaaaaaaaaaaaaaaaaaaaaa"))
	}
	if got := login("bob", "correct horse").StatusCode; got != http.StatusTooManyRequests {
		t.Errorf("a login that is not known there: %d", got)
	}
	if got := s.Raw(t, "GET", "/users/me", "", from("192.0.2.1")).StatusCode; got != http.StatusTooManyRequests {
		t.Errorf("a stranger: %d", got)
	}
	if got := s.Raw(t, "GET", "/users/me", "", signedIn).StatusCode; got != http.StatusOK {
		t.Errorf("somebody signed in: %d", got)
	}
	for _, name := range []string{"ann", "ANN@example.com"} {
		if got := login(name, "correct horse").StatusCode; got != http.StatusOK {
			t.Errorf("a login that is known there, as %s: %d", name, got)
		}
	}
}

func TestRate_BytesOfAnswers(t *testing.T) {
	// Who has received more bytes than the account may waits before the next request.
	s := limited(t, rate.Config{Rates: rate.Rates{"bytes": {PerSec: 500, MaxBurst: 10_000}}})
	ann := s.SignUp(t, "ann")
	n := 0
	for ; n < 100; n++ {
		if resp := ann.Do("GET", "/users/me", nil, nil); resp.StatusCode != http.StatusOK {
			if resp.StatusCode != http.StatusTooManyRequests {
				t.Fatalf("status %d", resp.StatusCode)
			}
			break
		}
	}
	if n < 5 || n > 60 {
		t.Errorf("%d answers", n)
	}
}

func TestRate_AdministratorsMakeAccounts(t *testing.T) {
	// An administrator makes accounts for others at the rate of writes, not of sign-ups.
	s := limited(t, rate.Config{Rates: rate.Rates{"sign_up": {PerSec: 0.01, MaxBurst: 1}}})
	root := s.SignUp(t, "root")
	root.Must(http.StatusCreated, "POST", "/users", map[string]string{"username": "one", "email": "one@example.com", "password": "correct horse"}, nil)
	resp := s.Raw(t, "POST", "/users", account("two"), nil)
	if resp.StatusCode != http.StatusTooManyRequests {
		t.Errorf("a stranger: %d", resp.StatusCode)
	}
}
