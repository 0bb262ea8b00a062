package demo

import (
	"testing"
	"time"
)

// Distances are the measured ones where known, and otherwise proportional to the great circle. They are the
// same in both directions.
func TestOneWay_MeasuredAndComputed(t *testing.T) {
	for _, c := range []struct {
		a, b     string
		min, max time.Duration
	}{
		{"virginia", "virginia", 0, 0},
		{"virginia", "frankfurt", 44 * time.Millisecond, 45 * time.Millisecond},
		{"singapore", "frankfurt", 163 * time.Millisecond, 163 * time.Millisecond},
		{"virginia", "singapore", 108 * time.Millisecond, 109 * time.Millisecond},
		{"london", "paris", 1 * time.Millisecond, 5 * time.Millisecond},
		{"london", "auckland", 100 * time.Millisecond, 160 * time.Millisecond},
	} {
		got, back := OneWay(c.a, c.b), OneWay(c.b, c.a)
		if got < c.min || got > c.max || got != back {
			t.Errorf("%s to %s: %v, and back %v; want %v to %v", c.a, c.b, got, back, c.min, c.max)
		}
	}
	if n := len(Regions()); n < 20 {
		t.Errorf("only %d regions are known", n)
	}
	for pair := range measured() {
		if pair[0] >= pair[1] {
			t.Errorf("%v is not in order: it would not be found", pair)
		}
		if err := checkRegions(pair[:]); err != nil {
			t.Error(err)
		}
	}
}

// A factor scales every distance; anything else is refused.
func TestParseLatency_WordsAndFactors(t *testing.T) {
	for s, want := range map[string]float64{"real": 1, "none": 0, "0.5": 0.5, "0": 0, "10": 10} {
		if got, err := ParseLatency(s); err != nil || got != want {
			t.Errorf("%q: %v, %v; want %v", s, got, err, want)
		}
	}
	for _, s := range []string{"", "fast", "-1", "11", "NaN", "Inf"} {
		if got, err := ParseLatency(s); err == nil {
			t.Errorf("%q is taken as %v", s, got)
		}
	}
}
