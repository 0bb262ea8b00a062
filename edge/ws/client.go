package ws

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"time"

	"github.com/gorilla/websocket"
	"github.com/vmihailenco/msgpack/v5"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/edge/catalogue"
	"github.com/nearside/nearside/edge/fanout"
	"github.com/nearside/nearside/edge/rate"
)

// client is one connection. It belongs to its reading goroutine.
type client struct {
	handler *Handler
	wire    *wire
	who     visitor
	token   string // of the upgrade request; "": a challenge must follow
	resume  string // connection_id and sequence_number of the query
	next    string
	accept  string // Accept-Language of the upgrade request

	session Session
	socket  *fanout.Socket // nil until authenticated
	left    bool           // the client announced that it will not come back
}

// errEnd ends the connection.
var errEnd = errors.New("connection ends")

// run reads requests until the connection ends.
func (c *client) run(ctx context.Context) {
	defer c.end()
	conn := c.wire.conn
	conn.SetReadLimit(RequestBytes)
	_ = conn.SetReadDeadline(time.Now().Add(c.handler.cfg.AuthWithin)) // it fails on a closed connection, and then so does the read
	conn.SetPongHandler(c.pong)
	conn.SetPingHandler(c.wire.pong)
	conn.SetCloseHandler(c.wire.closed)
	if c.token != "" && c.upgradeToken(ctx) != nil {
		return
	}
	for {
		kind, text, err := conn.ReadMessage()
		if err != nil {
			c.left = websocket.IsCloseError(err, websocket.CloseGoingAway)
			return
		}
		if c.message(ctx, kind, text) != nil {
			return
		}
	}
}

// end closes the connection. Another connection may resume its socket.
func (c *client) end() {
	c.wire.Abort()
	c.handler.forget(c)
	if c.socket != nil {
		c.socket.Leave(!c.left)
	}
}

// pong renews the read deadline of an authenticated connection. It does not count as activity: a
// user who only answers pings may be away.
func (c *client) pong(string) error {
	if c.socket == nil {
		return nil
	}
	c.handler.cfg.Hub.Active(c.session.UserID, false, false)
	return c.wire.conn.SetReadDeadline(time.Now().Add(c.handler.cfg.ReadWithin))
}

// upgradeToken authenticates by the upgrade request. An invalid token counts as none: a challenge
// may follow. A malformed resume ends the connection.
func (c *client) upgradeToken(ctx context.Context) error {
	s, err := c.authenticate(ctx, c.token)
	if err != nil {
		if core.KindOf(err) == core.KindUnauthorized {
			return nil
		}
		return err
	}
	var r fanout.Resume
	if c.resume != "" {
		r.ConnectionID = c.resume
		r.Next, err = strconv.ParseInt(c.next, 10, 64)
		if _, ok := core.ParseID[fanout.Socket](c.resume); !ok || err != nil {
			return errEnd
		}
	}
	return c.register(ctx, s, r, true)
}

func (c *client) authenticate(ctx context.Context, token string) (Session, error) {
	ctx, cancel := context.WithTimeout(ctx, c.handler.cfg.AuthWithin)
	defer cancel()
	return c.handler.cfg.Authenticate(ctx, token)
}

func (c *client) register(ctx context.Context, s Session, r fanout.Resume, resumable bool) error {
	ctx, cancel := context.WithTimeout(ctx, c.handler.cfg.AuthWithin)
	defer cancel()
	// Before registering: after that the hub may close the socket at any time.
	if err := c.wire.conn.SetReadDeadline(time.Now().Add(c.handler.cfg.ReadWithin)); err != nil {
		return err
	}
	owner := fanout.Client{User: s.UserID, Session: s.ID, ExpiresAt: s.ExpiresAt, Resumable: resumable}
	socket, err := c.handler.cfg.Hub.Register(ctx, owner, c.wire, r)
	if err != nil {
		c.handler.log.Debug("socket not registered", "user", s.UserID, "err", err)
		return err
	}
	c.session, c.socket = s, socket
	c.handler.registered(c)
	return nil
}

// request is a client's request.
type request struct {
	Seq    int64          `json:"seq" msgpack:"seq"`
	Action string         `json:"action" msgpack:"action"`
	Data   map[string]any `json:"data" msgpack:"data"`
}

func decode(kind int, text []byte) (*request, error) {
	var r request
	if kind == websocket.BinaryMessage {
		if err := checkBinary(text); err != nil {
			return nil, err
		}
		return &r, msgpack.Unmarshal(text, &r)
	}
	return &r, json.Unmarshal(text, &r)
}

// message serves one request. A request that cannot be decoded ends the connection.
func (c *client) message(ctx context.Context, kind int, text []byte) error {
	r, err := decode(kind, text)
	if err != nil {
		return errEnd
	}
	if r.Action == "authentication_challenge" && r.Seq > 0 {
		return c.challenge(ctx, r)
	}
	if c.socket == nil {
		return nil // an unauthenticated client gets no answer
	}
	if refused := c.pay(ctx); refused != nil {
		c.reply(r.Seq, nil, refused)
		return nil
	}
	if data, err, answer := c.serve(ctx, r); answer {
		c.reply(r.Seq, data, err)
	}
	return nil
}

// pay takes the token that a request costs, or refuses. A client that goes on all the same is held: nothing
// more is read from it for a moment.
func (c *client) pay(ctx context.Context) error {
	l := c.handler.cfg.Limiter
	if l == nil {
		return nil
	}
	v, _ := l.Take(rate.Read, rate.Caller{Account: c.session.UserID, Address: c.who.Address})
	if v.Allowed {
		return nil
	}
	l.Hold(ctx, v)
	return tooFast.With("reason", "rate", "seconds", int(math.Ceil(v.Wait.Seconds())))
}

func (c *client) challenge(ctx context.Context, r *request) error {
	if c.socket != nil {
		return nil // already authenticated: no answer
	}
	token, ok := r.Data["token"].(string)
	if !ok {
		return errEnd
	}
	s, err := c.authenticate(ctx, token)
	if err != nil {
		return err
	}
	if err := c.register(ctx, s, fanout.Resume{}, false); err != nil {
		return err
	}
	c.reply(r.Seq, nil, nil)
	return nil
}

type reply struct {
	Status string    `json:"status"`
	Data   any       `json:"data,omitempty"`
	Seq    int64     `json:"seq_reply,omitempty"`
	Error  *apiError `json:"error,omitempty"`
}

func (c *client) reply(seq int64, data any, refused error) {
	out := reply{Status: "OK", Data: data, Seq: seq}
	if refused != nil {
		out.Status, out.Error = "FAIL", problemOf(refused, catalogue.For(c.session.Locale, c.accept))
	}
	text, err := json.Marshal(out)
	if err != nil { // the data are maps of strings, so this does not happen
		c.handler.log.Error("reply cannot be encoded", "err", err)
		return
	}
	c.socket.Reply(text)
}
