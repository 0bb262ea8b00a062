package main

import (
	"testing"
	"time"
)

// A request counts for the part in which it began, and for a kill that it waited for.
func TestClock_Of(t *testing.T) {
	t0 := time.Now()
	at := func(s int) time.Time { return t0.Add(time.Duration(s) * time.Second) }
	c := &clock{spans: []span{{quiet, at(0), ""}, {abused, at(20), "lists"}, {struck, at(40), ""}, {between, at(45), ""}, {quiet, at(60), ""}}}
	for _, want := range []struct {
		began, ended int
		phase        phase
	}{{-1, 1, between}, {1, 2, quiet}, {19, 25, quiet}, {20, 21, abused}, {39, 41, struck}, {39, 70, struck}, {44, 61, struck}, {45, 61, between}, {61, 62, quiet}} {
		if got := c.of(at(want.began), at(want.ended)); got.phase != want.phase {
			t.Errorf("from %d to %d: %s, want %s", want.began, want.ended, got.phase, want.phase)
		}
	}
	if got := c.at(at(30)); got.flood != "lists" {
		t.Errorf("at 30: %q", got.flood)
	}
}

// Memory that grows by a tenth of its mean in an hour is seen, and its noise is not.
func TestGrowth(t *testing.T) {
	var all []reading
	for i := range 360 {
		noise := int64(i*7919%21 - 10)
		all = append(all, reading{at: time.Unix(int64(10*i), 0), resident: 95_000 + int64(i)*10_000/360 + 100*noise})
	}
	if g := growth(all); g < 0.095 || g > 0.105 {
		t.Errorf("growth is %.3f", g)
	}
	if first, last := thirds(all); last < first+5_000 || last > first+8_000 {
		t.Errorf("the thirds have %d and %d", first, last)
	}
	if growth(all[:1]) != 0 {
		t.Error("one reading has a growth")
	}
}
