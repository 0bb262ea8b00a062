package api

import (
	"context"
	"net"
)

// headBuffer is what net/http collects of an answer before it writes to the connection.
const headBuffer = 4 << 10

// conn sends the head of an answer together with its body. net/http writes the head with the beginning of a
// larger body first, and then the rest: two system calls, and the client is woken twice, which was an eighth
// of the CPU time of a page. Like the connection's writing side, it belongs to the goroutine of the request.
type conn struct {
	*net.TCPConn
	hold bool   // the next write is the head, and more follows
	head []byte // held back
}

// Write implements net.Conn.
func (c *conn) Write(p []byte) (int, error) {
	switch {
	case c.hold && len(p) <= headBuffer:
		c.hold, c.head = false, append(c.head, p...)
		return len(p), nil
	case len(c.head) == 0:
		return c.TCPConn.Write(p)
	}
	both := net.Buffers{c.head, p}
	held := int64(len(c.head))
	c.head = c.head[:0]
	n, err := both.WriteTo(c.TCPConn)
	return int(max(0, n-held)), err
}

// writeWhole writes a body that is in memory. The head of the answer must be the next thing to be sent.
func (c *Call) writeWhole(status int, body []byte) {
	to, ok := c.Request.Context().Value(connKey{}).(*conn)
	if ok = ok && len(body) > headBuffer; ok {
		to.hold = true
	}
	c.Writer.WriteHeader(status)
	_, _ = c.Writer.Write(body) // an error means that the client has gone
	if ok {
		to.hold = false
		if len(to.head) > 0 {
			_, _ = to.Write(nil) // as above
		}
	}
}

type connKey struct{}

// withConn lets requests find their connection.
func withConn(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

// Listener gives the connections of l to the server of an API.
type Listener struct{ net.Listener }

// Accept implements net.Listener.
func (l Listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if tcp, ok := c.(*net.TCPConn); ok {
		return &conn{TCPConn: tcp}, err
	}
	return c, err
}
