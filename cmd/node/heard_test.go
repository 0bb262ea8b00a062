package node

import (
	"testing"
	"time"
)

// Sessions are honoured as long as the edge had everything from home within the grace, also across restarts.
func TestHeard(t *testing.T) {
	dir, start := t.TempDir(), time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	at := start
	begin := func(grace time.Duration) *heard {
		h, err := newHeard(dir, grace, at)
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	look := func(h *heard, after, lag time.Duration, ever, want bool) {
		t.Helper()
		at = at.Add(after)
		if err := h.look(lag, ever, at); err != nil {
			t.Fatal(err)
		}
		if h.inTouch() != want {
			t.Errorf("at %v, %v behind: in touch is %v", at.Sub(start), lag, !want)
		}
	}
	h := begin(time.Hour)
	look(h, time.Minute, 0, false, true) // it has not heard home yet; the first start counts
	look(h, 5*time.Hour, 0, true, true)
	look(h, time.Hour, time.Hour, true, true)
	look(h, time.Second, time.Hour+time.Second, true, false)
	look(h, time.Second, 0, true, true) // home is back
	look(h, 30*time.Minute, 30*time.Minute, true, true)
	h = begin(time.Hour) // a restart while it is cut off
	look(h, 30*time.Minute, 0, false, true)
	look(h, 2*time.Minute, 0, false, false)
	look(h, time.Minute, 36*time.Minute, true, false) // no longer than since the start can be known
	look(h, 0, time.Second, true, true)
	h = begin(-1)
	look(h, 1000*time.Hour, 0, false, true)
	if h = begin(0); h.grace != defaultSessionGrace {
		t.Error(h.grace)
	}
}
