package link

import (
	"context"
	"crypto/tls"
	"net/netip"
	"strings"

	"github.com/quic-go/quic-go"

	"github.com/nearside/nearside/core"
)

// processProto begins a protocol that every dialing node offers and none speaks: the rest names its process at random. So
// the node that is dialed can tell a second process under the same name before it has served anything.
const processProto = "nearside-process/"

// said is what a client has said in its hello; it is in the context of the connection.
type said struct{ process string }

type saidKey struct{}

func withSaid(ctx context.Context, _ *quic.ClientInfo) (context.Context, error) {
	return context.WithValue(ctx, saidKey{}, &said{}), nil
}

// hear notes the process that a client names.
func hear(hello *tls.ClientHelloInfo) {
	s, ok := hello.Context().Value(saidKey{}).(*said)
	if !ok {
		return
	}
	for _, p := range hello.SupportedProtos {
		if strings.HasPrefix(p, processProto) {
			s.process = p
		}
	}
}

func processOf(q *quic.Conn) string {
	if s, ok := q.Context().Value(saidKey{}).(*said); ok {
		return s.process
	}
	return ""
}

// onlyOne refuses a connection of a second process under the name of a node that is connected: a copied data directory, or a
// stolen key that is used beside its owner. A process at the same address takes the place of the one before, because that
// must have ended; at another address it waits until the connections of the one before have timed out.
func (e *Endpoint) onlyOne(conn *Conn) error {
	former, at := e.others(conn)
	for _, other := range former {
		other.Close(CodeGone, "another process has taken its place")
	}
	if at == "" {
		return nil
	}
	err := core.E(core.KindConflict, "another process runs as %s at %s: two must not share a name and a key; stop one, or issue a certificate of its own for it",
		conn.peer.Node, at)
	if e.admitted != nil {
		e.admitted.Note(conn.peer.Node, err)
	}
	return err
}

// others gives the connections of other processes that one takes the place of. If it may not, at is where another one is.
func (e *Endpoint) others(conn *Conn) (former []*Conn, at string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for other := range e.conns {
		if !other.served || other.peer.Node != conn.peer.Node || other.process == conn.process || other.Context().Err() != nil {
			continue
		}
		if !sameAddr(other, conn) {
			return nil, other.RemoteAddr()
		}
		former = append(former, other)
	}
	conn.served = true
	return former, ""
}

func sameAddr(a, b *Conn) bool {
	x, errX := netip.ParseAddrPort(a.RemoteAddr())
	y, errY := netip.ParseAddrPort(b.RemoteAddr())
	return errX == nil && errY == nil && x.Port() == y.Port() && x.Addr().Unmap() == y.Addr().Unmap()
}
