package region

import (
	"context"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/nearside/nearside/core"
)

// upgrading is the leader of a deployment in version 1; its program understands version 2.
type upgrading struct {
	*Upgrade
	now     time.Time
	version int64
	members []Member
}

func newUpgrading(t *testing.T, file string) *upgrading {
	t.Helper()
	d := &upgrading{now: time.Unix(1_800_000_000, 0), version: 1}
	u, err := NewUpgrade(UpgradeConfig{
		Voters: []string{"a", "b"}, File: file, understood: 2, now: func() time.Time { return d.now },
		Members: func() []Member { return d.members }, LogVersion: func() int64 { return d.version }, Leads: func() bool { return true },
		Raise: func(_ context.Context, to int64) error { d.version = to; return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	d.Upgrade = u
	return d
}

func (d *upgrading) after(t *testing.T, pause time.Duration, members ...Member) {
	t.Helper()
	d.now, d.members = d.now.Add(pause), members
	for i := range members {
		members[i].Seen = d.now
	}
	if err := d.look(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// The next version begins a day after the last node has understood it. A node that was rolled back, is
// away or was never online prevents that, also after a restart of the leader.
func TestUpgrade_BeginsWhenAllUnderstand(t *testing.T) {
	file := filepath.Join(t.TempDir(), "seen.json")
	d := newUpgrading(t, file)
	a, b, edge := Member{Node: "a", LogVersion: 2}, Member{Node: "b", LogVersion: 2}, Member{Node: "edge", LogVersion: 2}
	old := Member{Node: "edge", LogVersion: 1}
	d.after(t, 0, a, edge)
	if got := d.Status().Waiting; !slices.Equal(got, []string{"b"}) {
		t.Errorf("a voter that nobody has heard of: waiting for %v", got)
	}
	d.after(t, time.Minute, a, b, edge)
	d.after(t, 23*time.Hour, a, b, edge)
	d.after(t, time.Minute, a, b, old) // rolled back
	d.after(t, 2*time.Hour, a, b, old)
	now := d.now
	d = newUpgrading(t, file)
	d.now = now
	d.after(t, 3*time.Hour, a, b)
	if got := d.Status().Waiting; !slices.Equal(got, []string{"edge"}) {
		t.Errorf("a node that is away: waiting for %v", got)
	}
	if err := d.Raise(t.Context(), nil); core.KindOf(err) != core.KindConflict || d.version != 1 {
		t.Errorf("raising without it: %v, version %d", err, d.version)
	}
	d.after(t, time.Minute, a, b, edge)
	d.after(t, 24*time.Hour-time.Second, a, b, edge)
	if d.version != 1 {
		t.Fatal("it began early")
	}
	d.after(t, time.Second, a, b, edge)
	if d.version != 2 {
		t.Fatalf("it did not begin: %+v", d.Status())
	}
	if err := d.Raise(t.Context(), nil); core.KindOf(err) != core.KindConflict || d.version != 2 {
		t.Errorf("raising to a version that this program does not know: %v, version %d", err, d.version)
	}
}

// An operator can begin it at once, and may exclude a node. A node that is away for a week is forgotten.
func TestUpgrade_Operator(t *testing.T) {
	for name, c := range map[string]struct {
		pause   time.Duration
		without []string
		want    int64
	}{
		"with an old node":     {time.Minute, nil, 1},
		"excluded":             {time.Minute, []string{"edge"}, 2},
		"another one excluded": {time.Minute, []string{"b"}, 1},
		"long gone":            {8 * 24 * time.Hour, nil, 2},
	} {
		d := newUpgrading(t, filepath.Join(t.TempDir(), "seen.json"))
		d.after(t, 0, Member{Node: "a", LogVersion: 2}, Member{Node: "b", LogVersion: 2}, Member{Node: "edge", LogVersion: 1})
		d.now = d.now.Add(c.pause)
		d.members[0].Seen, d.members[1].Seen = d.now, d.now
		err := d.Raise(t.Context(), c.without)
		if d.version != c.want || (err == nil) != (c.want == 2) {
			t.Errorf("%s: version %d, %v", name, d.version, err)
		}
	}
}
