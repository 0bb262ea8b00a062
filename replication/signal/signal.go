// Package signal carries short-lived messages (typing, presence) between all nodes, outside the
// log. It implements replication.Signals.
//
// Signals are datagrams on log connections. An edge sends to its hub. A home node passes an
// edge's signal to its other followers, and marked as relayed to the other home nodes, which pass
// it only to their followers. So every node gets a signal once, and none circulates. Of two home
// nodes, the sender dials.
//
// What it is not: reliable. Every queue is short and drops when it is full; nothing is logged or
// repeated.
//
// Concurrency: a Relay is safe for concurrent use.
//
// Lifecycle: New, then Serve for each connection, called by the owner of the connection; Mesh.Run
// keeps the connections between home nodes.
package signal

import (
	"context"
	"slices"
	"sync"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/replication"
)

// Datagram flags. They are append-only.
const (
	flagRelayed = 1 // a home node has passed it to the other home nodes
)

const (
	sendQueue    = 64   // datagrams per peer that wait to be sent
	receiveQueue = 1024 // signals that wait for Receive
)

// Kind is the relation of a connection's other end to this node.
type Kind int

// The kinds of peers.
const (
	Upstream Kind = iota // our hub: we are an edge
	Follower             // an edge that follows us: we are home
	ToHome               // a home node we dialed: we only send
	FromHome             // a peer that dialed us and does not follow: we only receive
)

// Conn is the part of a link.Conn that signals need.
type Conn interface {
	SendDatagram(b []byte) error
	ReceiveDatagram(ctx context.Context) ([]byte, error)
}

// Relay carries the signals of one node.
type Relay struct {
	in chan []byte

	mu    sync.RWMutex
	peers map[*outlet]struct{} // guarded by mu
}

type outlet struct {
	kind Kind
	out  chan []byte // of whole datagrams; never closed
}

var _ replication.Signals = (*Relay)(nil)

// New gives a Relay.
func New() *Relay {
	return &Relay{in: make(chan []byte, receiveQueue), peers: map[*outlet]struct{}{}}
}

// Send implements replication.Signals. Signals over replication.MaxSignalBytes are dropped.
func (r *Relay) Send(signal []byte) {
	if len(signal) <= replication.MaxSignalBytes {
		r.spread(signal, nil, false)
	}
}

// Receive implements replication.Signals.
func (r *Relay) Receive(ctx context.Context) ([]byte, error) {
	select {
	case s := <-r.in:
		return s, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// spread offers a signal to every peer that should have it, except its sender.
func (r *Relay) spread(signal []byte, from *outlet, relayed bool) {
	plain := append([]byte{0}, signal...)
	marked := append([]byte{flagRelayed}, signal...)
	r.mu.RLock()
	defer r.mu.RUnlock()
	for p := range r.peers {
		switch {
		case p == from || p.kind == FromHome:
		case p.kind == ToHome && relayed:
		case p.kind == Upstream:
			p.offer(plain)
		default:
			p.offer(marked)
		}
	}
}

func (o *outlet) offer(datagram []byte) {
	select {
	case o.out <- datagram:
	default: // a slow peer misses signals; it must not delay the others
	}
}

// Serve carries signals over a connection until ctx or the connection ends.
func (r *Relay) Serve(ctx context.Context, conn Conn, kind Kind) {
	ctx, cancel := context.WithCancel(ctx)
	o := &outlet{kind: kind, out: make(chan []byte, sendQueue)}
	r.mu.Lock()
	r.peers[o] = struct{}{}
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.peers, o)
	}()
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	if kind != FromHome {
		wg.Go(func() { o.send(ctx, conn) })
	}
	for {
		b, err := conn.ReceiveDatagram(ctx)
		if err != nil {
			return
		}
		r.receive(b, o)
	}
}

func (o *outlet) send(ctx context.Context, conn Conn) {
	for {
		select {
		case b := <-o.out:
			if conn.SendDatagram(b) != nil && ctx.Err() != nil {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

func (r *Relay) receive(b []byte, from *outlet) {
	if len(b) < 1 || len(b) > 1+replication.MaxSignalBytes || from.kind == ToHome {
		return
	}
	signal := slices.Clip(b[1:])
	select {
	case r.in <- signal:
	default:
	}
	if from.kind != Upstream { // an edge does not pass signals on
		r.spread(signal, from, b[0]&flagRelayed != 0)
	}
}

// errNoHomes is the error of a Mesh whose configuration is incomplete.
var errNoHomes = core.E(core.KindInvalid, "a mesh needs an endpoint, a relay and the home nodes")
