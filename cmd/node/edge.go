package node

import (
	"context"
	"net"
	"net/http"
	"os"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/pg"
	"github.com/nearside/nearside/core/read"
	"github.com/nearside/nearside/edge/api"
	"github.com/nearside/nearside/edge/fanout"
	"github.com/nearside/nearside/edge/presence"
)

// startEdge serves clients.
func (n *Node) startEdge(ctx context.Context, s *stages, out *outside, l net.Listener) error {
	store, err := n.openReader(ctx, s)
	if err != nil {
		return err
	}
	who, err := presence.New(presence.Config{Send: out.signals.Send})
	if err != nil {
		return err
	}
	host, _ := os.Hostname() // clients show it in their support pages; it may be empty
	sockets, err := fanout.New(fanout.Config{
		View: out.view, Memberships: memberships(store), MayPost: nil, Signals: out.signals, Presence: who,
		Version: api.DefaultVersion, Hostname: host, Logger: n.log,
	})
	if err != nil {
		return err
	}
	a, err := api.New(api.Config{
		Proposer: out.proposer, View: out.view, Read: store, Asker: out.asker,
		Typing:   func(u core.UserID, ch core.ChannelID, parent core.PostID) { _ = sockets.Typing(ctx, u, ch, parent) },
		Presence: statuses(who), OpenServer: n.cfg.Open == nil || *n.cfg.Open, SiteURL: n.cfg.Client.URL, Build: n.cfg.Version, Logger: n.log,
	})
	if err != nil {
		return err
	}
	s.start("sockets", stopInner, sockets.Run)
	s.start("caches", stopInner, a.Run)
	s.start("clients", stopEdge, func(ctx context.Context) error { return serveHTTP(ctx, l, n.gate(a), drainLimit, n.log) })
	n.update(func(p *parts) { p.fanout, p.url = sockets, n.clientURL(l) })
	return nil
}

// openReader opens the pool of clients' reads: its role can select and nothing else.
func (n *Node) openReader(ctx context.Context, s *stages) (*read.Store, error) {
	cfg := n.parts.Load().database
	cfg.Role, cfg.MaxConns = pg.ReaderRole, n.cfg.Postgres.MaxConns
	db, err := pg.Open(ctx, cfg)
	if err != nil {
		return nil, err
	}
	s.onStop("readers", db.Close)
	return read.New(db), nil
}

func (n *Node) clientURL(l net.Listener) string {
	if n.cfg.Client.URL != "" {
		return n.cfg.Client.URL
	}
	return "http://" + l.Addr().String()
}

// gate keeps clients away from a replica that is being replaced: what it holds may belong to
// no history.
func (n *Node) gate(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n.parts.Load().rebuilding() {
			w.Header().Set("Retry-After", "2")
			answer(w, http.StatusServiceUnavailable, map[string]any{
				"id": "api.nearside.rebuilding.app_error", "message": "This edge is rebuilding its copy of the data. Try again in a moment.",
				"detailed_error": "", "request_id": "", "status_code": http.StatusServiceUnavailable,
			})
			return
		}
		next.ServeHTTP(w, r)
	})
}

// memberships adapts what the store knows to what the sockets need.
func memberships(store *read.Store) func(context.Context, core.UserID) (fanout.Memberships, error) {
	return func(ctx context.Context, u core.UserID) (fanout.Memberships, error) {
		got, err := store.Memberships(ctx, u)
		if err != nil {
			return fanout.Memberships{}, err
		}
		m := fanout.Memberships{At: got.At}
		for _, t := range got.Teams {
			m.Teams = append(m.Teams, t.TeamID)
		}
		for _, c := range got.Channels {
			m.Channels = append(m.Channels, c.ChannelID)
		}
		return m, nil
	}
}

func statuses(who *presence.Map) api.Presence {
	return func(ids []core.UserID) []api.Status {
		var out []api.Status
		for _, s := range who.Status(ids) {
			out = append(out, api.Status(s))
		}
		return out
	}
}
