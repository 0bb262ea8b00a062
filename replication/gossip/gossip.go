package gossip

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/replication/link"
)

const (
	packetBytes = 1100 // fits a datagram on any path
	leaveWait   = 500 * time.Millisecond
	maxMembers  = 1024 // that are remembered, including dead ones
)

// Config configures Gossip.
type Config struct {
	Endpoint  *link.Endpoint       // required
	Advertise string               // the link address at which others reach us; default: the endpoint's own
	Join      func() []string      // required: link addresses of nodes through which to find the others
	Position  func() core.Position // optional: the position of our log
	Probe     time.Duration        // default: 1 s between probes
	Logger    *slog.Logger         // default: discard
}

// Member is a node as gossip last reported it.
type Member struct {
	Node   link.Identity
	Addr   string // link address
	Alive  bool
	Since  time.Time     // when Alive last changed
	RTT    time.Duration // of the last probe from here; zero if there was none
	Epoch  core.Epoch    // of the node's position, at the last probe
	Index  core.Index
	Itself bool // it is this node
	// LogVersion is the newest version of the log that the node understands.
	LogVersion int64
}

// meta is what a node announces once; it must stay under memberlist's limit of 512 bytes.
type meta struct {
	Deployment string      `json:"d"`
	Region     string      `json:"r"`
	Node       string      `json:"n"`
	Roles      []link.Role `json:"o"`
	Addr       string      `json:"a"`
	LogVersion int64       `json:"v"`
}

// position is sent in the answers to probes.
type position struct {
	Epoch core.Epoch `json:"e"`
	Index core.Index `json:"i"`
}

// Gossip is one node's membership.
type Gossip struct {
	cfg Config
	tr  *transport

	mu      sync.Mutex
	members map[string]*Member // guarded by mu; by memberlist name
}

// New validates the configuration and takes the endpoint's gossip class.
func New(cfg Config) (*Gossip, error) {
	if cfg.Endpoint == nil || cfg.Join == nil {
		return nil, core.E(core.KindInvalid, "gossip needs Endpoint and Join")
	}
	if cfg.Advertise == "" {
		cfg.Advertise = cfg.Endpoint.Addr()
	}
	if cfg.Position == nil {
		cfg.Position = func() core.Position { return core.Position{} }
	}
	if cfg.Probe <= 0 {
		cfg.Probe = time.Second
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	g := &Gossip{cfg: cfg, tr: newTransport(cfg.Endpoint), members: map[string]*Member{}}
	cfg.Endpoint.Handle(link.ClassGossip, g.tr.serve)
	return g, nil
}

// Members lists the known nodes, this one included, by region and node.
func (g *Gossip) Members() []Member {
	g.mu.Lock()
	defer g.mu.Unlock()
	out := make([]Member, 0, len(g.members))
	for _, m := range g.members {
		c := *m
		if c.Itself {
			at := g.cfg.Position()
			c.Epoch, c.Index = at.Epoch, at.Index
		}
		out = append(out, c)
	}
	slices.SortFunc(out, func(a, b Member) int { return cmp.Compare(a.Node.String(), b.Node.String()) })
	return out
}

// Run takes part in the gossip until ctx ends.
func (g *Gossip) Run(ctx context.Context) error {
	addr, err := net.ResolveUDPAddr("udp", g.cfg.Advertise)
	if err != nil {
		return fmt.Errorf("resolving advertised address: %w", err)
	}
	if addr.IP.IsUnspecified() {
		return core.E(core.KindInvalid, "gossip cannot advertise %s: name an address that others can reach", g.cfg.Advertise)
	}
	g.tr.advertise = addr
	stop := g.tr.start(context.WithoutCancel(ctx)) // leaving still needs the outlets after ctx has ended
	list, err := memberlist.Create(g.config())
	if err != nil {
		stop()
		return fmt.Errorf("starting gossip: %w", err)
	}
	var wg sync.WaitGroup
	wg.Go(func() { g.join(ctx, list) })
	<-ctx.Done()
	_ = list.Leave(leaveWait) // if this does not arrive, the others notice the death by their probes
	stop()                    // before Shutdown, which would wait for a running join
	wg.Wait()
	return list.Shutdown()
}

func (g *Gossip) config() *memberlist.Config {
	c := memberlist.DefaultLANConfig()
	c.Name = g.cfg.Endpoint.Self().String()
	c.Transport = g.tr
	c.ProbeInterval = g.cfg.Probe
	c.ProbeTimeout = g.cfg.Probe / 2
	c.GossipInterval = g.cfg.Probe / 5
	c.UDPBufferSize = packetBytes
	c.EnableCompression = false
	c.DisableTcpPings = true // use the same path as the packets
	c.Delegate, c.Events, c.Ping = delegate{g}, delegate{g}, delegate{g}
	c.Logger = slog.NewLogLogger(g.cfg.Logger.Handler(), slog.LevelDebug)
	return c
}

// join repeatedly contacts the nodes of Config.Join, so that groups that lost each other merge
// again.
func (g *Gossip) join(ctx context.Context, list *memberlist.Memberlist) {
	tick := time.NewTicker(2 * g.cfg.Probe)
	defer tick.Stop()
	for {
		for _, addr := range g.cfg.Join() {
			if ctx.Err() == nil && !g.knows(addr) {
				if _, err := list.Join([]string{addr}); err != nil {
					g.cfg.Logger.Debug("joining gossip", "addr", addr, "err", err)
				}
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (g *Gossip) knows(addr string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, m := range g.members {
		if m.Addr == addr && m.Alive {
			return true
		}
	}
	return addr == g.cfg.Advertise
}

// delegate has the callbacks of memberlist. They must not block.
type delegate struct{ g *Gossip }

// NodeMeta implements memberlist.Delegate.
func (d delegate) NodeMeta(limit int) []byte {
	self := d.g.cfg.Endpoint.Self()
	b, err := json.Marshal(meta{self.Deployment, self.Region, self.Node, self.Roles, d.g.cfg.Advertise, core.LogVersion})
	if err != nil || len(b) > limit {
		return nil // the advertised name is too long
	}
	return b
}

// AckPayload implements memberlist.PingDelegate.
func (d delegate) AckPayload() []byte {
	at := d.g.cfg.Position()
	b, err := json.Marshal(position{at.Epoch, at.Index})
	if err != nil {
		return nil
	}
	return b
}

// NotifyPingComplete implements memberlist.PingDelegate.
func (d delegate) NotifyPingComplete(n *memberlist.Node, rtt time.Duration, payload []byte) {
	var at position
	err := json.Unmarshal(payload, &at)
	d.g.mu.Lock()
	defer d.g.mu.Unlock()
	if m := d.g.members[n.Name]; m != nil && err == nil {
		m.RTT, m.Epoch, m.Index = rtt, at.Epoch, at.Index
	}
}

// NotifyJoin implements memberlist.EventDelegate.
func (d delegate) NotifyJoin(n *memberlist.Node) { d.g.heard(n, true) }

// NotifyUpdate implements memberlist.EventDelegate.
func (d delegate) NotifyUpdate(n *memberlist.Node) { d.g.heard(n, true) }

// NotifyLeave implements memberlist.EventDelegate.
func (d delegate) NotifyLeave(n *memberlist.Node) { d.g.heard(n, false) }

func (g *Gossip) heard(n *memberlist.Node, alive bool) {
	var said meta
	if err := json.Unmarshal(n.Meta, &said); err != nil || strings.Contains(said.Node, "/") {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	m := g.members[n.Name]
	if m == nil {
		if len(g.members) >= maxMembers {
			return
		}
		m = &Member{}
		g.members[n.Name] = m
	}
	if m.Alive != alive || m.Since.IsZero() {
		m.Since = time.Now()
	}
	m.Node = link.Identity{Deployment: said.Deployment, Region: said.Region, Node: said.Node, Roles: said.Roles}
	m.Addr, m.Alive, m.LogVersion = said.Addr, alive, said.LogVersion
	m.Itself = n.Name == g.cfg.Endpoint.Self().String()
}

// NotifyMsg implements memberlist.Delegate.
func (delegate) NotifyMsg([]byte) {}

// GetBroadcasts implements memberlist.Delegate.
func (delegate) GetBroadcasts(int, int) [][]byte { return nil }

// LocalState implements memberlist.Delegate.
func (delegate) LocalState(bool) []byte { return nil }

// MergeRemoteState implements memberlist.Delegate.
func (delegate) MergeRemoteState([]byte, bool) {}
