package apply

import (
	"slices"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/command"
	"github.com/nearside/nearside/core/event"
)

// Nodes has the nodes that were admitted, and those that were revoked since.
var Nodes = table[string, core.Node]("nodes", "name")

// The counters of nodes: all that the log knows, and the home nodes that are not revoked.
const (
	nodeCount     = "nodes"
	homeNodeCount = "nodes:home"
)

var (
	badNode      = core.Refusal{Kind: core.KindInvalid, ID: "nearside.node.app_error"}
	noNode       = core.Refusal{Kind: core.KindNotFound, ID: "nearside.node.unknown.app_error"}
	nodeConflict = core.Refusal{Kind: core.KindConflict, ID: "nearside.node.conflict.app_error"}
)

// admitted gives a node that was admitted and not revoked.
func (x *exec) admitted(name string) (core.Node, error) {
	n, ok := Nodes.Get(x, name)
	switch {
	case !ok:
		return n, noNode
	case n.RevokeAt != 0:
		return n, nodeConflict.With("reason", "revoked")
	}
	return n, nil
}

// putNode writes a node and keeps the counters true; was is the row before, or the zero value.
func (x *exec) putNode(was, n core.Node) {
	if was.Name == "" {
		x.add(nodeCount, 1)
	}
	before, after := was.Name != "" && was.IsHome() && was.RevokeAt == 0, n.IsHome() && n.RevokeAt == 0
	switch {
	case after && !before:
		x.add(homeNodeCount, 1)
	case before && !after:
		x.add(homeNodeCount, -1)
	}
	Nodes.Put(x, n)
	x.emit(event.NodeChanged{Node: n})
}

func admitNodes(x *exec, c *command.AdmitNodes) (any, error) {
	if len(c.Nodes) == 0 || len(c.Nodes) > core.MaxNodesOnce {
		return nil, badNode.With("reason", "number", "max", core.MaxNodesOnce)
	}
	if x.count(homeNodeCount) == 0 && !slices.ContainsFunc(c.Nodes, func(n core.Node) bool { return n.IsHome() }) {
		return nil, nodeConflict.With("reason", "no_home") // every node would then refuse the home nodes
	}
	for _, in := range c.Nodes {
		if err := in.Check(); err != nil {
			return nil, err
		}
		was, known := Nodes.Get(x, in.Name)
		if known && (c.OnlyNew || was.RevokeAt == 0 && was.Is(&in) && was.OldKey.IsZero()) {
			continue
		}
		if !known && x.count(nodeCount) >= core.MaxNodes {
			return nil, nodeConflict.With("reason", "limit", "max", core.MaxNodes)
		}
		if was.IsHome() && was.RevokeAt == 0 && !in.IsHome() && x.count(homeNodeCount) <= 1 {
			return nil, nodeConflict.With("reason", "last_home")
		}
		x.putNode(was, core.Node{Name: in.Name, Region: in.Region, Roles: in.Roles, Key: in.Key, KeyAt: x.now, AdmitAt: x.now})
	}
	return nil, nil
}

func renewNode(x *exec, c *command.RenewNode) (any, error) {
	was, err := x.admitted(c.Name)
	switch {
	case err != nil:
		return nil, err
	case was.Key == c.Key:
		return nil, nil // it is asked again
	case c.Key.IsZero():
		return nil, badNode.With("reason", "key")
	case was.Key != c.Was:
		return nil, nodeConflict.With("reason", "key")
	}
	n := was
	n.OldKey, n.OldUntil, n.Key, n.KeyAt = was.Key, x.now+core.KeyOverlap.Milliseconds(), c.Key, x.now
	x.putNode(was, n)
	return nil, nil
}

func revokeNode(x *exec, c *command.RevokeNode) (any, error) {
	was, ok := Nodes.Get(x, c.Name)
	switch {
	case !ok:
		return nil, noNode
	case was.RevokeAt != 0:
		return nil, nil
	case len(c.Reason) > core.MaxNodeReason:
		return nil, badNode.With("reason", "text", "max", core.MaxNodeReason)
	case was.IsHome() && x.count(homeNodeCount) <= 1:
		return nil, nodeConflict.With("reason", "last_home")
	}
	n := was
	n.RevokeAt, n.Reason, n.OldKey, n.OldUntil = x.now, c.Reason, core.NodeKey{}, 0
	x.putNode(was, n)
	return nil, nil
}
