package ws

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"sync"
	"time"

	"github.com/gorilla/websocket"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/edge/address"
	"github.com/nearside/nearside/edge/fanout"
	"github.com/nearside/nearside/edge/presence"
	"github.com/nearside/nearside/edge/rate"
)

// The times and limits of the protocol.
const (
	AuthWithin   = 5 * time.Second   // for a connection to present a token
	ReadWithin   = 100 * time.Second // between two pongs; pings are sent every 60 s
	WriteWithin  = 30 * time.Second
	CloseWithin  = time.Second // for sending a close frame
	RequestBytes = 8 << 10     // larger messages end the connection
	ioBytes      = 1 << 10     // of a connection's read buffer; write buffers are shared
)

// Session is what Authenticate returns for a token.
type Session struct {
	ID        core.SessionID
	UserID    core.UserID
	Locale    string // of the user's profile
	ExpiresAt int64  // Unix milliseconds; 0 = never
}

// Config configures a Handler.
type Config struct {
	Hub *fanout.Hub // required
	// Authenticate returns a token's session, or an Error. Required.
	Authenticate func(ctx context.Context, token string) (Session, error)
	// TokenFromRequest returns the token in the header or cookie of an upgrade, or "".
	TokenFromRequest func(*http.Request) string
	Addresses        address.List  // whose pages may connect; default: pages of the host that the request is for
	Presence         *presence.Map // answers get_statuses; nil: everybody is offline
	Product          string        // version in the answer to ping; default "11.6.0"
	Limiter          *rate.Limiter // how fast clients may ask; default: as fast as they can
	Limits           Limits
	AuthWithin       time.Duration         // default AuthWithin
	ReadWithin       time.Duration         // default ReadWithin
	Metrics          prometheus.Registerer // default: not registered
	Logger           *slog.Logger          // default: discard
}

// Limits bound connections, so that nobody can take all of them; more are refused with 503. Zero means the
// default.
type Limits struct {
	Pending    int // 1,024 that have not authenticated, of strangers; and as many whose request has a session
	PendingOne int // 64 of them of one address or account
	PerAddress int // 8,192 of all
}

func (l *Limits) defaults() {
	l.Pending = cmp.Or(l.Pending, 1024)
	l.PendingOne = cmp.Or(l.PendingOne, 64)
	l.PerAddress = cmp.Or(l.PerAddress, 8192)
}

// Handler serves /api/v4/websocket.
type Handler struct {
	// Immutable after New.
	cfg Config
	up  websocket.Upgrader
	log *slog.Logger

	readers sync.WaitGroup // grows only under mu while ctx is live

	mu    sync.Mutex // guards everything below
	ctx   context.Context
	conns map[*wire]*fanout.Socket // nil: not yet authenticated
	count census
}

// New validates cfg and makes a Handler.
func New(cfg Config) (*Handler, error) {
	if cfg.Hub == nil || cfg.Authenticate == nil {
		return nil, errors.New("ws: Hub and Authenticate are required")
	}
	h := &Handler{cfg: cfg, log: cfg.Logger, conns: map[*wire]*fanout.Socket{}}
	if h.log == nil {
		h.log = slog.New(slog.DiscardHandler)
	}
	if h.cfg.TokenFromRequest == nil {
		h.cfg.TokenFromRequest = func(*http.Request) string { return "" }
	}
	if h.cfg.Product == "" {
		h.cfg.Product = "11.6.0"
	}
	h.cfg.Limits.defaults()
	h.count = newCensus(h.cfg.Limits, cfg.Metrics)
	if h.cfg.AuthWithin == 0 {
		h.cfg.AuthWithin = AuthWithin
	}
	if h.cfg.ReadWithin == 0 {
		h.cfg.ReadWithin = ReadWithin
	}
	h.up = websocket.Upgrader{
		HandshakeTimeout: CloseWithin, ReadBufferSize: ioBytes, WriteBufferSize: ioBytes,
		WriteBufferPool: &sync.Pool{}, CheckOrigin: cfg.Addresses.Own,
		Error: func(w http.ResponseWriter, r *http.Request, _ int, reason error) {
			h.dismiss(visitorOf(r)) // before the client knows
			refuse(w, r, badUpgrade.With("error", reason))
		},
	}
	return h, nil
}

// Run accepts connections until ctx ends, and returns when the last one has ended.
func (h *Handler) Run(ctx context.Context) error {
	h.mu.Lock()
	h.ctx = ctx
	h.mu.Unlock()
	<-ctx.Done()
	h.mu.Lock() // an upgrade or a registration in progress sees the end of ctx under this lock
	all := maps.Clone(h.conns)
	h.mu.Unlock()
	for w, socket := range all {
		if socket != nil {
			socket.Close(fanout.EndShutdown)
		} else {
			w.Close(fanout.EndShutdown, mayWait)
		}
	}
	cut := time.AfterFunc(2*CloseWithin, func() {
		for w := range all {
			w.Abort()
		}
	})
	defer cut.Stop()
	h.readers.Wait()
	return nil
}

// ServeHTTP upgrades a request. It returns at once; the connection continues.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	who := visitorOf(r)
	ctx := h.admit(who)
	if ctx == nil {
		w.Header().Set("Retry-After", "1")
		refuse(w, r, busy)
		return
	}
	token := h.cfg.TokenFromRequest(r)
	conn, err := h.up.Upgrade(w, r, nil)
	if err != nil {
		if !errors.As(err, new(websocket.HandshakeError)) { // else Error has dismissed it
			h.dismiss(who)
		}
		return // Upgrader has answered
	}
	q := r.URL.Query()
	c := &client{
		handler: h, wire: newWire(conn), who: who, token: token,
		resume: q.Get("connection_id"), next: q.Get("sequence_number"), accept: r.Header.Get("Accept-Language"),
	}
	if !h.start(ctx, c) {
		h.dismiss(who)
		c.wire.Close(fanout.EndShutdown, mayWait)
	}
}

// admit returns the context of a new connection, or nil if there are too many. The connection counts from here
// on: if it counted only after its upgrade, any number could be upgraded at once.
func (h *Handler) admit(who visitor) context.Context {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.ctx == nil || h.ctx.Err() != nil || !h.count.enter(who) {
		return nil
	}
	return h.ctx
}

// dismiss takes back what admit has counted.
func (h *Handler) dismiss(who visitor) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.count.settle(who)
	h.count.leave(who)
}

// start runs the connection's reader.
func (h *Handler) start(ctx context.Context, c *client) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if ctx.Err() != nil {
		return false
	}
	h.conns[c.wire] = nil
	h.readers.Go(func() { c.run(ctx) })
	return true
}

// registered records that a connection has its socket. If the handler has stopped in the
// meantime, it closes the socket.
func (h *Handler) registered(c *client) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.conns[c.wire] = c.socket
	h.count.settle(c.who)
	if h.ctx.Err() != nil {
		c.socket.Close(fanout.EndShutdown)
	}
}

func (h *Handler) forget(c *client) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.conns[c.wire] == nil {
		h.count.settle(c.who)
	}
	h.count.leave(c.who)
	delete(h.conns, c.wire)
}
