package nodetest

import (
	"net"
	"sync/atomic"

	"github.com/nearside/nearside/replication/link"
)

// severable is a socket that can be cut off: then what is sent is lost, and nothing arrives.
type severable struct {
	net.PacketConn
	cut atomic.Bool
}

func bind(addr string) (*severable, error) {
	pc, err := link.Bind(addr)
	if err != nil {
		return nil, err
	}
	return &severable{PacketConn: pc}, nil
}

func (s *severable) sever() { s.cut.Store(true) }

// WriteTo implements net.PacketConn.
func (s *severable) WriteTo(b []byte, to net.Addr) (int, error) {
	if s.cut.Load() {
		return len(b), nil
	}
	return s.PacketConn.WriteTo(b, to)
}

// ReadFrom implements net.PacketConn.
func (s *severable) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		n, from, err := s.PacketConn.ReadFrom(b)
		if err != nil || !s.cut.Load() {
			return n, from, err
		}
	}
}

// SetReadBuffer lets QUIC size the socket's buffer.
func (s *severable) SetReadBuffer(n int) error {
	return s.PacketConn.(interface{ SetReadBuffer(int) error }).SetReadBuffer(n)
}

// SetWriteBuffer lets QUIC size the socket's buffer.
func (s *severable) SetWriteBuffer(n int) error {
	return s.PacketConn.(interface{ SetWriteBuffer(int) error }).SetWriteBuffer(n)
}
