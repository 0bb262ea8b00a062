package ws

import (
	"encoding/binary"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/gorilla/websocket"

	"github.com/nearside/nearside/edge/fanout"
)

// wire is a connection as the hub sees it. It writes frames itself: gorilla gives no way to learn
// that a write would wait for the client.
type wire struct {
	conn *websocket.Conn
	raw  syscall.RawConn // nil: every write may wait

	mu    sync.Mutex // held for a whole frame: the hub's writer and the reader both write
	ended bool       // a close frame was sent, or a part of a frame: nothing may follow
}

func newWire(conn *websocket.Conn) *wire {
	w := &wire{conn: conn}
	if c, ok := conn.NetConn().(syscall.Conn); ok {
		w.raw, _ = c.SyscallConn() // without it, writes only take longer
	}
	return w
}

// closeCodes tell the client what to do; after all but "the session is over" it should reconnect.
var closeCodes = map[fanout.End]struct {
	code   int
	reason string
}{
	fanout.EndSlow:     {websocket.ClosePolicyViolation, "too slow, read the state anew"},
	fanout.EndSession:  {websocket.ClosePolicyViolation, "the session is over"},
	fanout.EndReset:    {websocket.CloseServiceRestart, "read the state anew"},
	fanout.EndShutdown: {websocket.CloseGoingAway, "the server stops"},

	fanout.EndOutOfTouch: {websocket.CloseTryAgainLater, "cut off from home for too long"},
}

// Write sends one text frame.
func (w *wire) Write(text []byte, waits func()) error {
	return w.send(websocket.TextMessage, text, WriteWithin, waits)
}

// Ping sends a ping frame.
func (w *wire) Ping(waits func()) error {
	return w.send(websocket.PingMessage, nil, WriteWithin, waits)
}

// pong answers a client's ping. Like closed, it runs in the connection's reader, which may wait.
func (w *wire) pong(data string) error {
	return w.send(websocket.PongMessage, []byte(data), WriteWithin, mayWait)
}

// closed answers a client's close frame, after which the reader ends.
func (w *wire) closed(code int, _ string) error {
	return w.send(websocket.CloseMessage, websocket.FormatCloseMessage(code, ""), CloseWithin, mayWait)
}

// mayWait is the waits of a goroutine that serves only this connection.
func mayWait() {}

// Close sends the reason and closes the connection.
func (w *wire) Close(why fanout.End, waits func()) {
	if c, ok := closeCodes[why]; ok {
		// If the client has gone, the close frame is lost; the connection is closed all the same.
		_ = w.send(websocket.CloseMessage, websocket.FormatCloseMessage(c.code, c.reason), CloseWithin, waits)
	}
	w.Abort()
}

// Abort closes the network connection, also during a read or write.
func (w *wire) Abort() { _ = w.conn.NetConn().Close() }

// frames has buffers for frames of ordinary size.
var frames = sync.Pool{New: func() any { return new([]byte) }}

// send sends one frame. It calls waits before it waits for the client, or for another frame to it.
func (w *wire) send(kind int, payload []byte, within time.Duration, waits func()) error {
	buf := frames.Get().(*[]byte)
	b := append(appendHead((*buf)[:0], kind, len(payload)), payload...)
	if *buf = b; cap(b) <= 64<<10 { // a huge event must not stay in the pool
		defer frames.Put(buf)
	}
	if !w.mu.TryLock() {
		waits()
		w.mu.Lock()
	}
	defer w.mu.Unlock()
	if w.ended {
		return net.ErrClosed
	}
	w.ended = kind == websocket.CloseMessage
	b = b[w.try(b):]
	if len(b) == 0 {
		return nil
	}
	waits()
	nc := w.conn.NetConn()
	if err := nc.SetWriteDeadline(time.Now().Add(within)); err != nil {
		return err
	}
	_, err := nc.Write(b)
	w.ended = w.ended || err != nil
	return err
}

// try writes what the kernel takes at once, and returns how much that is. An error will show again
// in the write that may wait.
func (w *wire) try(b []byte) (n int) {
	if w.raw != nil {
		_ = w.raw.Control(func(fd uintptr) { n, _ = syscall.Write(int(fd), b) })
	}
	return max(n, 0)
}

// appendHead appends the head of a whole, unmasked frame (RFC 6455, section 5.2).
func appendHead(b []byte, kind, n int) []byte {
	b = append(b, 0x80|byte(kind))
	switch {
	case n < 126:
		return append(b, byte(n))
	case n < 1<<16:
		return binary.BigEndian.AppendUint16(append(b, 126), uint16(n))
	}
	return binary.BigEndian.AppendUint64(append(b, 127), uint64(n))
}
