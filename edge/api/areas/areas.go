// Package areas assembles the API: the kernel, and every area that answers operations. It is the
// only package that imports them all; a new area is one line in Areas.
package areas

import (
	"context"
	"errors"
	"log/slog"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/password"
	"github.com/nearside/nearside/core/read"
	"github.com/nearside/nearside/edge"
	"github.com/nearside/nearside/edge/api"
	"github.com/nearside/nearside/edge/api/access"
	"github.com/nearside/nearside/edge/api/accounts"
	"github.com/nearside/nearside/edge/api/channels"
	"github.com/nearside/nearside/edge/api/files"
	"github.com/nearside/nearside/edge/api/posts"
	"github.com/nearside/nearside/edge/api/system"
	"github.com/nearside/nearside/edge/api/teams"
	"github.com/nearside/nearside/edge/rate"
	"github.com/nearside/nearside/edge/strength"
)

// Config configures an API. The zero value of each optional field means its documented default.
type Config struct {
	Proposer   edge.Proposer         // required
	View       edge.View             // required
	Read       *read.Store           // required
	Asker      edge.Asker            // asks home for its position; default: this edge is never behind
	WebSocket  http.Handler          // serves /api/v4/websocket; default: 501
	Typing     accounts.Typing       // called when a user is typing; default: nothing
	Presence   accounts.Presence     // returns users' statuses; default: everybody is offline
	Guard      access.Guard          // required: checks at home what could be guessed
	InTouch    func() bool           // whether home was heard recently enough to honour sessions; default: it always was
	Hasher     *password.Hasher      // hashes new passwords; default: one of its own
	OpenServer bool                  // anybody may sign up
	Passwords  strength.Rules        // for new passwords
	SiteURL    string                // the deployment's address for clients; default: unknown
	Build      string                // this build, in X-Version-Id and the client configuration; default "dev"
	PageBytes  int64                 // memory for encoded pages of posts; default 64 MiB
	Files      files.Config          // configuration of files; the fields above need not be repeated in it
	Assets     http.Handler          // serves the web client at every path that is not the API's; default: a page that says that there is none
	Limiter    *rate.Limiter         // required: how fast accounts and addresses may go
	Metrics    prometheus.Registerer // of the caches; default: metrics are not registered
	Logger     *slog.Logger          // default: discard
}

// settings returns the configuration that clients see.
func (cfg Config) settings() system.Settings {
	max := cfg.Files.MaxBytes
	if max <= 0 {
		max = files.DefaultBytes
	}
	return system.NewSettings(system.Config{
		OpenServer: cfg.OpenServer, Passwords: cfg.Passwords, SiteURL: cfg.SiteURL, Build: cfg.Build,
		Files: cfg.Files.Blobs != nil, MaxBytes: max, PublicLinks: cfg.Files.PublicLinks,
	})
}

// online returns those of some users who are online.
func (cfg Config) online(ids []core.UserID) (out []core.UserID) {
	if cfg.Presence == nil {
		return nil
	}
	for _, st := range cfg.Presence(ids) {
		if st.Status == "online" {
			out = append(out, st.UserID)
		}
	}
	return out
}

// VersionID identifies this server for clients, in X-Version-Id and in hello.
func (cfg Config) VersionID() string { return cfg.settings().VersionID }

// API serves the REST API.
type API struct {
	*api.API
	Areas  []Area
	access *access.Access
}

// Area is a part of the API.
type Area interface{ Routes() []api.Route }

// Routes returns the operations of all areas.
func (a *API) Routes() (all []api.Route) {
	for _, area := range a.Areas {
		all = append(all, area.Routes()...)
	}
	return all
}

// New makes an API and subscribes it to the events of the replica.
func New(cfg Config) (*API, error) {
	if cfg.Proposer == nil || cfg.View == nil || cfg.Read == nil || cfg.Guard == nil || cfg.Limiter == nil {
		return nil, errors.New("areas.Config needs Proposer, View, Read, Guard and Limiter")
	}
	if cfg.Assets == nil {
		cfg.Assets = http.HandlerFunc(system.Landing)
	}
	local, err := api.NewLocal(api.LocalConfig{View: cfg.View, Asker: cfg.Asker, Position: cfg.Read.Position, Metrics: cfg.Metrics})
	if err != nil {
		return nil, err
	}
	who, err := access.New(access.Config{Local: local, Read: cfg.Read, Guard: cfg.Guard, InTouch: cfg.InTouch})
	if err != nil {
		return nil, err
	}
	settings := cfg.settings()
	cfg.Files.Access, cfg.Files.SiteURL, cfg.Files.Logger = who, cfg.SiteURL, cfg.Logger
	a := &API{access: who, Areas: []Area{
		accounts.New(accounts.Config{Access: who, OpenServer: cfg.OpenServer, Passwords: cfg.Passwords, Typing: cfg.Typing, Presence: cfg.Presence, Hasher: cfg.Hasher}),
		teams.New(who),
		channels.New(who),
		posts.New(posts.Config{Access: who, Online: cfg.online, PageBytes: cfg.PageBytes}),
		files.New(cfg.Files),
		system.New(who, settings),
	}}
	a.API, err = api.New(api.Config{
		Proposer: cfg.Proposer, Local: local, Authenticate: who.Authenticate, Scope: who.Scope, VersionID: settings.VersionID,
		Routes: a.Routes(), Limiter: cfg.Limiter, Assets: cfg.Assets, WebSocket: cfg.WebSocket, Metrics: cfg.Metrics, Logger: cfg.Logger,
	})
	return a, err
}

// Run invalidates the caches by events, and reports refusals of permission, until ctx ends.
func (a *API) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	reported := make(chan error, 1)
	go func() { reported <- a.API.Run(ctx) }()
	err := a.access.Local.Run(ctx)
	cancel()
	return errors.Join(err, <-reported)
}

// Authenticate returns the session of a token and its user, for the WebSocket.
func (a *API) Authenticate(ctx context.Context, token string) (core.Session, core.User, error) {
	return a.access.Authenticate(ctx, token)
}

// MayPost refuses if a user may not post to a channel, for the WebSocket.
func (a *API) MayPost(ctx context.Context, user core.UserID, channel core.ChannelID) error {
	return a.access.MayPost(ctx, user, channel)
}
