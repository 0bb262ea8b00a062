package region

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/eventually"
)

// setMembers changes who the home nodes are, at whatever node leads.
func (w *world) setMembers(change func(now []Voter) ([]Voter, error)) (out []Voter, err error) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), eventually.Limit)
	defer cancel()
	return w.leader().SetMembers(ctx, change)
}

func adding(n *node) func(now []Voter) ([]Voter, error) {
	return func(now []Voter) ([]Voter, error) { return append(now, Voter{n.name, n.addr}), nil }
}

// vote waits until as many home nodes vote, in the eyes of every running node, and every one of them knows a leader.
func (w *world) vote(n int) {
	w.t.Helper()
	eventually.Nil(w.t, func() error {
		if st := w.leader().Status(); len(st.Voting) != n || st.Short != "" {
			return fmt.Errorf("%v vote: %s", st.Voting, st.Short)
		}
		for _, nd := range w.nodes {
			if nd.cancel == nil {
				continue
			}
			if st := nd.Status(); st.Leader == "" {
				return fmt.Errorf("%s waits: %s", nd.name, st.Waiting)
			}
		}
		return nil
	})
}

func TestMembers_OneBecomesThree(t *testing.T) {
	// A home of one node becomes one of three while it runs, loses the node that it began with, and nothing else.
	// Afterwards that node comes back with its old file, and another one is taken out for good.
	listed := map[string]int{"h1": 1, "h2": 2, "h3": 3} // by the file of each: those that were there when it was written
	w := newWorld(t, 3, func(c *Config) { c.Voters = c.Voters[:listed[c.Node]] })
	first, second, third := w.nodes[0], w.nodes[1], w.nodes[2]
	first.start()
	first.propose(0, 20)
	if got := first.raft.ReloadableConfig().ElectionTimeout; got != first.cfg.ElectionTimeout {
		t.Errorf("a node that is alone has an election timeout of %s", got)
	}

	if _, err := w.setMembers(adding(second)); err != nil {
		t.Fatal(err)
	}
	eventually.True(t, "the leader says that too few vote", func() bool { return first.Status().Short != "" })
	second.start()
	w.vote(2)
	if _, err := w.setMembers(adding(third)); err != nil {
		t.Fatal(err)
	}
	third.start()
	w.vote(3)
	term := first.Status().Term
	w.leader().propose(20, 120)
	w.agree()
	if now := first.Status().Term; now != term {
		t.Errorf("the leader changed while nothing happened: term %d, then %d", term, now)
	}

	first.kill()
	w.leader().propose(120, 140)
	first.start()
	w.vote(3)
	w.leader().propose(140, 150)
	w.agree()

	gone := w.followers()[0]
	left, err := w.setMembers(func(now []Voter) (left []Voter, _ error) {
		for _, v := range now {
			if v.Node != gone.name {
				left = append(left, v)
			}
		}
		return left, nil
	})
	if err != nil || len(left) != 2 {
		t.Fatal(left, err)
	}
	w.vote(2)
	if err := gone.stop(); err != nil {
		t.Error(err)
	}
	w.leader().propose(150, 160)
	w.agree()
	if ids := w.leader().machine.ids(); len(ids) != 160 {
		t.Errorf("%d of 160 proposals are there", len(ids))
	}
}

func TestMembers_Refused(t *testing.T) {
	// Who the home nodes are changes by one at a time, at the leader, and to what can be a home.
	w := startWorld(t, 3, nil)
	four, five := Voter{"h4", "127.0.0.1:4"}, Voter{"h5", "127.0.0.1:5"}
	other := errors.New("not today")
	for name, c := range map[string]struct {
		change func([]Voter) ([]Voter, error)
		kind   core.Kind
	}{
		"two at once":        {func(now []Voter) ([]Voter, error) { return append(now, four, five), nil }, core.KindInvalid},
		"nobody left":        {func([]Voter) ([]Voter, error) { return nil, nil }, core.KindInvalid},
		"two removed":        {func(now []Voter) ([]Voter, error) { return now[:1], nil }, core.KindInvalid},
		"twice":              {func(now []Voter) ([]Voter, error) { return append(now, now[0]), nil }, core.KindInvalid},
		"without an address": {func(now []Voter) ([]Voter, error) { return append(now, Voter{Node: "h4"}), nil }, core.KindInvalid},
		"a bad name":         {func(now []Voter) ([]Voter, error) { return append(now, Voter{"h@4", "a:1"}), nil }, core.KindInvalid},
		"the caller's word":  {func([]Voter) ([]Voter, error) { return nil, other }, core.KindInternal},
	} {
		if _, err := w.setMembers(c.change); core.KindOf(err) != c.kind {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := w.followers()[0].SetMembers(t.Context(), adding(w.nodes[0])); core.KindOf(err) != core.KindUnavailable {
		t.Errorf("at a follower: %v", err)
	}
	w.vote(3)
}

func TestRegion_AloneLeadsAtOnce(t *testing.T) {
	// The only home node does not wait until an election is due: here that would never be.
	w := newWorld(t, 1, func(c *Config) { c.ElectionTimeout = 10 * eventually.Limit })
	for range 2 {
		w.nodes[0].start()
		w.leader()
		if err := w.nodes[0].stop(); err != nil {
			t.Fatal(err)
		}
	}
}
