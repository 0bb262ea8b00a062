package link

import (
	"container/heap"
	"context"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"time"
)

// maxQueuedBytes bounds what a Distance delays per peer; further packets are dropped, as in a
// router.
const maxQueuedBytes = 64 << 20

// Path describes how packets to one peer are treated. The zero Path changes nothing.
type Path struct {
	Delay     time.Duration // one way
	Jitter    time.Duration // random addition, from 0 to this, without reordering
	Loss      float64       // 0 to 1
	Reorder   float64       // 0 to 1: share of packets that overtake earlier ones
	Bandwidth int64         // bytes per second; 0 means unlimited
	Blackout  bool          // no packet passes, in either direction
}

// Distance imitates far peers on the sending side of a socket. Only a blackout also drops
// incoming packets, so that one end is enough to cut a link. It belongs to one Endpoint, whose
// Run drives it. Its settings may change at any time.
type Distance struct {
	wake chan struct{} // one slot: there is a new earliest packet

	mu     sync.Mutex
	rng    *rand.Rand                    // guarded by mu
	paths  map[netip.AddrPort]*pathState // guarded by mu
	preset Path                          // guarded by mu: for peers without a path of their own
	queue  packetHeap                    // guarded by mu
	seq    uint64                        // guarded by mu: keeps packets with the same time in order
}

type pathState struct {
	Path
	own    bool      // set for this peer, not from the preset
	last   time.Time // send time of the last packet in order
	free   time.Time // when the bandwidth is free again
	queued int       // bytes
}

type packet struct {
	due  time.Time
	seq  uint64
	data []byte
	addr net.Addr
	via  net.PacketConn
	path *pathState
}

// NewDistance returns a Distance that changes nothing yet; seed determines its randomness.
func NewDistance(seed uint64) *Distance {
	return &Distance{wake: make(chan struct{}, 1), rng: rand.New(rand.NewPCG(seed, 0)), paths: map[netip.AddrPort]*pathState{}}
}

// Set sets the path to one peer, by its UDP address.
func (d *Distance) Set(addr netip.AddrPort, p Path) {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.state(key(addr))
	s.Path, s.own = p, true
}

// SetDefault sets the path to every peer without a path of its own.
func (d *Distance) SetDefault(p Path) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.preset = p
	for _, s := range d.paths {
		if !s.own {
			s.Path = p
		}
	}
}

// state is called with mu held.
func (d *Distance) state(addr netip.AddrPort) *pathState {
	s := d.paths[addr]
	if s == nil {
		s = &pathState{Path: d.preset}
		d.paths[addr] = s
	}
	return s
}

// passes reports whether a packet from addr may be received.
func (d *Distance) passes(addr net.Addr) bool {
	ua, ok := addr.(*net.UDPAddr)
	if !ok {
		return true
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if s := d.paths[key(ua.AddrPort())]; s != nil {
		return !s.Blackout
	}
	return !d.preset.Blackout
}

func key(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }

// send delays or drops a packet, or reports that it may be sent now.
func (d *Distance) send(via net.PacketConn, data []byte, addr net.Addr) (now bool) {
	ua, ok := addr.(*net.UDPAddr)
	if !ok {
		return true
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.state(key(ua.AddrPort()))
	if s.Path == (Path{}) && s.queued == 0 {
		return true
	}
	if s.Blackout || s.Loss > 0 && d.rng.Float64() < s.Loss || s.queued+len(data) > maxQueuedBytes {
		return false
	}
	d.seq++
	s.queued += len(data)
	p := &packet{due: d.due(s, len(data), time.Now()), seq: d.seq, data: append([]byte(nil), data...), addr: addr, via: via, path: s}
	heap.Push(&d.queue, p)
	if d.queue[0] == p {
		d.poke()
	}
	return false
}

// due is called with mu held.
func (d *Distance) due(s *pathState, size int, now time.Time) time.Time {
	at := now
	if s.Bandwidth > 0 {
		if s.free.Before(now) {
			s.free = now
		}
		s.free = s.free.Add(time.Duration(float64(size) / float64(s.Bandwidth) * float64(time.Second)))
		at = s.free
	}
	at = at.Add(s.Delay)
	if s.Jitter > 0 {
		at = at.Add(time.Duration(d.rng.Int64N(int64(s.Jitter))))
	}
	if s.Reorder > 0 && d.rng.Float64() < s.Reorder {
		return now.Add(s.Delay / 2)
	}
	if at.Before(s.last) {
		at = s.last
	}
	s.last = at
	return at
}

func (d *Distance) poke() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// start runs one timer for all peers until stop is called. stop sends the delayed packets and
// waits for the end.
func (d *Distance) start(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { d.run(ctx) })
	return func() {
		cancel()
		wg.Wait()
		d.flush(time.Now().Add(time.Hour))
	}
}

func (d *Distance) run(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		timer.Reset(d.flush(time.Now()))
		select {
		case <-timer.C:
		case <-d.wake:
		case <-ctx.Done():
			return
		}
	}
}

// flush sends what is due and returns the time until the next packet.
func (d *Distance) flush(now time.Time) time.Duration {
	for {
		d.mu.Lock()
		if len(d.queue) == 0 {
			d.mu.Unlock()
			return time.Hour
		}
		p := d.queue[0]
		if wait := p.due.Sub(now); wait > 0 {
			d.mu.Unlock()
			return wait
		}
		heap.Pop(&d.queue)
		p.path.queued -= len(p.data)
		d.mu.Unlock()
		_, _ = p.via.WriteTo(p.data, p.addr) // a packet that cannot be sent counts as lost
	}
}

// wrap puts the distance before a socket.
func (d *Distance) wrap(pc net.PacketConn) net.PacketConn { return &farConn{PacketConn: pc, d: d} }

// farConn hides the socket's batching and segmentation from QUIC, so that every packet passes
// WriteTo.
type farConn struct {
	net.PacketConn
	d *Distance
}

// WriteTo implements net.PacketConn.
func (c *farConn) WriteTo(b []byte, addr net.Addr) (int, error) {
	if c.d.send(c.PacketConn, b, addr) {
		return c.PacketConn.WriteTo(b, addr)
	}
	return len(b), nil
}

// ReadFrom implements net.PacketConn.
func (c *farConn) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		n, addr, err := c.PacketConn.ReadFrom(b)
		if err != nil || c.d.passes(addr) {
			return n, addr, err
		}
	}
}

// SetReadBuffer lets QUIC size the socket's buffer.
func (c *farConn) SetReadBuffer(n int) error {
	if u, ok := c.PacketConn.(interface{ SetReadBuffer(int) error }); ok {
		return u.SetReadBuffer(n)
	}
	return nil
}

// SetWriteBuffer lets QUIC size the socket's buffer.
func (c *farConn) SetWriteBuffer(n int) error {
	if u, ok := c.PacketConn.(interface{ SetWriteBuffer(int) error }); ok {
		return u.SetWriteBuffer(n)
	}
	return nil
}

type packetHeap []*packet

func (h packetHeap) Len() int { return len(h) }
func (h packetHeap) Less(i, j int) bool {
	if !h[i].due.Equal(h[j].due) {
		return h[i].due.Before(h[j].due)
	}
	return h[i].seq < h[j].seq
}
func (h packetHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *packetHeap) Push(x any)   { *h = append(*h, x.(*packet)) }
func (h *packetHeap) Pop() any {
	old := *h
	p := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return p
}
