package rate_test

import (
	"context"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/edge/rate"
)

func limiter(t *testing.T, cfg rate.Config) *rate.Limiter {
	t.Helper()
	l, err := rate.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// allowed takes tokens until one is refused, at most n, and gives how many there were.
func allowed(l *rate.Limiter, class rate.Class, c rate.Caller, n int) int {
	for i := range n {
		if v, _ := l.Take(class, c); !v.Allowed {
			return i
		}
	}
	return n
}

func at(s string) netip.Addr { return netip.MustParseAddr(s) }

var (
	ann = rate.Caller{Account: core.UserID{1}, Address: at("192.0.2.1")}
	bob = rate.Caller{Account: core.UserID{2}, Address: at("192.0.2.1")}
	eve = rate.Caller{Address: at("192.0.2.1")}
)

// A full bucket lets its burst through at once, and then as many as flow in; the verdict says how it stands.
func TestLimiter_BurstThenRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := limiter(t, rate.Config{Rates: rate.Rates{"post": {PerSec: 2, MaxBurst: 5}}})
		if v, on := l.Take(rate.Post, ann); !on || !v.Allowed || v.Limit != 5 || v.Remaining != 4 || v.Reset != 500*time.Millisecond {
			t.Errorf("first: %+v", v)
		}
		if n := allowed(l, rate.Post, ann, 10); n != 4 {
			t.Errorf("%d more at once, want 4", n)
		}
		v, _ := l.Take(rate.Post, ann)
		if v.Allowed || v.Remaining != 0 || v.Wait != 500*time.Millisecond {
			t.Errorf("refused: %+v", v)
		}
		if n := allowed(l, rate.Read, ann, 100); n != 100 {
			t.Errorf("another class: %d", n)
		}
		time.Sleep(v.Wait)
		if n := allowed(l, rate.Post, ann, 10); n != 1 {
			t.Errorf("%d after the wait, want 1", n)
		}
		time.Sleep(time.Hour)
		if n := allowed(l, rate.Post, ann, 10); n != 5 {
			t.Errorf("%d after an hour, want 5", n)
		}
	})
}

// An account, its neighbours at the same address, and strangers there do not spend one another's tokens;
// all that are signed in at an address share Neighbours times as much as one.
func TestLimiter_Shares(t *testing.T) {
	l := limiter(t, rate.Config{Now: func() time.Time { return time.Unix(1, 0) }, Rates: rate.Rates{"read": {PerSec: 1, MaxBurst: 10}}})
	for who, c := range map[string]rate.Caller{"stranger": eve, "ann": ann, "bob": bob} {
		if n := allowed(l, rate.Read, c, 100); n != 10 {
			t.Errorf("%s: %d, want 10", who, n)
		}
	}
	total := 20
	for i := range 100 {
		total += allowed(l, rate.Read, rate.Caller{Account: core.UserID{3, byte(i)}, Address: ann.Address}, 100)
	}
	if total != 10*rate.Neighbours {
		t.Errorf("all at the address: %d, want %d", total, 10*rate.Neighbours)
	}
}

// A sign-up spends from the strangers of its address, whoever is signed in. An IPv6 network of one customer is one
// address.
func TestLimiter_SignUpsOfAnAddress(t *testing.T) {
	l := limiter(t, rate.Config{Now: func() time.Time { return time.Unix(1, 0) }, Rates: rate.Rates{"sign_up": {PerSec: 1, MaxBurst: 10}}})
	if n := allowed(l, rate.SignUp, eve, 6) + allowed(l, rate.SignUp, ann, 100) + allowed(l, rate.SignUp, bob, 100); n != 10 {
		t.Errorf("%d at one address, want 10", n)
	}
	n := 0
	for i := range 100 {
		n += allowed(l, rate.SignUp, rate.Caller{Address: at("2001:db8:0:7::" + strconv.Itoa(i))}, 1)
	}
	if n != 10 {
		t.Errorf("%d from one /64, want 10", n)
	}
	if n := allowed(l, rate.SignUp, rate.Caller{Address: at("2001:db8:0:8::1")}, 100); n != 10 {
		t.Errorf("%d from the next /64, want 10", n)
	}
}

// Strangers who have spent all logins of an address do not lock out a login that has succeeded from there before.
func TestLimiter_KnownLogins(t *testing.T) {
	l := limiter(t, rate.Config{Now: func() time.Time { return time.Unix(1, 0) }, Rates: rate.Rates{"login": {PerSec: 1, MaxBurst: 10}}})
	l.Know(ann, "ann", "ann@example.com")
	as := func(login string) rate.Caller { return rate.Caller{Address: ann.Address, Login: login} }
	if n := allowed(l, rate.Login, as("bob"), 100); n != 10 {
		t.Errorf("a stranger: %d, want 10", n)
	}
	if n := allowed(l, rate.Login, as("carl"), 100); n != 0 {
		t.Errorf("another: %d, want 0", n)
	}
	for _, login := range []string{"Ann", "ann@example.com"} {
		if n := allowed(l, rate.Login, as(login), 100); n != 10 {
			t.Errorf("%s: %d, want 10", login, n)
		}
	}
	if n := allowed(l, rate.Login, rate.Caller{Address: at("192.0.2.9"), Login: "ann"}, 100); n != 10 {
		t.Errorf("from elsewhere: %d, want 10", n)
	}
}

// Bytes are taken when they are known, so the bucket may be overdrawn; then every class waits until it is not.
func TestLimiter_Bytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := limiter(t, rate.Config{Rates: rate.Rates{"bytes": {PerSec: 1000, MaxBurst: 5000}}})
		l.Spend(ann, 4999)
		if n := allowed(l, rate.Read, ann, 3); n != 3 {
			t.Errorf("within: %d", n)
		}
		l.Spend(ann, 2001)
		v, _ := l.Take(rate.Write, ann)
		if v.Allowed || v.Wait != 2*time.Second {
			t.Errorf("overdrawn: %+v", v)
		}
		if n := allowed(l, rate.Read, bob, 3); n != 3 {
			t.Errorf("somebody else: %d", n)
		}
		time.Sleep(v.Wait)
		if n := allowed(l, rate.Write, ann, 3); n != 3 {
			t.Errorf("after the wait: %d", n)
		}
	})
}

// Only so many accounts and addresses are remembered.
func TestLimiter_MemoryIsBounded(t *testing.T) {
	l := limiter(t, rate.Config{Size: 10, Now: func() time.Time { return time.Unix(1, 0) }})
	for i := range 10_000 {
		c := rate.Caller{Account: core.UserID{byte(i), byte(i >> 8)}, Address: netip.AddrFrom4([4]byte{10, 0, byte(i), byte(i >> 8)})}
		l.Know(c, "a", "b")
		l.Take(rate.Read, c)
	}
	if buckets, logins := l.Remembered(); buckets != 10 || logins != 10 {
		t.Errorf("%d and %d are remembered, want 10", buckets, logins)
	}
}

// Who goes on after many refusals waits for each further one; who waits as told does not.
func TestLimiter_HoldsTheImpatient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := limiter(t, rate.Config{Rates: rate.Rates{"post": {PerSec: 1, MaxBurst: 1}}})
		held := func() time.Duration {
			began := time.Now()
			v, _ := l.Take(rate.Post, ann)
			l.Hold(t.Context(), v)
			return time.Since(began)
		}
		for range 21 {
			if d := held(); d != 0 {
				t.Fatalf("held for %v", d)
			}
		}
		if d := held(); d == 0 {
			t.Error("not held after 20 refusals")
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		v, _ := l.Take(rate.Post, ann)
		l.Hold(ctx, v) // it would deadlock
		time.Sleep(2 * time.Second)
		if d := held() + held(); d != 0 {
			t.Errorf("held for %v after waiting", d)
		}
	})
}

// X-Forwarded-For is believed from trusted proxies alone, and of what they say only as far as other
// trusted proxies have said it.
func TestAddress(t *testing.T) {
	l := limiter(t, rate.Config{Trusted: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}})
	for _, c := range []struct{ from, said, want string }{
		{"192.0.2.1:5000", "", "192.0.2.1"},
		{"192.0.2.1:5000", "198.51.100.7", "192.0.2.1"}, // no proxy of ours
		{"10.0.0.1:5000", "198.51.100.7", "198.51.100.7"},
		{"10.0.0.1:5000", "203.0.113.1, 198.51.100.7", "198.51.100.7"}, // the client made the first one up
		{"10.0.0.1:5000", "203.0.113.1,198.51.100.7 , 10.2.2.2", "198.51.100.7"},
		{"10.0.0.1:5000", "203.0.113.1 | 198.51.100.7", "198.51.100.7"}, // two headers
		{"10.0.0.1:5000", "10.3.3.3", "10.3.3.3"},
		{"10.0.0.1:5000", "203.0.113.1, unknown", "10.0.0.1"},
		{"10.0.0.1:5000", "198.51.100.7:4711", "198.51.100.7"},
		{"[fd00::1]:5000", "[2001:db8::7]:4711", "2001:db8::7"},
		{"[fd00::1]:5000", "2001:db8::7", "2001:db8::7"},
		{"[::ffff:10.0.0.1]:5000", "198.51.100.7", "198.51.100.7"},
		{"[fe80::1%eth0]:5000", "", "fe80::1"},
	} {
		r := &http.Request{RemoteAddr: c.from, Header: http.Header{}}
		for _, line := range strings.Split(c.said, "|") {
			if c.said != "" {
				r.Header.Add("X-Forwarded-For", line)
			}
		}
		if got := l.Address(r); got.String() != c.want {
			t.Errorf("%s, forwarded for %q: %v, want %s", c.from, c.said, got, c.want)
		}
	}
}

// Rates that are none are refused with what is wrong.
func TestRates_Check(t *testing.T) {
	for name, r := range map[string]rate.Rates{
		"no class": {"posts": {PerSec: 1, MaxBurst: 1}}, "no rate": {"post": {MaxBurst: 1}}, "no burst": {"post": {PerSec: 1}},
		"nearly never": {"post": {PerSec: 1e-9, MaxBurst: 1e6}},
	} {
		if err := r.Check(); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
	if err := (rate.Rates{"sign_up": {PerSec: 0.1, MaxBurst: 3}}).Check(); err != nil {
		t.Error(err)
	}
}
