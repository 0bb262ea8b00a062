package node

import (
	"cmp"
	"slices"
	"time"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/region"
	"github.com/nearside/nearside/replication/follower"
	"github.com/nearside/nearside/replication/link"
)

// Summary names a node for scripts, as demo.json does.
type Summary struct {
	Name     string   `json:"name"`
	Region   string   `json:"region"`
	Roles    []string `json:"roles"`
	PID      int      `json:"pid"`
	URL      string   `json:"url,omitempty"` // of edges: where clients go
	AdminURL string   `json:"admin_url"`
}

// Summary gives what is known of the node before it runs.
func (cfg Config) Summary() Summary {
	s := Summary{Name: cfg.Name, Region: cfg.Region, Roles: cfg.Roles, AdminURL: "http://" + cfg.Admin.Listen}
	if cfg.is(RoleEdge) {
		s.URL = cmp.Or(cfg.Client.URL, "http://"+cfg.Client.Listen)
	}
	return s
}

// Status is a node as it sees itself: the answer of /v1/status.
type Status struct {
	Node     string   `json:"node"`
	Region   string   `json:"region"`
	Roles    []string `json:"roles"`
	Leader   string   `json:"leader"` // name of the home node that orders; empty: none known
	Position Position `json:"position"`
	// AppliedLagMS is how long ago the replica last had everything that home had, in
	// milliseconds; 0 while it has, -1 when it never had.
	AppliedLagMS int64        `json:"applied_lag_ms"`
	Peers        []PeerStatus `json:"peers"`

	State     string         `json:"state"`     // starting, ready, rebuilding
	Connected bool           `json:"connected"` // to home, or at home to a leader
	Version   string         `json:"version"`
	URL       string         `json:"url,omitempty"`
	Home      *region.Status `json:"home,omitempty"`
}

// Position is a core.Position in words.
type Position struct {
	Epoch  uint64 `json:"epoch"`
	Index  uint64 `json:"index"`
	Digest string `json:"digest"`
}

// Before reports whether p is older than q.
func (p Position) Before(q Position) bool {
	return p.Epoch < q.Epoch || p.Epoch == q.Epoch && p.Index < q.Index
}

func positionOf(p core.Position) Position {
	return Position{Epoch: uint64(p.Epoch), Index: uint64(p.Index), Digest: p.Digest.String()}
}

// PeerStatus is another node as this one sees it.
type PeerStatus struct {
	Node     string    `json:"node"`
	Region   string    `json:"region"`
	Roles    []string  `json:"roles"`
	Addr     string    `json:"addr"`
	Alive    bool      `json:"alive"`
	RTTMS    float64   `json:"rtt_ms,omitempty"`
	Position *Position `json:"position,omitempty"` // of a follower, as it last said
	HeardMS  int64     `json:"heard_ms,omitempty"` // how long ago
}

// Status gives the state of the moment.
func (n *Node) Status() Status {
	p := n.parts.Load()
	st := Status{
		Node: n.cfg.Name, Region: n.cfg.Region, Roles: n.cfg.Roles, Version: n.cfg.Version, URL: p.url,
		State: n.state(p), AppliedLagMS: -1, Peers: []PeerStatus{},
	}
	if p.replica != nil {
		st.Position = positionOf(p.replica.Position())
	}
	switch {
	case p.region != nil:
		home := p.region.Status()
		st.Home, st.Leader, st.Connected = &home, home.Leader, home.Leader != ""
		if st.Connected {
			st.AppliedLagMS = 0
		}
	case p.follower != nil:
		f := p.follower.Status()
		st.Leader, st.Connected = n.nameOf(f.Leader), f.Connected
		st.AppliedLagMS = lagOf(p.replica.Position(), f, time.Now())
	}
	st.Peers = n.peers(p)
	return st
}

// lagOf gives the age of the last moment at which a replica had everything, in milliseconds.
func lagOf(at core.Position, f follower.Status, now time.Time) int64 {
	switch {
	case !hasAll(f):
		return -1
	case f.Connected && at.Index >= f.Source.Index:
		return 0
	}
	return max(1, now.Sub(f.FreshAt).Milliseconds())
}

func (n *Node) state(p *parts) string {
	switch {
	case !p.serving:
		return "starting"
	case p.rebuilding():
		return "rebuilding"
	}
	return "ready"
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

// peers gives what gossip, followers and the link say of the others, each node once.
func (n *Node) peers(p *parts) []PeerStatus {
	all := map[string]PeerStatus{}
	for _, h := range n.cfg.Home {
		all[h.Node] = PeerStatus{Node: h.Node, Roles: []string{RoleHome}, Addr: h.Addr}
	}
	if p.gossip != nil {
		for _, m := range p.gossip.Members() {
			peer := PeerStatus{Node: m.Node.Node, Region: m.Node.Region, Roles: roleNames(m.Node.Roles), Addr: m.Addr, Alive: m.Alive, RTTMS: millis(m.RTT)}
			if m.Epoch > 0 { // a probe has told; gossip carries no digest
				peer.Position = &Position{Epoch: uint64(m.Epoch), Index: uint64(m.Index)}
			}
			all[m.Node.Node] = peer
		}
	}
	if p.hub != nil {
		for _, f := range p.hub.Peers() {
			at := positionOf(f.At)
			all[f.Node.Node] = PeerStatus{Node: f.Node.Node, Region: f.Node.Region, Roles: roleNames(f.Node.Roles), Addr: f.Addr,
				Alive: true, RTTMS: millis(f.RTT), Position: &at, HeardMS: time.Since(f.Heard).Milliseconds()}
		}
	}
	if p.follower != nil {
		if f := p.follower.Status(); f.Hub.Node != "" {
			at := positionOf(f.Source)
			all[f.Hub.Node] = PeerStatus{Node: f.Hub.Node, Region: f.Hub.Region, Roles: roleNames(f.Hub.Roles), Addr: f.Addr,
				Alive: f.Connected, RTTMS: millis(f.RTT), Position: &at, HeardMS: time.Since(f.HeardAt).Milliseconds()}
		}
	}
	delete(all, n.cfg.Name)
	list := []PeerStatus{}
	for _, s := range all {
		list = append(list, s)
	}
	slices.SortFunc(list, func(a, b PeerStatus) int { return cmp.Compare(a.Node, b.Node) })
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
