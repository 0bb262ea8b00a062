package ws

import (
	"time"

	"github.com/gorilla/websocket"

	"github.com/nearside/nearside/edge/fanout"
)

// wire is a connection as the hub sees it.
type wire struct{ conn *websocket.Conn }

// closeCodes tell the client what to do; after all but "the session is over" it should reconnect.
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

// Close sends the reason and closes the connection.
func (w *wire) Close(why fanout.End) {
	if c, ok := closeCodes[why]; ok {
		// If the client has gone, the close frame is lost; the connection is closed all the same.
		_ = w.conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(c.code, c.reason), time.Now().Add(CloseWithin))
	}
	w.Abort()
}

// Abort closes the network connection, also during a read or write.
func (w *wire) Abort() { _ = w.conn.NetConn().Close() }
