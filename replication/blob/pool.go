package blob

import (
	"context"
	"sync"
	"time"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/replication/link"
)

const dialTimeout = 2 * time.Second

// pool holds a connection to each node that was asked.
type pool struct {
	e *link.Endpoint

	mu     sync.Mutex
	peers  map[string]*peer // guarded by mu
	closed bool             // guarded by mu
}

// peer is the connection to one address.
type peer struct {
	dialing chan struct{} // one slot; held while dialing, so that a peer is dialed once
	conn    *link.Conn    // guarded by pool.mu; may be dead
}

func newPool(e *link.Endpoint) *pool { return &pool{e: e, peers: map[string]*peer{}} }

// get gives a live connection, dialing when there is none.
func (p *pool) get(ctx context.Context, addr string) (*link.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	at, conn, err := p.look(addr)
	if conn != nil || err != nil {
		return conn, err
	}
	select {
	case at.dialing <- struct{}{}:
		defer func() { <-at.dialing }()
	case <-ctx.Done():
		return nil, core.E(core.KindUnavailable, "cannot reach %s", addr).WithCause(ctx.Err())
	}
	if _, conn, err = p.look(addr); conn != nil || err != nil {
		return conn, err // somebody else has dialed
	}
	conn, err = p.e.Dial(ctx, addr, link.ClassBlob)
	if err != nil {
		return nil, err
	}
	if !conn.Peer().Has(link.RoleHome) { // it could acknowledge blobs that home never sees
		conn.Close(link.CodeRefused, "not a home node")
		return nil, core.E(core.KindMisdirected, "%s is not a home node", conn.Peer())
	}
	return conn, p.keep(at, conn)
}

func (p *pool) look(addr string) (*peer, *link.Conn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, nil, errClosed
	}
	at := p.peers[addr]
	if at == nil {
		at = &peer{dialing: make(chan struct{}, 1)}
		p.peers[addr] = at
	}
	if at.conn != nil && at.conn.Context().Err() == nil {
		return at, at.conn, nil
	}
	return at, nil, nil
}

var errClosed = core.E(core.KindUnavailable, "the blob client is closed")

func (p *pool) keep(at *peer, conn *link.Conn) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		conn.Close(link.CodeDone, "closed")
		return errClosed
	}
	at.conn = conn
	return nil
}

// alive reports whether a connection to a node is open.
func (p *pool) alive(addr string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	at := p.peers[addr]
	return at != nil && at.conn != nil && at.conn.Context().Err() == nil
}

func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, at := range p.peers {
		if at.conn != nil {
			at.conn.Close(link.CodeDone, "closed")
		}
	}
}
