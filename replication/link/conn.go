package link

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/nearside/nearside/core"
)

// The codes with which connections and streams are closed. They are append-only.
const (
	CodeDone    = 0 // no error
	CodeRefused = 1 // the peer is not allowed to do this
	CodeBusy    = 2 // over a limit
	CodeGone    = 3 // the reader or writer stopped
)

// Conn is one connection to a peer, of one class.
type Conn struct {
	q     *quic.Conn
	class Class
	peer  Peer

	process string    // of the peer, if it dialed; see said
	opened  time.Time // when the handshake had ended
	served  bool      // it was accepted; guarded by Endpoint.mu
}

// Peer names the node at the other end.
func (c *Conn) Peer() Identity { return c.peer.Identity }

// Class is the connection's class.
func (c *Conn) Class() Class { return c.class }

// RTT is the smoothed round-trip time of the path.
func (c *Conn) RTT() time.Duration { return c.q.ConnectionStats().SmoothedRTT }

// LastRTT is the last round trip that was measured.
func (c *Conn) LastRTT() time.Duration { return c.q.ConnectionStats().LatestRTT }

// Slowed reports whether the last round trip took so much longer than the shortest that QUIC
// would end slow start. QUIC assumes that the connection's own packets fill a queue.
func (c *Conn) Slowed() bool {
	s := c.q.ConnectionStats()
	return s.LatestRTT-s.MinRTT > min(max(s.MinRTT/8, 4*time.Millisecond), 16*time.Millisecond)
}

// RemoteAddr is the peer's UDP address.
func (c *Conn) RemoteAddr() string { return c.q.RemoteAddr().String() }

// Context ends when the connection does; its cause is the reason.
func (c *Conn) Context() context.Context { return c.q.Context() }

// Serve calls each for every stream that the peer opens, concurrently. It returns when the
// connection or ctx has ended and all calls have returned; their ctx ends with it.
func (c *Conn) Serve(ctx context.Context, each func(context.Context, *Stream)) {
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for {
		st, err := c.AcceptStream(ctx)
		if err != nil {
			return
		}
		wg.Go(func() { each(ctx, st) })
	}
}

// OpenStream opens a stream. The peer sees it when the first bytes are written. It waits while
// the peer allows no more streams.
func (c *Conn) OpenStream(ctx context.Context) (*Stream, error) {
	s, err := c.q.OpenStreamSync(ctx)
	if err != nil {
		return nil, lost(err)
	}
	return &Stream{Stream: s, conn: c}, nil
}

// AcceptStream returns the next stream that the peer opened.
func (c *Conn) AcceptStream(ctx context.Context) (*Stream, error) {
	s, err := c.q.AcceptStream(ctx)
	if err != nil {
		return nil, lost(err)
	}
	return &Stream{Stream: s, conn: c}, nil
}

// SendDatagram sends up to about 1100 bytes, which may get lost. It may wait until earlier ones
// are sent.
func (c *Conn) SendDatagram(b []byte) error { return lost(c.q.SendDatagram(b)) }

// ReceiveDatagram returns the peer's next datagram.
func (c *Conn) ReceiveDatagram(ctx context.Context) ([]byte, error) {
	b, err := c.q.ReceiveDatagram(ctx)
	return b, lost(err)
}

// Close ends the connection and all its streams at once; the peer gets code and reason.
func (c *Conn) Close(code uint64, reason string) {
	_ = c.q.CloseWithError(quic.ApplicationErrorCode(code), reason)
}

// lost maps every way in which a connection ends to KindUnavailable, so that users of a link need
// not know QUIC's errors.
func lost(err error) error {
	var (
		idle  *quic.IdleTimeoutError
		app   *quic.ApplicationError
		tr    *quic.TransportError
		reset *quic.StatelessResetError
		str   *quic.StreamError
	)
	switch {
	case err == nil:
		return nil
	case errors.As(err, &app) && app.ErrorCode == CodeRefused:
		return core.E(core.KindMisdirected, "the peer refused").WithCause(err)
	case errors.As(err, &idle), errors.As(err, &app), errors.As(err, &tr), errors.As(err, &reset), errors.As(err, &str),
		errors.Is(err, net.ErrClosed):
		return core.E(core.KindUnavailable, "the link is closed").WithCause(err)
	}
	return err
}

// Stream is one ordered stream of bytes in both directions; it is a net.Conn.
type Stream struct {
	*quic.Stream
	conn *Conn
}

var _ net.Conn = (*Stream)(nil)

// Conn is the connection that carries the stream.
func (s *Stream) Conn() *Conn { return s.conn }

// Read implements net.Conn.
func (s *Stream) Read(b []byte) (int, error) {
	n, err := s.Stream.Read(b)
	if err != nil && err != io.EOF { //nolint:errorlint // QUIC gives io.EOF itself
		err = lost(err)
	}
	return n, err
}

// Write implements net.Conn.
func (s *Stream) Write(b []byte) (int, error) {
	n, err := s.Stream.Write(b)
	return n, lost(err)
}

// CloseWrite ends our direction; bytes already written still arrive.
func (s *Stream) CloseWrite() error { return s.Stream.Close() }

// Close ends our direction and stops reading. It never waits.
func (s *Stream) Close() error {
	err := s.Stream.Close()
	s.CancelRead(CodeGone)
	return lost(err)
}

// Abort ends both directions: unsent bytes are dropped and the peer's reads fail.
func (s *Stream) Abort() {
	s.CancelRead(CodeGone)
	s.CancelWrite(CodeGone)
}

// LocalAddr implements net.Conn.
func (s *Stream) LocalAddr() net.Addr { return s.conn.q.LocalAddr() }

// RemoteAddr implements net.Conn.
func (s *Stream) RemoteAddr() net.Addr { return s.conn.q.RemoteAddr() }
