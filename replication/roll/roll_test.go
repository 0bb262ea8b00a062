package roll_test

import (
	"strings"
	"testing"
	"time"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/replication/link"
	"github.com/nearside/nearside/replication/roll"
)

// Who is checked against the list, and what counts while this node may not have the newest list.
func TestRoll(t *testing.T) {
	now := time.UnixMilli(1_000_000_000)
	var late bool
	r := roll.New(roll.Config{
		Now: func() time.Time { return now }, Late: func() bool { return late }, Listed: func(node string) bool { return node == "h-2" || node == "h-3" },
	})
	peer := func(name, roles string, key byte, change ...func(*link.Peer)) link.Peer {
		p := link.Peer{Identity: link.IdentityOf(name, "here", roles), Key: core.NodeKey{key}, From: now.Add(-time.Hour), Until: now.Add(time.Hour)}
		for _, c := range change {
			c(&p)
		}
		return p
	}
	dialed := func(p *link.Peer) { p.Dialed = true }
	newer := func(p *link.Peer) { p.From = now }
	check := func(p link.Peer, says string) {
		t.Helper()
		err := r.Check(p)
		if says == "" && err != nil || says != "" && (err == nil || !strings.Contains(err.Error(), says)) {
			t.Errorf("%s: %v, want %q", p.Node, err, says)
		}
	}
	check(peer("e-1", "edge", 1), "") // there is no list yet
	at := now.Add(-time.Minute).UnixMilli()
	list := []core.Node{
		{Name: "h-1", Region: "here", Roles: "home", Key: core.NodeKey{1}, KeyAt: at},
		{Name: "e-1", Region: "here", Roles: "edge", Key: core.NodeKey{3}, OldKey: core.NodeKey{2}, OldUntil: now.Add(time.Minute).UnixMilli(), KeyAt: at},
		{Name: "e-2", Region: "here", Roles: "edge", Key: core.NodeKey{4}, RevokeAt: at, Reason: "stolen"},
		{Name: "h-3", Region: "here", Roles: "home", Key: core.NodeKey{5}, RevokeAt: at},
	}
	r.Set(list)
	for _, isLate := range []bool{false, true} {
		late = isLate
		check(peer("h-1", "home", 1), "")
		check(peer("h-1", "home", 2), "another key")
		check(peer("e-1", "edge", 3), "")
		check(peer("e-1", "edge", 2), "")
		check(peer("e-1", "edge", 9, dialed, newer), "another key")
		check(peer("e-1", "home", 3, dialed), "with the roles home")
		check(peer("e-1", "edge", 3, func(p *link.Peer) { p.Region = "there" }), "in there")
		check(peer("e-2", "edge", 4, dialed), "was revoked (stolen)")
		check(peer("e-3", "edge", 6, dialed), "nearside pki admit")
		check(peer("h-2", "home", 7), "") // the log lists it, and it was never admitted
		check(peer("h-2", "edge", 7), "nearside pki admit")
		check(peer("h-3", "home", 5, dialed, newer), "was revoked")
		check(peer("h-4", "home", 8), "nearside pki admit")
		check(peer("h-1", "home", 1, func(p *link.Peer) { p.Until = now }), "has ended")
	}
	// A node that was away for long dials home nodes that have newer keys, or that it does not know.
	check(peer("h-1", "home", 2, dialed, newer), "")
	check(peer("h-1", "home", 2, newer), "another key")
	check(peer("h-4", "home", 8, dialed), "")
	late = false
	check(peer("h-1", "home", 2, dialed, newer), "another key")
	check(peer("h-4", "home", 8, dialed), "nearside pki admit")

	now = now.Add(time.Minute)
	check(peer("e-1", "edge", 2), "another key") // its time is over
	list[2].RevokeAt = 0
	r.Change(list[2])
	check(peer("e-2", "edge", 4), "")
	for i := range 100 {
		_ = r.Check(peer(strings.Repeat("x", i+1), "edge", 1))
	}
	if got := r.Refused(); len(got) != 64 || got[0].Times == 0 || got[0].Reason == "" {
		t.Errorf("%d refused peers are remembered: %+v", len(got), got[0])
	}
}
