package apply_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/apply"
	"github.com/nearside/nearside/core/apply/applytest"
	"github.com/nearside/nearside/core/command"
	"github.com/nearside/nearside/core/event"
)

func init() {
	applytest.Nouns = append(applytest.Nouns, applytest.Noun{Name: "nodes", Make: nodeCommand})
}

// nodeCommand makes a command about one of a few nodes.
func nodeCommand(c *applytest.Chaos, _ int, _ core.ChannelID) command.Command {
	name, key := c.Word(), core.NodeKey{byte(1 + c.Rnd.IntN(3))}
	switch c.Rnd.IntN(5) {
	case 0:
		return &command.RevokeNode{Name: name, Reason: c.Word()}
	case 1, 2:
		was := core.NodeKey{byte(1 + c.Rnd.IntN(3))}
		return &command.RenewNode{Name: name, Was: was, Key: key}
	}
	n := core.Node{Name: name, Region: "here", Roles: applytest.Pick(c, []string{"home", "edge", "home,edge"}), Key: key}
	return &command.AdmitNodes{Nodes: []core.Node{n}, OnlyNew: c.Rnd.IntN(3) == 0}
}

func theNode(name, roles string, key byte) core.Node {
	return core.Node{Name: name, Region: "here", Roles: roles, Key: core.NodeKey{key}}
}

func (w *world) node(name string) core.Node {
	n, _ := apply.Nodes.Get(apply.Direct{Store: w.store}, name)
	return n
}

// A node is admitted with a key, gets another one while the first stays good for a while, is revoked, and comes back only
// when it is admitted again. Every change is announced to the links of each node.
func TestNodes_Life(t *testing.T) {
	w := newWorld(t)
	w.must("", &command.AdmitNodes{Nodes: []core.Node{theNode("h", "home", 1), theNode("e", "edge", 2)}}, nil)
	if len(w.events) != 2 {
		t.Errorf("%d events", len(w.events))
	}
	w.must("", &command.AdmitNodes{Nodes: []core.Node{theNode("e", "edge", 2)}}, nil)
	if len(w.events) != 0 {
		t.Error("a node was admitted twice")
	}
	w.must("", &command.AdmitNodes{OnlyNew: true, Nodes: []core.Node{theNode("e", "home", 9)}}, nil)
	w.refused("", &command.RenewNode{Name: "e", Was: core.NodeKey{7}, Key: core.NodeKey{3}}, core.KindConflict)
	w.must("", &command.RenewNode{Name: "e", Was: core.NodeKey{2}, Key: core.NodeKey{3}}, nil)
	now := w.at.UnixMilli()
	want := core.Node{Name: "e", Region: "here", Roles: "edge", Key: core.NodeKey{3}, OldKey: core.NodeKey{2}}
	got := w.node("e")
	if got.OldUntil <= now || got.OldUntil > now+2*core.KeyOverlap.Milliseconds() || got.AdmitAt == 0 || got.KeyAt <= got.AdmitAt {
		t.Errorf("after the renewal: %+v", got)
	}
	got.OldUntil, got.AdmitAt, got.KeyAt = 0, 0, 0
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	w.must("", &command.RenewNode{Name: "e", Was: core.NodeKey{2}, Key: core.NodeKey{3}}, nil) // asked again
	w.must("", &command.RevokeNode{Name: "e", Reason: "stolen"}, nil)
	if n := w.events[0].(event.NodeChanged).Node; n.RevokeAt == 0 || n.Reason != "stolen" || !n.OldKey.IsZero() {
		t.Errorf("revoked: %+v", n)
	}
	w.refused("", &command.RenewNode{Name: "e", Was: core.NodeKey{3}, Key: core.NodeKey{4}}, core.KindConflict)
	w.must("", &command.AdmitNodes{OnlyNew: true, Nodes: []core.Node{theNode("e", "edge", 3)}}, nil)
	if w.node("e").RevokeAt == 0 {
		t.Error("a revoked node came back by itself")
	}
	w.must("", &command.AdmitNodes{Nodes: []core.Node{theNode("e", "edge", 5)}}, nil)
	if n := w.node("e"); n.RevokeAt != 0 || n.Reason != "" || n.Key != (core.NodeKey{5}) {
		t.Errorf("admitted again: %+v", n)
	}
}

// One home node always stays, and what names no node is refused.
func TestNodes_Refusals(t *testing.T) {
	w := newWorld(t)
	w.refused("", &command.AdmitNodes{Nodes: []core.Node{theNode("e", "edge", 3)}}, core.KindConflict) // nobody could reach home
	w.must("", &command.AdmitNodes{Nodes: []core.Node{theNode("h1", "home", 1), theNode("h2", "home,edge", 2), theNode("e", "edge", 3)}}, nil)
	w.refused("", &command.RevokeNode{Name: "nobody"}, core.KindNotFound)
	w.refused("", &command.RenewNode{Name: "nobody", Key: core.NodeKey{1}}, core.KindNotFound)
	w.refused("", &command.RenewNode{Name: "e", Was: core.NodeKey{3}}, core.KindInvalid)
	w.must("", &command.RevokeNode{Name: "h1"}, nil)
	w.refused("", &command.RevokeNode{Name: "h2"}, core.KindConflict)
	w.refused("", &command.AdmitNodes{Nodes: []core.Node{theNode("h2", "edge", 2)}}, core.KindConflict)
	w.must("", &command.AdmitNodes{Nodes: []core.Node{theNode("h1", "home", 1)}}, nil)
	w.must("", &command.RevokeNode{Name: "h2"}, nil)
	for _, n := range []core.Node{
		theNode("", "edge", 1), theNode("UPPER", "edge", 1), theNode("x", "admin", 1), theNode("x", "", 1), theNode("x", "edge", 0),
		{Name: "x", Region: "a/b", Roles: "edge", Key: core.NodeKey{1}},
	} {
		w.refused("", &command.AdmitNodes{Nodes: []core.Node{n}}, core.KindInvalid)
	}
	w.refused("", &command.AdmitNodes{}, core.KindInvalid)
	w.refused("", &command.AdmitNodes{Nodes: make([]core.Node, core.MaxNodesOnce+1)}, core.KindInvalid)
	for i := 3; i < core.MaxNodes; i += core.MaxNodesOnce {
		var more []core.Node
		for j := i; j < min(i+core.MaxNodesOnce, core.MaxNodes); j++ {
			more = append(more, theNode(fmt.Sprint("e-", j), "edge", 1))
		}
		w.must("", &command.AdmitNodes{Nodes: more}, nil)
	}
	w.refused("", &command.AdmitNodes{Nodes: []core.Node{theNode("one-more", "edge", 1)}}, core.KindConflict)
	w.must("", &command.AdmitNodes{Nodes: []core.Node{theNode("e", "edge", 4)}}, nil)
}
