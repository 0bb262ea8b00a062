package node

import (
	"cmp"
	"slices"
	"time"

	"github.com/nearside/nearside/cmd/admin"
	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/replication/link"
)

// Summary has the addresses of a node for scripts, in the form of demo.json.
type Summary struct {
	Name   string   `json:"name"`
	Region string   `json:"region"`
	Roles  []string `json:"roles"`
	PID    int      `json:"pid"`
	URL    string   `json:"url,omitempty"` // of edges: where clients go

	AdminSocket string `json:"admin_socket"`        // for the user that runs the node
	AdminURL    string `json:"admin_url,omitempty"` // if it is served over TCP too
}

// Summary gives what is known of the node before it runs.
func (cfg Config) Summary() Summary {
	s := Summary{Name: cfg.Name, Region: cfg.Region, Roles: cfg.Roles, AdminSocket: admin.SocketPath(cfg.Data)}
	if cfg.Admin.Listen != "" {
		s.AdminURL = "http://" + cfg.Admin.Listen
	}
	if cfg.Is(RoleEdge) {
		s.URL = cfg.Client.scheme() + cfg.Client.Listen
		if len(cfg.Client.URL) > 0 {
			s.URL = cfg.Client.URL[0]
		}
	}
	return s
}

// Status gives the present state.
func (n *Node) Status() admin.Status {
	p := n.parts.Load()
	st := admin.Status{
		Node: n.cfg.Name, Region: n.cfg.Region, Roles: n.cfg.Roles, Version: n.cfg.Version, Understands: core.LogVersion, URL: p.url,
		AppliedLagMS: -1, Peers: []admin.PeerStatus{},
	}
	st.State, st.Reason = n.health(p)
	if p.replica != nil {
		st.Position, st.LogVersion = admin.PositionOf(p.replica.Position()), p.replica.LogVersion()
	}
	switch {
	case p.region != nil:
		home := p.region.Status()
		st.Home, st.Leader, st.Connected = &home, home.Leader, home.Leader != ""
		if lag, ok := p.region.Lag(); ok {
			st.AppliedLagMS = lag.Milliseconds()
		}
	case p.follower != nil:
		f := p.follower.Status()
		st.Leader, st.Connected = n.nameOf(f.Leader), f.Connected
		if lag, ok := f.Lag(p.replica.Position(), time.Now()); ok {
			st.AppliedLagMS = lag.Milliseconds()
		}
	}
	st.Peers = n.peers(p)
	return st
}

// nameOf gives the home node that has a link address.
func (n *Node) nameOf(addr string) string {
	for _, h := range n.cfg.Home {
		if h.Addr == addr {
			return h.Node
		}
	}
	return ""
}

// peers gives what gossip, followers and the link know of the other nodes, each node once.
func (n *Node) peers(p *parts) []admin.PeerStatus {
	all := map[string]admin.PeerStatus{}
	for _, h := range n.cfg.Home {
		all[h.Node] = admin.PeerStatus{Node: h.Node, Roles: []string{RoleHome}, Addr: h.Addr}
	}
	if p.gossip != nil {
		for _, m := range p.gossip.Members() {
			peer := admin.PeerStatus{Node: m.Node.Node, Region: m.Node.Region, Roles: roleNames(m.Node.Roles), Addr: m.Addr, Alive: m.Alive, RTTMS: millis(m.RTT)}
			if m.Epoch > 0 { // known from a probe; gossip has no digest
				peer.Position = &admin.Position{Epoch: uint64(m.Epoch), Index: uint64(m.Index)}
			}
			all[m.Node.Node] = peer
		}
	}
	if p.hub != nil {
		for _, f := range p.hub.Peers() {
			at := admin.PositionOf(f.At)
			all[f.Node.Node] = admin.PeerStatus{Node: f.Node.Node, Region: f.Node.Region, Roles: roleNames(f.Node.Roles), Addr: f.Addr,
				Alive: true, RTTMS: millis(f.RTT), Position: &at, HeardMS: time.Since(f.Heard).Milliseconds()}
		}
	}
	if p.follower != nil {
		if f := p.follower.Status(); f.Hub.Node != "" {
			at := admin.PositionOf(f.Source)
			all[f.Hub.Node] = admin.PeerStatus{Node: f.Hub.Node, Region: f.Hub.Region, Roles: roleNames(f.Hub.Roles), Addr: f.Addr,
				Alive: f.Connected, RTTMS: millis(f.RTT), Position: &at, HeardMS: time.Since(f.HeardAt).Milliseconds()}
		}
	}
	delete(all, n.cfg.Name)
	list := []admin.PeerStatus{}
	for _, s := range all {
		list = append(list, s)
	}
	slices.SortFunc(list, func(a, b admin.PeerStatus) int { return cmp.Compare(a.Node, b.Node) })
	return list
}

func roleNames(roles []link.Role) []string {
	names := []string{}
	for _, r := range roles {
		names = append(names, string(r))
	}
	return names
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
