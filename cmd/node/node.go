package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/nearside/nearside/cmd/admin"
	"github.com/nearside/nearside/core/password"
	"github.com/nearside/nearside/core/pg"
	"github.com/nearside/nearside/core/replica"
	"github.com/nearside/nearside/core/trace"
	"github.com/nearside/nearside/core/trail"
	"github.com/nearside/nearside/edge/address"
	"github.com/nearside/nearside/edge/fanout"
	"github.com/nearside/nearside/region"
	"github.com/nearside/nearside/replication/follower"
	"github.com/nearside/nearside/replication/gossip"
	"github.com/nearside/nearside/replication/hub"
	"github.com/nearside/nearside/replication/link"
	"github.com/nearside/nearside/replication/roll"
)

// The files of a node's data directory.
const (
	LockFile = "lock"      // the pid of the process that uses the directory
	File     = "node.json" // where the node is reached, in the form of demo.json
)

// How long each stage may take to stop. Together they take less than the half minute after which most
// supervisors kill a process.
const (
	stopEdge     = 10 * time.Second
	stopTraces   = 3 * time.Second
	stopInner    = 5 * time.Second
	stopRegion   = 8 * time.Second
	stopPostgres = 25 * time.Second
)

// Node is one process of a deployment.
type Node struct {
	// Immutable after New.
	cfg       Config
	addresses address.List // of clients
	log       *slog.Logger
	metrics   *metrics
	far       *distances
	hasher    *password.Hasher // one for the node, so that passwords take no more of it than meant
	deeds     *trail.Deeds     // of operators, for the audit trail
	ready     chan struct{}    // closed by Run when the node first serves

	tracer *trace.Tracer // set by start before any part that traces; nil: nothing is traced

	parts atomic.Pointer[parts] // replaced whole by Run's goroutine only

	heard *heard // set by startEdge, before any part that asks it

	stuck, noDatabase atomic.Pointer[string] // why; nil or empty: it is not so
}

// parts are what runs so far; nil fields have not been started, or this node has none.
type parts struct {
	url, adminURL string // adminURL: if it is served over TCP too
	database      pg.Config
	db            *pg.DB
	replica       *replica.Replica
	region        *region.Region
	trail         *trail.Trail // at home
	hub           *hub.Hub
	follower      *follower.Follower
	gossip        *gossip.Gossip
	fanout        *fanout.Hub
	roll          *roll.Roll
	link          *link.Endpoint
	renewer       *renewer
	keeping       *keeping // of files
	upgrade       *region.Upgrade
	serving       bool
}

// rebuilding reports whether the replica is known to hold another history than home's and has
// not been replaced yet. One that only lags may be read meanwhile: it is late, not different.
func (p *parts) rebuilding() bool { return p.follower != nil && p.follower.Status().Diverged }

// New validates cfg and starts nothing.
func New(cfg Config) (*Node, error) {
	if err := cfg.Check(); err != nil {
		return nil, err
	}
	cfg = cfg.WithDefaults()
	dir, err := filepath.Abs(cfg.Data)
	if err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	cfg.Data = dir
	far, err := newDistances(cfg.Imitate, 1)
	if err != nil {
		return nil, err
	}
	addresses, err := address.Parse(cfg.Client.URL)
	if err != nil {
		return nil, err
	}
	n := &Node{cfg: cfg, addresses: addresses, log: cfg.Logger, far: far, hasher: password.NewHasher(0, 0), deeds: trail.NewDeeds(), ready: make(chan struct{})}
	n.parts.Store(&parts{})
	n.metrics = newMetrics(n)
	return n, nil
}

// Ready gives a channel that is closed when the node first serves.
func (n *Node) Ready() <-chan struct{} { return n.ready }

// URL gives the address for clients; empty before the node is ready, and without the role edge.
func (n *Node) URL() string { return n.parts.Load().url }

// adminSocket is where operators reach the node.
func (n *Node) adminSocket() string { return admin.SocketPath(n.cfg.Data) }

func (n *Node) update(change func(*parts)) {
	p := *n.parts.Load()
	change(&p)
	n.parts.Store(&p)
}

// Run starts the node and runs it until ctx ends, and then returns nil once everything has
// stopped. It returns the error of the first stage that fails.
func (n *Node) Run(ctx context.Context) (err error) {
	unlock, err := Lock(n.cfg.Data, LockFile)
	if err != nil {
		return err
	}
	defer unlock()
	s := newStages(ctx, n.log)
	defer func() { err = errors.Join(err, s.stop()) }()
	if err := n.start(ctx, s); err != nil {
		if ctx.Err() != nil { // the error is because of the stop
			n.log.Info("stopped before it was ready", "error", err)
			return nil
		}
		return err
	}
	close(n.ready)
	n.log.Info("ready", "region", n.cfg.Region, "roles", n.cfg.Roles, "url", n.URL(), "admin", n.adminSocket())
	if n.cfg.OnReady != nil {
		n.cfg.OnReady(n)
	}
	select {
	case <-ctx.Done():
		n.log.Info("stopping")
		return nil
	case err := <-s.failed:
		n.log.Error("stopping because a part failed", "error", err)
		return err
	}
}

// start starts the stages from the inside out.
func (n *Node) start(ctx context.Context, s *stages) error {
	if n.cfg.Is(RoleEdge) { // first, because an address in use is the most frequent mistake
		l, err := Listen("client.listen", n.cfg.Client.Listen)
		if err != nil {
			return err
		}
		l.Close() // until there is somebody to answer, clients shall be refused at once and try another edge
	}
	if err := n.startTraces(ctx, s); err != nil {
		return err
	}
	if err := n.startAdmin(s); err != nil {
		return err
	}
	cred, err := n.cfg.Credentials(time.Now())
	if err != nil {
		return err
	}
	if err := cred.Valid(time.Now()); err != nil { // an edge can still serve what it has
		n.log.Error("other nodes will refuse this one until it has another certificate", "pki", n.cfg.PKI, "error", err)
	}
	if err := n.startReplica(ctx, s); err != nil {
		return err
	}
	w, err := n.startLink(ctx, s, cred)
	if err != nil {
		return err
	}
	if err := n.startLines(s); err != nil {
		return err
	}
	if n.cfg.Is(RoleEdge) {
		if err := n.startEdge(ctx, s, w); err != nil {
			return err
		}
	}
	n.update(func(p *parts) { p.serving = true })
	return n.writeFile()
}

// startTraces opens the exporters of traces, before any part that makes traces.
func (n *Node) startTraces(ctx context.Context, s *stages) (err error) {
	n.tracer, err = trace.New(ctx, trace.Config{
		Node: n.cfg.Name, Region: n.cfg.Region, File: n.cfg.Trace.File, OTLP: n.cfg.Trace.OTLP, Ratio: n.cfg.Trace.Ratio, Logger: n.log,
	})
	s.onStop("traces", func() {
		limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTraces)
		defer cancel()
		if err := n.tracer.Close(limited); err != nil {
			n.log.Warn("the last traces are lost", "error", err)
		}
	})
	return err
}

func (n *Node) startAdmin(s *stages) error {
	serve := func(l net.Listener, h http.Handler) {
		s.start("administration", stopInner, func(ctx context.Context) error {
			srv := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute, IdleTimeout: 2 * time.Minute}
			return serveHTTP(ctx, l, srv, adminDrain)
		})
	}
	h := n.adminHandler()
	socket, err := admin.Listen(n.cfg.Data)
	if err != nil {
		return err
	}
	serve(socket, h)
	if n.cfg.Admin.Listen == "" {
		return nil
	}
	token, err := admin.Token(n.cfg.Data)
	if err != nil {
		return err
	}
	l, err := Listen("admin.listen", n.cfg.Admin.Listen)
	if err != nil {
		return err
	}
	n.update(func(p *parts) { p.adminURL = "http://" + l.Addr().String() })
	serve(l, admin.Local(admin.WithToken(token, n.cfg.Admin.OpenStatus, h)))
	return nil
}

// startReplica starts the database and opens the replica in it.
func (n *Node) startReplica(ctx context.Context, s *stages) error {
	dbc, err := n.startPostgres(ctx, s)
	if err != nil {
		return err
	}
	db, err := pg.Open(ctx, dbc)
	if err != nil {
		return fmt.Errorf("open database: %w", err)
	}
	s.onStop("database", db.Close)
	err = region.DiscardOutvoted(regionDir(n.cfg.Data), func(why string) error {
		n.log.Warn("discarding the replica, to rebuild it", "why", why)
		return db.WriteTx(ctx, func(ctx context.Context, tx pg.Tx) error { return pg.DropSchema(ctx, tx, pg.Schema) })
	})
	if err != nil {
		return err
	}
	if err := pg.Migrate(ctx, db, pg.Schema); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	r, err := replica.New(replica.Config{
		DB: db, Dir: filepath.Join(n.cfg.Data, "snapshots"), CacheBytes: int(n.cfg.Tuning.CacheMB) << 20, Metrics: n.metrics.registry, Tracer: n.tracer, Logger: n.log,
	})
	if err != nil {
		return err
	}
	if err := r.Open(ctx); err != nil {
		return fmt.Errorf("open replica: %w", err)
	}
	s.start("replica", stopInner, r.Run)
	s.start("database check", stopInner, n.watchDatabase(db.Ping))
	n.update(func(p *parts) { p.database, p.db, p.replica = dbc, db, r })
	return nil
}

func (n *Node) startPostgres(ctx context.Context, s *stages) (pg.Config, error) {
	switch {
	case n.cfg.Database != nil:
		return *n.cfg.Database, nil
	case n.cfg.Postgres.DSN != "":
		return pg.Config{ConnString: n.cfg.Postgres.DSN, Logger: n.log}, nil
	}
	srv, err := pg.NewServer(pg.ServerConfig{Dir: n.cfg.Data, SharedBuffersMB: n.cfg.Postgres.SharedBuffersMB, Logger: n.log})
	if err != nil {
		return pg.Config{}, err
	}
	s.start("PostgreSQL", stopPostgres, srv.Run)
	return srv.Config(), s.await(ctx, "PostgreSQL", srv.Ready())
}

// writeFile writes the addresses of the node to a file, for scripts.
func (n *Node) writeFile() error {
	p := n.parts.Load()
	raw, err := json.MarshalIndent(map[string]any{"nodes": []Summary{{
		Name: n.cfg.Name, Region: n.cfg.Region, Roles: n.cfg.Roles, PID: os.Getpid(), URL: p.url, AdminURL: p.adminURL, AdminSocket: n.adminSocket(),
	}}}, "", "  ")
	if err != nil {
		return fmt.Errorf("encode %s: %w", File, err)
	}
	return WriteFile(filepath.Join(n.cfg.Data, File), append(raw, '\n'), 0o644)
}
