package region

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/nearside/nearside/core"
)

// A node that was elected but is still applying earlier entries does not say how far home is. A sweep
// that relied on it would remove blobs whose entries it has not applied yet.
func TestAnswer_Position_OnlyOfAReadyLeader(t *testing.T) {
	w := startWorld(t, 1, nil)
	w.leader().propose(0, 3)
	r := w.leader().Region
	ask := func() ([]byte, error) { return r.Answer(t.Context(), []byte{askPosition}) }
	r.lead.pause(true)
	if got, err := ask(); core.KindOf(err) != core.KindUnavailable {
		t.Errorf("not ready: %q, %v", got, err)
	}
	r.lead.pause(false)
	if got, err := ask(); err != nil || string(got) != r.cfg.Machine.Position().String() {
		t.Errorf("ready: %q, %v", got, err)
	}
}

// Every home node learns from the leader how far it is.
func TestLeaderPosition_FollowersAsk(t *testing.T) {
	w := startWorld(t, 3, nil)
	w.leader().propose(0, 10)
	w.agree()
	want := w.leader().machine.Position()
	for _, n := range w.followers() {
		if got, err := n.LeaderPosition(t.Context()); err != nil || got != want {
			t.Errorf("%s: %v, %v, want %v", n.name, got, err, want)
		}
	}
	for _, bad := range [][]byte{nil, {0}, {askDigest}, {askDigest, 1}, {askPosition, 1}, {99, 1, 2}} {
		if got, err := w.leader().Answer(t.Context(), bad); core.KindOf(err) != core.KindInvalid {
			t.Errorf("%v: %q, %v", bad, got, err)
		}
	}
}

// The machine of an outvoted node is discarded once, before the region starts again.
func TestDiscardOutvoted_Once(t *testing.T) {
	w := startWorld(t, 3, nil)
	w.leader().propose(0, 10)
	w.agree()
	bad := w.followers()[0]
	bad.machine.spoil()
	if err := bad.ended(); core.KindOf(err) != core.KindDiverged {
		t.Fatalf("it ended with %v", err)
	}
	times := 0
	for range 2 {
		if err := DiscardOutvoted(bad.dir, func(why string) error { times++; return nil }); err != nil {
			t.Fatal(err)
		}
	}
	if times != 1 {
		t.Errorf("discarded %d times", times)
	}
	if _, err := os.Stat(filepath.Join(bad.dir, outvotedFile)); !os.IsNotExist(err) {
		t.Errorf("the note: %v", err)
	}
	bad.machine = newChain()
	bad.start()
	w.agree()
}
