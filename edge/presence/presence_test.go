package presence

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nearside/nearside/core"
)

type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

func user(n int) core.UserID { return core.DeriveID[core.User]("u", fmt.Sprint(n)) }

// two returns two edges; signals of the first reach the second until they are cut.
func two(t *testing.T) (a, b *Map, c *clock, cut *bool) {
	t.Helper()
	c, cut = &clock{time.Unix(1_700_000_000, 0)}, new(bool)
	b = make1(t, Config{Now: c.now})
	a = make1(t, Config{Now: c.now, Send: func(s []byte) {
		if len(s) > 1000 {
			t.Errorf("signal of %d bytes", len(s))
		}
		if !*cut {
			b.Receive(s)
		}
	}})
	return a, b, c, cut
}

func make1(t *testing.T, cfg Config) *Map {
	t.Helper()
	m, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func (m *Map) of(n int) string { return m.Status([]core.UserID{user(n)})[0].Status }

// A user is online after the first socket, offline after the last, and each change is reported
// once.
func TestMap_Sockets(t *testing.T) {
	a, b, _, _ := two(t)
	step := func(f func(core.UserID) (Change, bool), want string, changes bool) {
		t.Helper()
		c, ok := f(user(1))
		if ok != changes || a.of(1) != want || b.of(1) != want || ok && c != (Change{user(1), want}) {
			t.Errorf("change %v %v, here %s, there %s, want %s", c, ok, a.of(1), b.of(1), want)
		}
	}
	step(a.Opened, Online, true)
	step(a.Opened, Online, false)
	step(a.Closed, Online, false)
	step(a.Closed, Offline, true)
	step(a.Closed, Offline, false)
}

// An inactive user is away after five minutes, or at once by hand, and online again at the next
// activity.
func TestMap_Away(t *testing.T) {
	a, b, c, _ := two(t)
	a.Opened(user(1))
	if _, ok := a.Active(user(1), false, false); ok || a.of(1) != Online {
		t.Error("away too early")
	}
	c.at = c.at.Add(AwayAfter)
	if ch, ok := a.Active(user(1), false, false); !ok || ch.Status != Away || b.of(1) != Away {
		t.Errorf("change %v, there %s", ch, b.of(1))
	}
	if ch, ok := a.Active(user(1), true, false); !ok || ch.Status != Online {
		t.Errorf("change %v", ch)
	}
	if ch, ok := a.Active(user(1), false, true); !ok || ch.Status != Away {
		t.Errorf("change %v", ch)
	}
	if _, ok := a.Active(user(2), true, false); ok || a.of(2) != Offline {
		t.Error("a user without sockets came online")
	}
}

// The highest status of all edges counts.
func TestMap_TwoEdges(t *testing.T) {
	a, b, _, _ := two(t)
	a.Opened(user(1))
	b.Opened(user(1))
	b.Active(user(1), false, true)
	if got := b.of(1); got != Online {
		t.Errorf("away here, online there: %s", got)
	}
	a.Closed(user(1))
	if got := b.of(1); got != Away {
		t.Errorf("away here, gone there: %s", got)
	}
}

// The next refresh replaces a lost signal, and records without a refresh expire.
func TestMap_LostSignals(t *testing.T) {
	a, b, c, cut := two(t)
	*cut = true
	const n = 100
	for i := range n {
		a.Opened(user(i))
	}
	if b.of(1) != Offline {
		t.Fatal("nothing was cut")
	}
	*cut = false
	a.Tick()
	for i := range n {
		if b.of(i) != Online {
			t.Fatalf("user %d is %s after the refresh", i, b.of(i))
		}
	}
	*cut = true
	c.at = c.at.Add(ExpireAfter + time.Second)
	if changes := b.Tick(); len(changes) != n || b.of(1) != Offline || b.remotes != 0 {
		t.Errorf("%d changes, %d records", len(changes), b.remotes)
	}
}

// When an edge stops, its users become offline.
func TestMap_Leave(t *testing.T) {
	a, b, _, _ := two(t)
	a.Opened(user(1))
	a.Leave()
	if b.of(1) != Offline {
		t.Error(b.of(1))
	}
}

// The records of other edges are bounded.
func TestMap_Bound(t *testing.T) {
	b := make1(t, Config{MaxRemote: 10})
	a := make1(t, Config{Send: func(s []byte) { b.Receive(s) }})
	for i := range 30 {
		a.Opened(user(i))
	}
	if b.remotes != 10 || b.Dropped() != 20 || len(b.Present(100)) != 10 || len(b.Present(3)) != 3 {
		t.Errorf("%d records, %d dropped", b.remotes, b.Dropped())
	}
}

// The answer has one row for each id in the order asked, also for unknown ones.
func TestMap_Status(t *testing.T) {
	a, _, c, _ := two(t)
	a.Opened(user(1))
	want := []Status{
		{UserID: user(2), Status: Offline},
		{UserID: user(1), Status: Online, LastActivityAt: c.at.UnixMilli()},
	}
	if diff := cmp.Diff(want, a.Status([]core.UserID{user(2), user(1)})); diff != "" {
		t.Error(diff)
	}
}

// Every method may be called from many goroutines at once.
func TestMap_ConcurrentUse(t *testing.T) {
	b := make1(t, Config{})
	a := make1(t, Config{Send: func(s []byte) { b.Receive(s) }})
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for n := range 200 {
				a.Opened(user(n % 5))
				a.Active(user(n%5), n%2 == 0, true)
				a.Tick()
				b.Tick()
				b.Present(10)
				a.Closed(user(n % 5))
			}
		})
	}
	all.Wait()
	a.Leave()
	if n := len(a.Present(10)) + len(b.Present(10)); n != 0 {
		t.Errorf("%d users stay", n)
	}
}

// Any bytes are a signal or are ignored; the counters stay right.
func FuzzMap_Receive(f *testing.F) {
	f.Add([]byte{SignalKind})
	f.Add(make([]byte, headBytes+recordBytes))
	var seed []byte
	a, err := New(Config{Send: func(s []byte) { seed = s }})
	if err != nil {
		f.Fatal(err)
	}
	a.Opened(user(1))
	f.Add(seed)
	m, err := New(Config{MaxRemote: 50})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m.Receive(b)
		n := 0
		for _, rs := range m.remote {
			n += len(rs)
		}
		if n != m.remotes || n > 50 {
			t.Fatalf("%d records, counted %d", n, m.remotes)
		}
	})
}
