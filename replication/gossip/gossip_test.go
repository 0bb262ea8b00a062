package gossip_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/eventually"
	"github.com/nearside/nearside/replication/gossip"
	"github.com/nearside/nearside/replication/link"
)

type node struct {
	*gossip.Gossip
	addr string
	stop func() // leaves properly
	kill func() // stops without leaving
}

func start(t *testing.T, ca *link.CA, name string, index core.Index, join ...string) *node {
	t.Helper()
	creds, err := ca.Issue(link.Identity{Region: "r-" + name, Node: name, Roles: []link.Role{link.RoleEdge}}, time.Now(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	pc, err := link.Bind("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dist := link.NewDistance(1)
	e, err := link.New(link.Config{Conn: pc, Credentials: creds, Distance: dist})
	if err != nil {
		t.Fatal(err)
	}
	g, err := gossip.New(gossip.Config{Endpoint: e, Join: func() []string { return join }, Probe: 100 * time.Millisecond,
		Position: func() core.Position { return core.Position{Epoch: 1, Index: index} }})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	lctx, lcancel := context.WithCancel(context.Background())
	var gwg, lwg sync.WaitGroup
	lwg.Go(func() { _ = e.Run(lctx) })
	gwg.Go(func() { _ = g.Run(ctx) })
	n := &node{Gossip: g, addr: e.Addr()}
	n.stop = sync.OnceFunc(func() { cancel(); gwg.Wait(); lcancel(); lwg.Wait() })
	n.kill = func() { dist.SetDefault(link.Path{Blackout: true}); n.stop() }
	t.Cleanup(n.stop)
	return n
}

// alive returns an error unless n believes that exactly these nodes are alive and has probed the
// others.
func alive(n *node, names ...string) error {
	var got []string
	for _, m := range n.Members() {
		if !m.Alive {
			continue
		}
		got = append(got, m.Node.Node)
		if !m.Itself && (m.RTT == 0 || m.Index == 0) {
			return fmt.Errorf("not probed: %+v", m)
		}
	}
	if fmt.Sprint(got) != fmt.Sprint(names) {
		return fmt.Errorf("alive: %v, want %v", got, names)
	}
	return nil
}

func TestGossip_Death(t *testing.T) {
	// Three nodes find each other through one of them, learn distances and positions, and notice
	// a death, a leave and a new node.
	ca, err := link.NewCA("dep", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	a := start(t, ca, "a", 1)
	b := start(t, ca, "b", 2, a.addr)
	c := start(t, ca, "c", 3, a.addr)
	for _, n := range []*node{a, b, c} {
		eventually.Nil(t, func() error { return alive(n, "a", "b", "c") })
	}
	for _, m := range b.Members() {
		if m.Node.Node == "c" && (m.Index != 3 || m.Addr != c.addr || m.Node.Region != "r-c") {
			t.Fatalf("%+v", m)
		}
	}
	c.kill()
	for _, n := range []*node{a, b} {
		eventually.Nil(t, func() error { return alive(n, "a", "b") })
	}
	d := start(t, ca, "d", 4, a.addr, b.addr)
	eventually.Nil(t, func() error { return alive(d, "a", "b", "d") })
	b.stop()
	eventually.Nil(t, func() error { return alive(a, "a", "d") })
}
