package gossip

import (
	"context"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/nearside/nearside/replication/link"
)

const (
	dialTimeout = 2 * time.Second
	outletIdle  = time.Minute // an outlet that sends nothing for this long ends
	maxOutlets  = 1024        // addresses with an outlet
	outletQueue = 64          // packets per address
	packetQueue = 1024
	streamQueue = 64
)

// transport is memberlist's transport over links.
type transport struct {
	dialer    *link.Streams
	packets   chan *memberlist.Packet
	streams   chan net.Conn
	advertise *net.UDPAddr // set by Run before memberlist starts

	mu      sync.Mutex
	ctx     context.Context        // guarded by mu: of the outlets; nil while not started
	wg      sync.WaitGroup         // of the outlets
	outlets map[string]chan []byte // guarded by mu
}

var _ memberlist.Transport = (*transport)(nil)

func newTransport(e *link.Endpoint) *transport {
	return &transport{
		dialer:  e.Dialer(link.ClassGossip),
		packets: make(chan *memberlist.Packet, packetQueue),
		streams: make(chan net.Conn, streamQueue),
		outlets: map[string]chan []byte{},
	}
}

// start allows outlets to run. stop ends them, waits for them, and closes the connections.
func (t *transport) start(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	t.mu.Lock()
	t.ctx = ctx
	t.mu.Unlock()
	return func() {
		t.mu.Lock()
		t.ctx = nil
		t.mu.Unlock()
		cancel()
		t.wg.Wait()
		_ = t.dialer.Close()
	}
}

// serve receives packets and streams of an accepted connection. It is a link.Handler.
func (t *transport) serve(ctx context.Context, conn *link.Conn) {
	from, err := net.ResolveUDPAddr("udp", conn.RemoteAddr())
	if err != nil {
		return
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	wg.Go(func() {
		for {
			st, err := conn.AcceptStream(ctx)
			if err != nil {
				return
			}
			select {
			case t.streams <- st:
			default:
				st.Abort()
			}
		}
	})
	for {
		b, err := conn.ReceiveDatagram(ctx)
		if err != nil {
			return
		}
		select {
		case t.packets <- &memberlist.Packet{Buf: b, From: from, Timestamp: time.Now()}:
		default: // memberlist tolerates lost packets
		}
	}
}

// FinalAdvertiseAddr implements memberlist.Transport.
func (t *transport) FinalAdvertiseAddr(string, int) (net.IP, int, error) {
	return t.advertise.IP, t.advertise.Port, nil
}

// WriteTo implements memberlist.Transport. It never waits: packets are queued for the connection.
func (t *transport) WriteTo(b []byte, addr string) (time.Time, error) {
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ctx == nil {
		return now, net.ErrClosed
	}
	out := t.outlets[addr]
	if out == nil {
		if len(t.outlets) >= maxOutlets {
			return now, nil
		}
		out = make(chan []byte, outletQueue)
		t.outlets[addr] = out
		ctx := t.ctx
		t.wg.Go(func() { t.send(ctx, addr, out) })
	}
	select {
	case out <- append([]byte(nil), b...):
	default:
	}
	return now, nil
}

// send sends the packets for one address until none has come for outletIdle.
func (t *transport) send(ctx context.Context, addr string, out chan []byte) {
	idle := time.NewTimer(outletIdle)
	defer idle.Stop()
	for {
		select {
		case b := <-out:
			idle.Reset(outletIdle)
			t.packet(ctx, addr, b)
		case <-idle.C:
			if t.retire(addr, out) {
				return
			}
			idle.Reset(outletIdle)
		case <-ctx.Done():
			return
		}
	}
}

// retire removes an outlet, unless a packet was queued in the meantime.
func (t *transport) retire(addr string, out chan []byte) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(out) > 0 {
		return false
	}
	delete(t.outlets, addr)
	return true
}

func (t *transport) packet(ctx context.Context, addr string, b []byte) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	if conn, err := t.dialer.Conn(ctx, addr); err == nil {
		_ = conn.SendDatagram(b) // a packet that cannot be sent counts as lost
	}
}

// PacketCh implements memberlist.Transport.
func (t *transport) PacketCh() <-chan *memberlist.Packet { return t.packets }

// DialTimeout implements memberlist.Transport.
func (t *transport) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	t.mu.Lock()
	ctx := t.ctx
	t.mu.Unlock()
	if ctx == nil {
		return nil, net.ErrClosed
	}
	ctx, cancel := context.WithTimeout(ctx, min(timeout, dialTimeout))
	defer cancel()
	return t.dialer.Dial(ctx, addr)
}

// StreamCh implements memberlist.Transport.
func (t *transport) StreamCh() <-chan net.Conn { return t.streams }

// Shutdown implements memberlist.Transport; Run ends the outlets itself.
func (t *transport) Shutdown() error { return nil }
