package simtest

import (
	"net"
	"net/netip"
	"os"
	"sync"
	"time"
)

// inboxPackets bounds the packets that wait for a reader; more are dropped, as in a socket.
const inboxPackets = 8192

// Net is a network of packet connections in memory, without delay or loss of its own.
type Net struct {
	mu    sync.Mutex
	conns map[netip.AddrPort]*packetConn // guarded by mu
	next  uint16                         // guarded by mu
}

// NewNet gives an empty network.
func NewNet() *Net { return &Net{conns: map[netip.AddrPort]*packetConn{}} }

type datagram struct {
	data []byte
	from *net.UDPAddr
}

type packetConn struct {
	net    *Net
	addr   *net.UDPAddr
	in     chan datagram
	closed chan struct{}
	once   sync.Once

	mu      sync.Mutex
	until   time.Time     // guarded by mu: the read deadline
	changed chan struct{} // guarded by mu: closed when until changes
}

// Listen opens a connection at the next free address.
func (n *Net) Listen() net.PacketConn {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.next++
	return n.listen(netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(n.next >> 8), byte(n.next)}), 8074))
}

// ListenAt opens one at an address that was used before, like a restarted node.
func (n *Net) ListenAt(addr string) net.PacketConn {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.listen(netip.MustParseAddrPort(addr))
}

func (n *Net) listen(ap netip.AddrPort) *packetConn {
	c := &packetConn{net: n, addr: net.UDPAddrFromAddrPort(ap), in: make(chan datagram, inboxPackets),
		closed: make(chan struct{}), changed: make(chan struct{})}
	n.conns[ap] = c
	return c
}

// ReadFrom implements net.PacketConn.
func (c *packetConn) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		c.mu.Lock()
		until, changed := c.until, c.changed
		c.mu.Unlock()
		var expired <-chan time.Time
		if !until.IsZero() {
			wait := time.Until(until)
			if wait <= 0 {
				return 0, nil, os.ErrDeadlineExceeded
			}
			expired = time.After(wait)
		}
		select {
		case d := <-c.in:
			return copy(b, d.data), d.from, nil
		case <-c.closed:
			return 0, nil, net.ErrClosed
		case <-expired:
		case <-changed:
		}
	}
}

// WriteTo implements net.PacketConn. Packets to an unused address are lost.
func (c *packetConn) WriteTo(b []byte, addr net.Addr) (int, error) {
	c.net.mu.Lock()
	to := c.net.conns[addr.(*net.UDPAddr).AddrPort()]
	c.net.mu.Unlock()
	if to != nil {
		select {
		case to.in <- datagram{append([]byte(nil), b...), c.addr}:
		default:
		}
	}
	return len(b), nil
}

// Close implements net.PacketConn.
func (c *packetConn) Close() error {
	c.once.Do(func() {
		close(c.closed)
		c.net.mu.Lock()
		defer c.net.mu.Unlock()
		if ap := c.addr.AddrPort(); c.net.conns[ap] == c {
			delete(c.net.conns, ap)
		}
	})
	return nil
}

// LocalAddr implements net.PacketConn.
func (c *packetConn) LocalAddr() net.Addr { return c.addr }

// SetReadDeadline implements net.PacketConn.
func (c *packetConn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.until = t
	close(c.changed)
	c.changed = make(chan struct{})
	return nil
}

// SetWriteDeadline implements net.PacketConn; writes never wait.
func (c *packetConn) SetWriteDeadline(time.Time) error { return nil }

// SetDeadline implements net.PacketConn.
func (c *packetConn) SetDeadline(t time.Time) error { return c.SetReadDeadline(t) }

// SetReadBuffer accepts QUIC's request for a larger buffer.
func (c *packetConn) SetReadBuffer(int) error { return nil }

// SetWriteBuffer accepts QUIC's request for a larger buffer.
func (c *packetConn) SetWriteBuffer(int) error { return nil }
