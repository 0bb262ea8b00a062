package blob

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/replication/link"
)

const (
	dialTimeout = 2 * time.Second
	bulkBytes   = 1 << 20
	renewAfter  = 15 * time.Second      // for a connection that has moved much
	renewEarly  = 5 * time.Second       // for a quiet one whose path has become slower
	nearRTT     = 10 * time.Millisecond // below this round trip a connection recovers by itself
)

// lane is a direction: reading and storing use separate connections. QUIC ends slow start when
// round trips grow. On a connection for both directions, the full queue of one direction would
// end it for the other, which would then crawl.
type lane byte

const (
	laneGet lane = iota
	lanePut
	lanes
)

// pool has a connection per lane to each node that was asked.
type pool struct {
	e *link.Endpoint

	mu     sync.Mutex
	peers  map[string]*[lanes]peer // guarded by mu
	old    map[*carrier]struct{}   // guarded by mu: replaced, but still in use
	closed bool                    // guarded by mu
}

// peer is one lane to one address.
type peer struct {
	dialing chan struct{} // one slot; held while dialing, so that a lane is dialed once
	now     *carrier      // guarded by pool.mu; may be dead; nil before the first
	hurried time.Time     // guarded by pool.mu: when a transfer last requested a new connection
}

// carrier is a connection with its users.
type carrier struct {
	*link.Conn
	moved atomic.Int64 // bytes
	born  time.Time
	users int       // guarded by pool.mu
	seen  int64     // guarded by pool.mu: value of moved when worn last checked
	bulk  time.Time // guarded by pool.mu: since when it has been known to have moved much
}

// lease is a stream on a carrier.
type lease struct {
	*link.Stream
	pool *pool
	on   *carrier
	once sync.Once
}

// end aborts the rest of the stream.
func (l *lease) end() {
	l.once.Do(func() {
		l.Abort()
		l.pool.leave(l.on)
	})
}

func newPool(e *link.Endpoint) *pool {
	return &pool{e: e, peers: map[string]*[lanes]peer{}, old: map[*carrier]struct{}{}}
}

// open returns a stream on a live connection, and dials if there is none.
func (p *pool) open(ctx context.Context, addr string, ln lane) (*lease, error) {
	c, err := p.enter(ctx, addr, ln)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, placeWait) // the peer limits the number of streams
	defer cancel()
	st, err := c.OpenStream(ctx)
	if err != nil {
		p.leave(c)
		return nil, err
	}
	return &lease{Stream: st, pool: p, on: c}, nil
}

func (p *pool) enter(ctx context.Context, addr string, ln lane) (*carrier, error) {
	for {
		if err := p.connect(ctx, addr, ln); err != nil {
			return nil, err
		}
		if _, c, err := p.acquire(addr, ln, 1); c != nil || err != nil {
			return c, err
		}
		// It broke just now; ctx bounds how often this repeats.
	}
}

func (p *pool) leave(c *carrier) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c.users--
	if _, old := p.old[c]; old && c.users == 0 {
		delete(p.old, c)
		c.Close(link.CodeDone, "renewed")
	}
}

// connect makes sure that a lane has a connection.
func (p *pool) connect(ctx context.Context, addr string, ln lane) error {
	at, c, err := p.acquire(addr, ln, 0)
	if c != nil || err != nil {
		return err
	}
	return p.replace(ctx, addr, at, nil)
}

// replace dials for a lane, unless another goroutine has already replaced the given connection.
func (p *pool) replace(ctx context.Context, addr string, at *peer, was *carrier) error {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	select {
	case at.dialing <- struct{}{}:
		defer func() { <-at.dialing }()
	case <-ctx.Done():
		return core.E(core.KindUnavailable, "cannot reach %s", addr).WithCause(ctx.Err())
	}
	p.mu.Lock()
	now, closed := at.now, p.closed
	p.mu.Unlock()
	switch {
	case closed:
		return errClosed
	case now != nil && now != was && now.Context().Err() == nil:
		return nil
	}
	return p.dial(ctx, addr, at)
}

// dial puts a new connection into a lane; the old one is closed after its last user.
func (p *pool) dial(ctx context.Context, addr string, at *peer) error {
	conn, err := p.e.Dial(ctx, addr, link.ClassBlob)
	if err != nil {
		return err
	}
	if !conn.Peer().Has(link.RoleHome) { // another node could acknowledge blobs that never reach home
		conn.Close(link.CodeRefused, "not a home node")
		return core.E(core.KindMisdirected, "%s is not a home node", conn.Peer())
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		conn.Close(link.CodeDone, "closed")
		return errClosed
	}
	switch c := at.now; {
	case c == nil:
	case c.users == 0:
		c.Close(link.CodeDone, "renewed")
	default:
		p.old[c] = struct{}{}
	}
	at.now = &carrier{Conn: conn, born: time.Now()}
	return nil
}

var errClosed = core.E(core.KindUnavailable, "the blob client is closed")

// acquire returns a lane and its connection, if that is alive, and counts users more users of it.
func (p *pool) acquire(addr string, ln lane, users int) (*peer, *carrier, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, nil, errClosed
	}
	at := p.peers[addr]
	if at == nil {
		at = new([lanes]peer)
		for i := range at {
			at[i].dialing = make(chan struct{}, 1)
		}
		p.peers[addr] = at
	}
	c := at[ln].now
	if c == nil || c.Context().Err() != nil {
		return &at[ln], nil, nil
	}
	c.users += users
	return &at[ln], c, nil
}

// alive reports whether any connection to a node is open.
func (p *pool) alive(addr string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	at := p.peers[addr]
	if at == nil {
		return false
	}
	for i := range at {
		if c := at[i].now; c != nil && c.Context().Err() == nil {
			return true
		}
	}
	return false
}

// tired is a lane whose connection would be slow to start.
type tired struct {
	addr string
	at   *peer
	was  *carrier
}

// worn returns all such lanes. QUIC does not forget a bad moment of the path while a connection
// lives, and then gains speed by one packet per round trip. A new connection reaches the possible
// speed in a few round trips.
func (p *pool) worn(now time.Time) (worn []tired) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for addr, at := range p.peers {
		for i := range at {
			if c := at[i].now; c != nil && c.Context().Err() == nil && c.worn(now) {
				worn = append(worn, tired{addr, &at[i], c})
			}
		}
	}
	return worn
}

// worn is called with pool.mu held.
func (c *carrier) worn(now time.Time) bool {
	moved := c.moved.Load()
	calm := moved-c.seen < bulkBytes // otherwise its own bytes make the path slow
	c.seen = moved
	if moved >= bulkBytes && c.bulk.IsZero() {
		c.bulk = now
	}
	if c.RTT() < nearRTT {
		return false
	}
	return !c.bulk.IsZero() && now.Sub(c.bulk) >= renewAfter || calm && now.Sub(c.born) >= renewEarly && c.Slowed()
}

// renew replaces the worn connections; no request waits for it.
func (p *pool) renew(ctx context.Context) error {
	var errs []error
	for _, w := range p.worn(time.Now()) {
		errs = append(errs, p.replace(ctx, w.addr, w.at, w.was))
	}
	return errors.Join(errs...)
}

// hurry replaces the connection of a transfer that crawls. It fails if that did not help a short
// while ago.
func (p *pool) hurry(ctx context.Context, addr string, ln lane, l *lease) error {
	at, _, err := p.acquire(addr, ln, 0)
	if err != nil {
		return err
	}
	p.mu.Lock()
	now, rest := at.now, time.Since(at.hurried) < crawlRest
	if now == l.on && !rest {
		at.hurried = time.Now()
	}
	p.mu.Unlock()
	if now == l.on && rest {
		return core.E(core.KindUnavailable, "a new connection crawled too")
	}
	return p.replace(ctx, addr, at, l.on)
}

// close ends every connection and the requests on it.
func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for c := range p.old {
		c.Close(link.CodeDone, "closed")
	}
	for _, at := range p.peers {
		for i := range at {
			if c := at[i].now; c != nil {
				c.Close(link.CodeDone, "closed")
			}
		}
	}
}
