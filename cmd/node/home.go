package node

import (
	"path/filepath"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/region"
)

// Initialise begins a deployment on the home node that cfg describes. The other home nodes of its list join
// when they start. It fails with KindConflict if the node belongs to a deployment already.
func Initialise(cfg Config) error {
	if err := cfg.Check(); err != nil {
		return err
	}
	if !cfg.Is(RoleHome) {
		return core.E(core.KindInvalid, "roles: %s has not the role home; a deployment begins on a home node", cfg.Name)
	}
	return region.Initialise(regionDir(cfg.Data), votersOf(cfg, cfg.Link.Listen))
}

// initialise begins a deployment of one node: its first start is all that it takes. If its disk was lost,
// nobody else could tell.
func (n *Node) initialise() error {
	if len(n.cfg.Home) > 0 {
		return nil
	}
	err := region.Initialise(regionDir(n.cfg.Data), votersOf(n.cfg, n.cfg.Link.Listen))
	if core.KindOf(err) == core.KindConflict { // it was its first start once
		return nil
	}
	return err
}

func regionDir(data string) string { return filepath.Join(data, "region") }

// votersOf gives the home nodes by a node's configuration; addr is its own address if it is the only one.
func votersOf(cfg Config, addr string) []region.Voter {
	if len(cfg.Home) == 0 {
		return []region.Voter{{Node: cfg.Name, Addr: addr}}
	}
	var v []region.Voter
	for _, h := range cfg.Home {
		v = append(v, region.Voter{Node: h.Node, Addr: h.Addr})
	}
	return v
}
