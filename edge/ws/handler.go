package ws

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/edge/address"
	"github.com/nearside/nearside/edge/fanout"
	"github.com/nearside/nearside/edge/presence"
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
	Pending          int           // maximum of unauthenticated connections; default 1024, more are refused with 503
	AuthWithin       time.Duration // default AuthWithin
	ReadWithin       time.Duration // default ReadWithin
	Logger           *slog.Logger  // default: discard
}

// Handler serves /api/v4/websocket.
type Handler struct {
	// Immutable after New.
	cfg Config
	up  websocket.Upgrader
	log *slog.Logger

	readers sync.WaitGroup // grows only under mu while ctx is live

	mu      sync.Mutex // guards everything below
	ctx     context.Context
	conns   map[*wire]*fanout.Socket // nil: not yet authenticated
	pending int                      // number of unauthenticated ones
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
	if h.cfg.Pending == 0 {
		h.cfg.Pending = 1024
	}
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
			h.dismiss() // before the client knows
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
	ctx := h.admit()
	if ctx == nil {
		w.Header().Set("Retry-After", "1")
		refuse(w, r, busy)
		return
	}
	token := h.cfg.TokenFromRequest(r)
	conn, err := h.up.Upgrade(w, r, nil)
	if err != nil {
		if !errors.As(err, new(websocket.HandshakeError)) { // else Error has dismissed it
			h.dismiss()
		}
		return // Upgrader has answered
	}
	q := r.URL.Query()
	c := &client{
		handler: h, wire: newWire(conn), token: token,
		resume: q.Get("connection_id"), next: q.Get("sequence_number"), accept: r.Header.Get("Accept-Language"),
	}
	if !h.start(ctx, c) {
		h.dismiss()
		c.wire.Close(fanout.EndShutdown, mayWait)
	}
}

// admit returns the context of a new connection, or nil if there are too many. The connection counts from here
// on: if it counted only after its upgrade, any number could be upgraded at once.
func (h *Handler) admit() context.Context {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.ctx == nil || h.ctx.Err() != nil || h.pending >= h.cfg.Pending {
		return nil
	}
	h.pending++
	return h.ctx
}

// dismiss takes back what admit has counted.
func (h *Handler) dismiss() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.pending--
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
func (h *Handler) registered(w *wire, socket *fanout.Socket) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.conns[w] = socket
	h.pending--
	if h.ctx.Err() != nil {
		socket.Close(fanout.EndShutdown)
	}
}

func (h *Handler) forget(w *wire) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.conns[w] == nil {
		h.pending--
	}
	delete(h.conns, w)
}
