package api

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/command"
	"github.com/nearside/nearside/edge"
	"github.com/nearside/nearside/edge/observe"
	"github.com/nearside/nearside/edge/rate"
)

// RequestLimit is how long a request may take, unless its body is a file.
const RequestLimit = 30 * time.Second

// Limits of requests. See also MaxBodyBytes, waitLimit, proposeLimit.
const (
	maxURIBytes   = 2048
	headerTimeout = 10 * time.Second
	readTimeout   = 60 * time.Second
	writeTimeout  = readTimeout + RequestLimit + 60*time.Second // from the end of the header to the last byte of the answer
	idleTimeout   = 120 * time.Second
	maxHeader     = 32 << 10
)

// Version is the API version that clients see: that of the server whose protocol this is.
const Version = "11.6.0"

// Config configures an API. Every field but WebSocket and Logger is required.
type Config struct {
	Proposer     edge.Proposer
	Local        *Local
	Authenticate func(ctx context.Context, token string) (core.Session, core.User, error) // returns the session of a token
	Scope        func(ctx context.Context, cmd command.Command) (core.Scope, error)       // returns the scope of a command
	VersionID    string                                                                   // X-Version-Id
	Routes       []Route
	Limiter      *rate.Limiter
	Assets       http.Handler          // serves every path that is not the API's
	WebSocket    http.Handler          // serves /api/v4/websocket; default: 501
	Metrics      prometheus.Registerer // default: not registered
	Logger       *slog.Logger          // default: discard
}

// API serves the operations of its routes; the rest of the API answers 501.
type API struct {
	cfg     Config
	local   *Local
	log     *slog.Logger
	routes  *router
	memory  *memory
	queues  queues
	refused *refusals

	versionID []string // as a header's values
}

// New makes an API.
func New(cfg Config) (*API, error) {
	if cfg.Proposer == nil || cfg.Local == nil || cfg.Authenticate == nil || cfg.Scope == nil || cfg.Limiter == nil || cfg.Assets == nil {
		return nil, errors.New("api.Config needs Proposer, Local, Authenticate, Scope, Limiter and Assets")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.WebSocket != nil {
		cfg.Routes = append(slices.Clone(cfg.Routes), upgrading(cfg.WebSocket))
	}
	routes, err := newRouter(cfg.Routes)
	if err != nil {
		return nil, err
	}
	a := &API{cfg: cfg, local: cfg.Local, log: cfg.Logger, routes: routes, memory: newMemory(cfg.Metrics), queues: newQueues(), versionID: []string{cfg.VersionID}}
	a.refused = newRefusals(&a.cfg)
	return a, nil
}

// Run reports refusals of permission to the audit trail until ctx ends.
func (a *API) Run(ctx context.Context) error { return a.refused.run(ctx) }

// ReportRefusals reports them now.
func (a *API) ReportRefusals(ctx context.Context) { a.refused.report(ctx) }

// Server returns an http.Server for the API, without an address.
func (a *API) Server() *http.Server { return NewServer(a, a.log) }

// NewServer returns an http.Server with the API's timeouts, without an address.
func NewServer(h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: headerTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
		ConnContext: withConn, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}

// ServeHTTP implements http.Handler.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := r.URL.Path
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	hit, params := a.routes.find(method, path)
	if hit == nil {
		if !strings.HasPrefix(path, "/api/") && path != "/api" && method == http.MethodGet {
			a.cfg.Assets.ServeHTTP(w, r)
			return
		}
		hit = &target{Route: &unknownRoute}
	}
	observe.Operation(w, hit.Method, hit.Path)
	a.serve(w, r, hit, params)
}

// unknownRoute refuses requests for unknown paths.
var unknownRoute = refusing("", "", noPage.With("reason", "page"))

// upgrading is the route of WebSockets. It answers by itself, because the connection becomes its own.
func upgrading(h http.Handler) Route {
	return Route{Method: http.MethodGet, Path: base + "/websocket", Policy: "the socket authenticates", Open: true, class: rate.Socket, handle: func(*Call, int) (Answer, error) {
		return upgrade{h}, nil
	}}
}

type upgrade struct{ http.Handler }

// Send implements Answer. The handler learns who the caller is.
func (u upgrade) Send(c *Call) error {
	u.ServeHTTP(c.Writer, c.Request.WithContext(rate.With(c.Request.Context(), c.caller())))
	return nil
}

// refusing is a route that refuses every request.
func refusing(method, path string, why error) Route {
	return Route{Method: method, Path: path, Policy: "nobody", Open: true, handle: func(*Call, int) (Answer, error) { return nil, why }}
}
