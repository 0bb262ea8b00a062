package api

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/nearside/nearside/cdn"
	"github.com/nearside/nearside/cdn/image"
	"github.com/nearside/nearside/cdn/scan"
	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/read"
	"github.com/nearside/nearside/edge"
	"github.com/nearside/nearside/edge/hot"
	"github.com/nearside/nearside/edge/session"
)

// Limits of requests. See also maxBodyBytes, waitLimit, proposeLimit.
const (
	maxURIBytes   = 2048
	requestLimit  = 30 * time.Second
	headerTimeout = 10 * time.Second
	readTimeout   = 60 * time.Second
	writeTimeout  = readTimeout + requestLimit + 60*time.Second // from the end of the header to the last byte of the answer
	idleTimeout   = 120 * time.Second
	maxHeader     = 32 << 10

	defaultFileBytes = 100 << 20
)

// DefaultVersion is the version of the API that clients are told; the first three parts are
// the server version whose protocol this is.
const DefaultVersion = "11.6.0"

// Config configures an API. The zero value of each optional field means its documented default.
type Config struct {
	Proposer   edge.Proposer // required
	View       edge.View     // required
	Read       *read.Store   // required
	Asker      edge.Asker    // asks home how far it is; default: this edge is never behind
	WebSocket  http.Handler  // serves /api/v4/websocket; default: 501
	Typing     Typing        // told when somebody writes; default: nobody
	Presence   Presence      // tells who is there; default: everybody is offline
	OpenServer bool          // anybody may sign up
	SiteURL    string        // where clients find this deployment; default: unknown
	Build      string        // this build, in X-Version-Id and the client configuration; default "dev"
	PageBytes  int64         // memory for encoded pages of posts; default 64 MiB
	Files      Files         // what is done with files
	Assets     http.Handler  // serves the web client at every path that is not the API's; default: a page that says there is none
	Logger     *slog.Logger  // default: discard
}

// Files says where files are kept and what people may do with them.
type Files struct {
	Blobs       edge.Blobs   // where the bytes are; default: nowhere, and operations on files answer 501
	Spool       string       // directory for what is arriving; default: the system's for temporary files
	MaxBytes    int64        // of one file; default 100 MiB
	PublicLinks bool         // people may share links that need no session
	Signer      cdn.Signer   // sends readers to the object store by signed URLs; default: bytes come from here
	Scanner     scan.Scanner // asked about every upload; default: nobody is
}

// maxBytes is MaxBytes or its default.
func (f Files) maxBytes() int64 {
	if f.MaxBytes > 0 {
		return f.MaxBytes
	}
	return defaultFileBytes
}

// VersionID is what clients are told of this server in X-Version-Id and in hello: web clients
// load no roles unless both are there, and load everything anew when it changes.
func (cfg Config) VersionID() string { return newSettings(cfg).versionID }

// Typing is told that a user is writing in a channel, in a thread unless parent is zero.
type Typing func(user core.UserID, channel core.ChannelID, parent core.PostID)

// Presence gives the status of each of the given users, in any order; of those it leaves out
// nothing is known.
type Presence func(ids []core.UserID) []Status

// Status is whether a user is there.
type Status struct {
	UserID         core.UserID `json:"user_id"`
	Status         string      `json:"status"` // online, away, dnd or offline
	Manual         bool        `json:"manual"`
	LastActivityAt int64       `json:"last_activity_at"`
	DNDEndTime     int64       `json:"dnd_end_time"` // in seconds
}

// API serves the REST API.
type API struct {
	cfg      Config
	log      *slog.Logger
	routes   *router
	sessions *session.Store
	hasher   *session.Hasher
	attempts *session.Attempts
	facts    *facts
	misses   *hot.Misses[string]
	home     *questions
	settings settings
	pictures *image.Maker
	initials *hot.Cache[core.UserID, string, []byte] // drawn pictures, by username
	damaged  *hot.Misses[core.BlobID]                // stored bytes that the log has a line about

	gate      *gate
	downloads *places // large ones under way
	spools    *spooler
	transfers *transfers
	searching chan struct{} // a token for each search of files that is under way
}

// New makes an API and subscribes it to the events of the replica.
func New(cfg Config) (*API, error) {
	if cfg.Proposer == nil || cfg.View == nil || cfg.Read == nil {
		return nil, errors.New("api.Config needs Proposer, View and Read")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Typing == nil {
		cfg.Typing = func(core.UserID, core.ChannelID, core.PostID) {}
	}
	if cfg.Presence == nil {
		cfg.Presence = func([]core.UserID) []Status { return nil }
	}
	if cfg.WebSocket == nil {
		cfg.WebSocket = http.HandlerFunc(noWebSocket)
	}
	if cfg.Assets == nil {
		cfg.Assets = http.HandlerFunc(serveLanding)
	}
	a := &API{
		cfg: cfg, log: cfg.Logger, hasher: session.NewHasher(0, 0), attempts: session.NewAttempts(nil),
		misses: hot.NewMisses[string](missesKept, missRemembers), home: newQuestions(), settings: newSettings(cfg),
		pictures: image.New(), initials: hot.New[core.UserID, string](initialsBytes, func(png []byte) int64 { return int64(len(png)) }),
		damaged: hot.NewMisses[core.BlobID](missesKept, time.Hour),
		gate:    newGate(), downloads: newPlaces("downloads", sendsOfUser, sendsOfEdge), spools: &spooler{dir: cfg.Files.Spool, free: freeBytes}, transfers: newTransfers(), searching: make(chan struct{}, maxSearches),
	}
	var err error
	if a.routes, err = newRoutes(); err != nil {
		return nil, err
	}
	sc := session.Config{Find: cfg.Read.SessionByToken}
	if cfg.Asker != nil {
		sc.CatchUp = a.catchUpWithHome
	}
	if a.sessions, err = session.NewStore(sc); err != nil {
		return nil, err
	}
	a.facts = newFacts(cfg, a.sessions)
	return a, nil
}

// Run keeps the caches true until ctx ends.
func (a *API) Run(ctx context.Context) error { return a.facts.run(ctx) }

// Server gives an http.Server for the API with its timeouts, without an address.
func (a *API) Server() *http.Server {
	return &http.Server{
		Handler: a, ReadHeaderTimeout: headerTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
		ErrorLog: slog.NewLogLogger(a.log.Handler(), slog.LevelDebug),
	}
}

// ServeHTTP implements http.Handler.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := r.URL.Path
	if path == "/api/v4/websocket" || path == "/api/v4/websocket/" {
		a.cfg.WebSocket.ServeHTTP(w, r)
		return
	}
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
		hit = &target{route: &unknownRoute}
	}
	a.serve(w, r, hit, params)
}

// Authenticate gives the session of a token and its user, for the WebSocket.
func (a *API) Authenticate(ctx context.Context, token string) (core.Session, core.User, error) {
	a.facts.catchUp()
	s, err := a.sessions.Lookup(ctx, token)
	if err != nil {
		return s, core.User{}, err
	}
	u, err := a.facts.user(ctx, s.UserID)
	if err == nil && (u.ID.IsZero() || u.DeleteAt != 0) {
		err = core.E(core.KindUnauthorized, "")
	}
	return s, u, err
}

func noWebSocket(w http.ResponseWriter, r *http.Request) {
	c := &call{w: w, r: r, id: core.NewID[call](time.Now()).String()}
	p := problemOf(notBuilt("the WebSocket"), c.id)
	c.status, c.body = p.Status, mustJSON(p)
	c.write()
}
