package node

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/nearside/nearside/cmd/admin"
	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/authz"
	"github.com/nearside/nearside/core/pg"
	"github.com/nearside/nearside/core/read"
	"github.com/nearside/nearside/edge/api"
	"github.com/nearside/nearside/edge/api/accounts"
	"github.com/nearside/nearside/edge/api/areas"
	"github.com/nearside/nearside/edge/assets"
	"github.com/nearside/nearside/edge/catalogue"
	"github.com/nearside/nearside/edge/fanout"
	"github.com/nearside/nearside/edge/observe"
	"github.com/nearside/nearside/edge/presence"
	"github.com/nearside/nearside/edge/rate"
	"github.com/nearside/nearside/edge/session"
	"github.com/nearside/nearside/edge/strength"
	"github.com/nearside/nearside/edge/ws"
)

// startEdge serves clients.
func (n *Node) startEdge(ctx context.Context, s *stages, out *outside) error {
	store, err := n.openReader(ctx, s, n.cfg.Postgres.MaxConns)
	if err != nil {
		return err
	}
	if n.heard, err = newHeard(n.cfg.Data, n.cfg.Client.SessionGrace, time.Now()); err != nil {
		return err
	}
	who, err := presence.New(presence.Config{Send: out.signals.Send})
	if err != nil {
		return err
	}
	observer := observe.New(n.metrics.registry, n.tracer)
	// The sockets ask the API for permissions, and the API gives upgrades and typing to the sockets.
	// Nothing is called before both exist.
	var a *areas.API
	cfg := areas.Config{
		Proposer: observer.Proposer(out.proposer), View: out.view, Read: store, Asker: out.asker, Guard: out.guard, InTouch: n.heard.inTouch, Hasher: n.hasher, Presence: statuses(who),
		OpenServer: n.openServer(), Passwords: strength.Rules{MinBytes: n.cfg.Password.MinLength}, SiteURL: n.addresses.Main(), Build: n.cfg.Version, Metrics: n.metrics.registry, Logger: n.log,
	}
	rates, err := n.cfg.Rate.rates()
	if err != nil {
		return err
	}
	rates.Metrics, rates.Logger = n.metrics.registry, n.log
	if cfg.Limiter, err = rate.New(rates); err != nil {
		return err
	}
	if cfg.Files, err = n.apiFiles(out.blobs); err != nil {
		return err
	}
	if cfg.Assets, err = n.assets(s); err != nil {
		return err
	}
	host, _ := os.Hostname() // for the support page of clients; it may be empty
	hub, err := fanout.New(fanout.Config{
		View: out.view, InTouch: n.heard.inTouch, Memberships: memberships(store), Signals: out.signals, Presence: who, Hostname: host, Metrics: n.metrics.registry, Tracer: n.tracer, Logger: n.log,
		Version: cfg.VersionID(),
		MayPost: func(ctx context.Context, u core.UserID, ch core.ChannelID) error { return a.MayPost(ctx, u, ch) },
	})
	if err != nil {
		return err
	}
	sockets, err := ws.New(ws.Config{
		Hub: hub, Presence: who, Limiter: cfg.Limiter, Metrics: n.metrics.registry, Product: api.Version, Logger: n.log, TokenFromRequest: tokenFrom, Addresses: n.addresses,
		Authenticate: func(ctx context.Context, token string) (ws.Session, error) {
			got, u, err := a.Authenticate(ctx, token)
			return ws.Session{ID: got.ID, UserID: got.UserID, Locale: u.Locale, ExpiresAt: got.ExpiresAt}, err
		},
	})
	if err != nil {
		return err
	}
	cfg.WebSocket = sockets
	cfg.Typing = func(u core.UserID, ch core.ChannelID, parent core.PostID) {
		_ = hub.Typing(context.WithoutCancel(ctx), u, ch, parent) // the API has checked the permission, and typing may be lost
	}
	if a, err = areas.New(cfg); err != nil {
		return err
	}
	secure, err := n.secure(s)
	if err != nil {
		return err
	}
	l, err := Listen("client.listen", n.cfg.Client.Listen)
	if err != nil {
		return err
	}
	s.onStop("client listener", func() { l.Close() })
	s.start("events", stopInner, hub.Run)
	s.start("caches", stopInner, a.Run)
	s.start("sessions", stopInner, func(ctx context.Context) error { return n.hear(ctx, n.lag) })
	s.start("sockets", stopInner, sockets.Run)
	s.start("clients", stopEdge, func(ctx context.Context) error {
		srv := a.Server()
		srv.Handler = observer.Handler(n.addresses.Handler(!n.cfg.Client.NoHSTS, n.gate(a)))
		if secure == nil {
			return serveHTTP(ctx, api.Listener{Listener: l}, srv, drainLimit)
		}
		return serveHTTP(ctx, tls.NewListener(l, secure), srv, drainLimit)
	})
	n.update(func(p *parts) { p.fanout, p.url = hub, n.clientURL(l) })
	return nil
}

// assets opens the web client's build; nil when none is configured.
func (n *Node) assets(s *stages) (http.Handler, error) {
	if n.cfg.Client.Assets == "" {
		return nil, nil
	}
	h, err := assets.New(assets.Config{Dir: n.cfg.Client.Assets, Cache: filepath.Join(n.cfg.Data, "assets"), Logger: n.log})
	if err != nil {
		return nil, fmt.Errorf("client.assets: %w", err)
	}
	s.onStop("web client files", h.Close)
	s.start("web client", stopInner, h.Run)
	return h, nil
}

// tokenFrom gives the token of an upgrade. A token in the URL is ignored, as everywhere.
func tokenFrom(r *http.Request) string {
	token, from := session.TokenFrom(r)
	if from == session.FromQuery {
		return ""
	}
	return token
}

// openReader opens a pool for reads, with a role that can only select.
func (n *Node) openReader(ctx context.Context, s *stages, conns int) (*read.Store, error) {
	cfg := n.parts.Load().database
	cfg.Role, cfg.MaxConns = pg.ReaderRole, conns
	db, err := pg.Open(ctx, cfg)
	if err != nil {
		return nil, err
	}
	s.onStop("readers", db.Close)
	return read.New(db, catalogue.Message), nil
}

func (n *Node) clientURL(l net.Listener) string {
	if url := n.addresses.Main(); url != "" {
		return url
	}
	return n.cfg.Client.scheme() + l.Addr().String()
}

// gate refuses clients while the replica has diverged: its state belongs to no history.
func (n *Node) gate(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n.parts.Load().rebuilding() {
			w.Header().Set("Retry-After", "2")
			admin.Answer(w, http.StatusServiceUnavailable, map[string]any{
				"id": "api.nearside.rebuilding.app_error", "message": "This edge is rebuilding its copy of the data. Try again in a moment.",
				"detailed_error": "", "request_id": "", "status_code": http.StatusServiceUnavailable,
			})
			return
		}
		next.ServeHTTP(w, r)
	})
}

// memberships converts the memberships of the store to those of the sockets.
func memberships(store *read.Store) func(context.Context, core.UserID) (fanout.Memberships, error) {
	return func(ctx context.Context, u core.UserID) (fanout.Memberships, error) {
		got, err := store.Memberships(ctx, u)
		if err != nil {
			return fanout.Memberships{}, err
		}
		user, _, err := store.User(ctx, u)
		if err != nil {
			return fanout.Memberships{}, err
		}
		m := fanout.Memberships{At: got.At, Admin: authz.IsSystemAdmin(user.Roles), Deaf: !user.HearsEveryone(), Channels: make(map[core.ChannelID]core.TeamID, len(got.Channels))}
		for _, t := range got.Teams {
			m.Teams = append(m.Teams, t.TeamID)
		}
		for _, c := range got.Channels {
			m.Channels[c.ChannelID] = c.TeamID
		}
		return m, nil
	}
}

func statuses(who *presence.Map) accounts.Presence {
	return func(ids []core.UserID) []accounts.Status {
		var out []accounts.Status
		for _, s := range who.Status(ids) {
			out = append(out, accounts.Status(s))
		}
		return out
	}
}
