package ws

import (
	"time"

	"github.com/gorilla/websocket"

	"github.com/nearside/nearside/edge/fanout"
)

// wire is a connection as the hub sees it.
type wire struct{ conn *websocket.Conn }

// closeCodes say to the client what to do; all but "the session is over" mean: come back.
var closeCodes = map[fanout.End]struct {
	code   int
	reason string
}{
	fanout.EndSlow:     {websocket.ClosePolicyViolation, "too slow, read the state anew"},
	fanout.EndSession:  {websocket.ClosePolicyViolation, "the session is over"},
	fanout.EndReset:    {websocket.CloseServiceRestart, "read the state anew"},
	fanout.EndShutdown: {websocket.CloseGoingAway, "the server stops"},
}

// Write sends one text frame.
func (w *wire) Write(text []byte) error {
	if err := w.conn.SetWriteDeadline(time.Now().Add(WriteWithin)); err != nil {
		return err
	}
	return w.conn.WriteMessage(websocket.TextMessage, text)
}

// Ping sends a ping frame.
func (w *wire) Ping() error {
	return w.conn.WriteControl(websocket.PingMessage, nil, time.Now().Add(WriteWithin))
}

// Close says why and closes the connection.
func (w *wire) Close(why fanout.End) {
	if c, ok := closeCodes[why]; ok {
		// A client that is gone gets no reason; the connection is closed all the same.
		_ = w.conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(c.code, c.reason), time.Now().Add(CloseWithin))
	}
	w.Abort()
}

// Abort closes the connection under whoever reads or writes.
func (w *wire) Abort() { _ = w.conn.NetConn().Close() }
