package simtest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/eventually"
	"github.com/nearside/nearside/replication/follower"
	"github.com/nearside/nearside/replication/forward"
	"github.com/nearside/nearside/replication/hub"
	"github.com/nearside/nearside/replication/link"
	"github.com/nearside/nearside/replication/signal"
)

// World is a deployment without messages: home nodes that share one Chain, as perfect consensus
// would give them, and edges that follow.
type World struct {
	t    testing.TB
	net  *Net // nil: real sockets on loopback
	ca   *link.CA
	seed uint64
	log  *slog.Logger

	mu     sync.Mutex
	source *Chain  // guarded by mu: what the homes share
	leader string  // guarded by mu: its link address
	homes  []*Node // guarded by mu
}

// Node is a home node or an edge of a World.
type Node struct {
	Name     string
	Addr     string
	Creds    *link.Credentials
	Link     *link.Endpoint
	Distance *link.Distance
	Relay    *signal.Relay
	Hub      *hub.Hub           // of a home node
	Chain    *Chain             // of an edge: its replica
	Follower *follower.Follower // of an edge
	Forward  *forward.Client    // of an edge

	w    *World
	stop func()

	mu     sync.Mutex
	err    error  // guarded by mu
	strand *Chain // guarded by mu: of a home node that has a log of its own, else nil
}

// NewWorld returns a world on real sockets, or on n if that is not nil. It ends with the test.
func NewWorld(t testing.TB, n *Net, seed uint64) *World {
	t.Helper()
	ca, err := link.NewCA("sim", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	w := &World{t: t, net: n, ca: ca, seed: seed, source: NewChain(1)}
	w.log = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelInfo}))
	return w
}

// Source returns the log that the home nodes share.
func (w *World) Source() *Chain {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.source
}

// Lead makes a home node the leader.
func (w *World) Lead(n *Node) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.leader = n.Addr
}

// homeAddrs returns the addresses of the home nodes, the leader's first.
func (w *World) homeAddrs() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := []string{w.leader}
	for _, h := range w.homes {
		if h.Addr != w.leader {
			out = append(out, h.Addr)
		}
	}
	return out
}

// socket binds a new address, or one that was used before.
func (w *World) socket(addr string) net.PacketConn {
	w.t.Helper()
	switch {
	case w.net != nil && addr == "":
		return w.net.Listen()
	case w.net != nil:
		return w.net.ListenAt(addr)
	case addr == "":
		addr = "127.0.0.1:0"
	}
	pc, err := link.Bind(addr)
	if err != nil {
		w.t.Fatal(err)
	}
	return pc
}

func (w *World) node(name string, roles ...link.Role) *Node {
	w.t.Helper()
	creds, err := w.ca.Issue(link.Identity{Region: "sim", Node: name, Roles: roles}, time.Now(), link.NodeValidity)
	if err != nil {
		w.t.Fatal(err)
	}
	return &Node{Name: name, Creds: creds, w: w}
}

func (n *Node) endpoint() {
	n.w.t.Helper()
	pc := n.w.socket(n.Addr)
	if n.Addr == "" {
		n.Addr = pc.LocalAddr().String()
	}
	n.Distance, n.Relay = link.NewDistance(n.w.seed), signal.New()
	var err error
	n.Link, err = link.New(link.Config{Conn: pc, Credentials: n.Creds, Distance: n.Distance, Logger: n.w.log.With("node", n.Name)})
	if err != nil {
		n.w.t.Fatal(err)
	}
}

// run runs functions until Stop.
func (n *Node) run(fs ...func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(n.w.t.Context()))
	var wg sync.WaitGroup
	for _, f := range fs {
		wg.Go(func() {
			if err := f(ctx); err != nil {
				n.mu.Lock()
				n.err = err
				n.mu.Unlock()
			}
		})
	}
	n.stop = sync.OnceFunc(func() { cancel(); wg.Wait() })
	n.w.t.Cleanup(n.stop)
}

// Err returns the error with which the node stopped by itself, if it did.
func (n *Node) Err() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.err
}

// Stop ends the node and waits for its last goroutine.
func (n *Node) Stop() { n.stop() }

// Home starts a home node; the first one leads.
func (w *World) Home(name string) *Node {
	w.t.Helper()
	n := w.node(name, link.RoleHome)
	n.start(n.home)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.homes = append(w.homes, n)
	if w.leader == "" {
		w.leader = n.Addr
	}
	return n
}

// Edge starts an edge with an empty replica.
func (w *World) Edge(name string) *Node {
	w.t.Helper()
	n := w.node(name, link.RoleEdge)
	n.Chain = NewChain(0)
	n.start(n.edge)
	return n
}

// Restart starts a stopped node again, at its address and with its state.
func (n *Node) Restart() {
	n.w.t.Helper()
	if n.Chain != nil {
		n.start(n.edge)
	} else {
		n.start(n.home)
	}
}

func (n *Node) start(build func() []func(context.Context) error) {
	n.w.t.Helper()
	n.endpoint()
	n.run(append(build(), n.Link.Run)...)
}

func (n *Node) home() []func(context.Context) error {
	var err error
	n.Hub, err = hub.New(hub.Config{Source: shared{n}, Relay: n.Relay, Logger: n.w.log.With("node", n.Name), Leader: n.leads})
	check(n.w.t, err)
	srv, err := forward.NewServer(forward.ServerConfig{Orderer: shared{n}, Handlers: map[byte]forward.AskHandler{
		1: func(_ context.Context, from link.Identity, q []byte) ([]byte, error) {
			return fmt.Appendf(nil, "%s asked %s of %s", from.Node, q, n.Name), nil
		},
	}})
	check(n.w.t, err)
	n.Link.Handle(link.ClassLog, n.Hub.Serve)
	n.Link.Handle(link.ClassForward, srv.Serve)
	mesh, err := signal.NewMesh(signal.MeshConfig{Endpoint: n.Link, Relay: n.Relay, Homes: n.otherHomes})
	check(n.w.t, err)
	return []func(context.Context) error{mesh.Run}
}

// leads returns the leader as this home node knows it, and whether it is this node.
func (n *Node) leads() (addr string, self bool) {
	if n.stranded() != nil {
		return "", false
	}
	n.w.mu.Lock()
	defer n.w.mu.Unlock()
	return n.w.leader, n.w.leader == n.Addr
}

// Strand cuts a home node off from the other home nodes, but not from edges: its log ends here,
// and it knows no leader.
func (n *Node) Strand() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.strand = n.w.Source().Copy()
}

// Spoil gives a home node another log than the others have. It knows no leader.
func (n *Node) Spoil(c *Chain) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.strand = c
}

func (n *Node) stranded() *Chain {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.strand
}

func (n *Node) otherHomes() []string {
	var out []string
	for _, a := range n.w.homeAddrs() {
		if a != n.Addr {
			out = append(out, a)
		}
	}
	return out
}

func (n *Node) edge() []func(context.Context) error {
	var err error
	n.Follower, err = follower.New(follower.Config{Endpoint: n.Link, Candidates: n.w.homeAddrs, Sink: n.Chain,
		Relay: n.Relay, Logger: n.w.log.With("node", n.Name)})
	check(n.w.t, err)
	n.Forward, err = forward.New(forward.Config{Endpoint: n.Link, Candidates: n.w.homeAddrs})
	check(n.w.t, err)
	return []func(context.Context) error{n.Follower.Run}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Path sets how packets between two nodes are treated, in both directions.
func (w *World) Path(a, b *Node, p link.Path) {
	a.Distance.Set(netip.MustParseAddrPort(b.Addr), p)
	b.Distance.Set(netip.MustParseAddrPort(a.Addr), p)
}

// Until waits until ok returns true. After a minute it fails the test with the positions of the
// given chains.
func (w *World) Until(what string, ok func() bool, chains ...*Chain) {
	w.t.Helper()
	err := eventually.Poll(context.WithoutCancel(w.t.Context()), time.Minute, func() error {
		if !ok() {
			return errors.New(what)
		}
		return nil
	})
	if err != nil {
		w.t.Fatalf("seed %d: %v; source at %s%s", w.seed, err, w.Source().Position(), positions(chains))
	}
}

func positions(chains []*Chain) (out string) {
	for _, c := range chains {
		out += ", chain at " + c.Position().String()
	}
	return out
}

// Synced waits until edges have everything that the source has.
func (w *World) Synced(edges ...*Node) {
	w.t.Helper()
	for _, e := range edges {
		w.Until(e.Name+" synced", func() bool { return e.Chain.Position() == w.Source().Position() }, e.Chain)
	}
}

// Fork replaces the shared log by another history of n entries in an epoch, like a home that was
// restored from an old backup.
func (w *World) Fork(epoch core.Epoch, n int) {
	c := NewChain(epoch)
	for i := range n {
		c.Append(fmt.Appendf(nil, "fork %d", i))
	}
	w.mu.Lock()
	old := w.source
	w.source = c
	w.mu.Unlock()
	old.Append([]byte("lost")) // wakes the readers that wait on it
}
