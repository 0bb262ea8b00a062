package link

import (
	"context"
	"net"
	"sync"

	"github.com/nearside/nearside/core"
)

// acceptBacklog bounds the streams that were not accepted yet; more are aborted.
const acceptBacklog = 128

// Streams offers one class as plain stream connections: one QUIC connection per peer, one stream
// per Dial. The side that dials must write first, otherwise the other side does not see the
// stream.
type Streams struct {
	e     *Endpoint
	class Class
	in    chan *Stream

	closed chan struct{} // closed by Close
	once   sync.Once

	mu    sync.Mutex
	peers map[string]*peer // guarded by mu
}

// peer is the shared connection to one address.
type peer struct {
	lock chan struct{} // one slot; held while dialing, so that a peer is dialed once
	conn *Conn         // guarded by lock
}

// Streams returns a class as plain streams and becomes its handler. Call it before Run.
func (e *Endpoint) Streams(class Class) *Streams {
	e.mu.Lock()
	defer e.mu.Unlock()
	if s := e.streams[class]; s != nil {
		return s
	}
	s := &Streams{e: e, class: class, in: make(chan *Stream, acceptBacklog),
		closed: make(chan struct{}), peers: map[string]*peer{}}
	e.streams[class] = s
	if rules[class].serve == "" || e.id.Has(rules[class].serve) {
		e.handlers[class] = s.Serve
	}
	return s
}

// Dialer returns a class for dialing only; it does not set a handler.
func (e *Endpoint) Dialer(class Class) *Streams {
	return &Streams{e: e, class: class, closed: make(chan struct{}), peers: map[string]*peer{}}
}

// Serve passes the streams of an accepted connection to Accept.
func (s *Streams) Serve(ctx context.Context, conn *Conn) {
	for {
		st, err := conn.AcceptStream(ctx)
		if err != nil {
			return
		}
		select {
		case s.in <- st:
		case <-s.closed:
			st.Abort()
			return
		default:
			st.Abort()
		}
	}
}

// Dial opens a stream to a node.
func (s *Streams) Dial(ctx context.Context, addr string) (net.Conn, error) {
	st, err := s.Open(ctx, addr)
	if err != nil {
		return nil, err
	}
	return st, nil
}

// Open is Dial that returns a Stream.
func (s *Streams) Open(ctx context.Context, addr string) (*Stream, error) {
	conn, err := s.Conn(ctx, addr)
	if err != nil {
		return nil, err
	}
	return conn.OpenStream(ctx)
}

// Conn returns the shared connection to a node, and dials if there is none.
func (s *Streams) Conn(ctx context.Context, addr string) (*Conn, error) {
	select {
	case <-s.closed:
		return nil, net.ErrClosed
	default:
	}
	s.mu.Lock()
	p := s.peers[addr]
	if p == nil {
		p = &peer{lock: make(chan struct{}, 1)}
		s.peers[addr] = p
	}
	s.mu.Unlock()
	select {
	case p.lock <- struct{}{}:
		defer func() { <-p.lock }()
	case <-ctx.Done(): // another caller's dial took too long
		return nil, core.E(core.KindUnavailable, "cannot reach %s", addr).WithCause(ctx.Err())
	}
	if p.conn != nil && p.conn.Context().Err() == nil {
		return p.conn, nil
	}
	conn, err := s.e.Dial(ctx, addr, s.class)
	if err != nil {
		return nil, err
	}
	p.conn = conn
	return conn, nil
}

// Accept returns the next stream that a peer opened, or net.ErrClosed after Close.
func (s *Streams) Accept() (net.Conn, error) {
	select {
	case st := <-s.in:
		return st, nil
	case <-s.closed:
	case <-s.e.stopped:
	}
	return nil, net.ErrClosed
}

// Addr is the endpoint's address.
func (s *Streams) Addr() string { return s.e.Addr() }

// Close ends Accept and closes the connections that were dialed.
func (s *Streams) Close() error {
	s.once.Do(func() { close(s.closed) })
	s.mu.Lock()
	peers := s.peers
	s.peers = map[string]*peer{}
	s.mu.Unlock()
	for _, p := range peers {
		p.lock <- struct{}{} // waits for a running dial, which has its own limit
		if p.conn != nil {
			p.conn.Close(CodeDone, "closed")
		}
		<-p.lock
	}
	return nil
}
