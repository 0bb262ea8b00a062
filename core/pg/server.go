package pg

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/backoff"
)

// The names inside a managed server.
const (
	serverUser     = "nearside" // owns everything; access is limited by the permissions of the directory
	serverDatabase = "nearside"
	serverPort     = 5432 // names the socket file; there is no TCP listener
	socketFile     = ".s.PGSQL.5432"
)

// Time limits of a managed server.
const (
	startLimit   = 5 * time.Minute // crash recovery included
	fastLimit    = 15 * time.Second
	quitLimit    = 5 * time.Second
	steadyUptime = time.Minute // after a server has run this long, pauses are short again
)

// restarts are the pauses before a server that has ended is started again.
var restarts = backoff.Backoff{Min: 100 * time.Millisecond, Max: 10 * time.Second}

// ServerConfig configures a Server. The zero value of each optional field means its
// documented default.
type ServerConfig struct {
	Dir             string            // required: the node's data directory; the server uses postgres* in it
	BinDir          string            // folder of postgres and initdb; default: Locate
	MaxConnections  int               // default 50
	SharedBuffersMB int               // default 64
	Settings        map[string]string // further settings of PostgreSQL; they win over ours
	Logger          *slog.Logger      // default: discard
}

// Server is the PostgreSQL server of this node.
type Server struct {
	// Immutable after NewServer.
	cfg  ServerConfig
	root string // Dir/postgres: the cluster and the socket
	log  *slog.Logger

	readyOnce sync.Once
	ready     chan struct{} // closed by Run when the server first answers
}

// NewServer validates cfg and starts nothing.
func NewServer(cfg ServerConfig) (*Server, error) {
	if cfg.Dir == "" {
		return nil, core.E(core.KindInvalid, "A managed PostgreSQL needs a data directory.")
	}
	dir, err := filepath.Abs(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	cfg.Dir = dir
	cfg.Settings = maps.Clone(cfg.Settings)
	if cfg.MaxConnections <= 0 {
		cfg.MaxConnections = 50
	}
	if cfg.SharedBuffersMB <= 0 {
		cfg.SharedBuffersMB = 64
	}
	s := &Server{cfg: cfg, root: filepath.Join(dir, "postgres"), log: logger(cfg.Logger), ready: make(chan struct{})}
	if err := checkSocketPath(s.root); err != nil {
		return nil, err
	}
	return s, nil
}

// Ready is closed when the server first answers queries. It stays open when Run fails before.
func (s *Server) Ready() <-chan struct{} { return s.ready }

// Config gives what Open needs to reach the server's database.
func (s *Server) Config() Config {
	return Config{ConnString: s.connString(serverDatabase), Dial: s.Dial, Logger: s.cfg.Logger}
}

// connString gives the connection string of a database of the server. PostgreSQL's own programs cannot
// use it if the path of the socket is longer than 107 bytes; Dial can.
func (s *Server) connString(database string) string {
	esc := strings.NewReplacer(`\`, `\\`, `'`, `\'`)
	return fmt.Sprintf("host='%s' port=%d user=%s dbname=%s", esc.Replace(s.root), serverPort, serverUser, database)
}

// Dial connects to the server's socket, however long its path is. It ignores network and address, which
// are there because Config.Dial has them.
func (s *Server) Dial(ctx context.Context, _, _ string) (net.Conn, error) {
	return dialSocket(ctx, s.root)
}

// Run starts the server and keeps it running until ctx ends; then it stops it and returns nil.
// It fails when the directory is in use, when PostgreSQL cannot be found, or when the server
// does not start the first time. If it ends later, that is logged and it is started again, after a
// growing pause of at most ten seconds.
func (s *Server) Run(ctx context.Context) error {
	if err := os.MkdirAll(s.cfg.Dir, 0o700); err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	unlock, err := lockFile(filepath.Join(s.cfg.Dir, "postgres.lock"))
	if err != nil {
		return err
	}
	defer unlock()
	c, err := s.prepare(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	defer c.close()
	for deaths := 0; ; deaths++ {
		began := time.Now()
		err := s.runOnce(ctx, c)
		if ctx.Err() != nil {
			return err
		}
		if !s.wasReady() {
			return fmt.Errorf("start PostgreSQL: %w%s", err, c.log.lastLines())
		}
		if time.Since(began) > steadyUptime {
			deaths = 0
		}
		pause := restarts.After(deaths)
		s.log.Error("PostgreSQL ended, starting it again", "error", err, "pause", pause, "log", c.log.path)
		if !backoff.Pause(ctx, pause) {
			return nil
		}
	}
}

// runOnce starts PostgreSQL and returns when it has ended: nil when ctx made it end.
func (s *Server) runOnce(ctx context.Context, c *cluster) error {
	if err := c.endLeftovers(s.log); err != nil {
		return err
	}
	p, err := c.start(s.settings())
	if err != nil {
		return err
	}
	began := time.Now()
	if err := s.awaitAnswer(ctx, p); err != nil {
		p.stop()
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	s.log.Info("PostgreSQL answers", "pid", p.pid, "after", time.Since(began).Round(time.Millisecond), "bin", c.bin)
	s.readyOnce.Do(func() { close(s.ready) })
	select {
	case <-ctx.Done():
		p.stop()
		return nil
	case <-p.done:
		return p.exit()
	}
}

func (s *Server) wasReady() bool {
	select {
	case <-s.ready:
		return true
	default:
		return false
	}
}

// awaitAnswer waits until our database can be opened, and creates it if it is missing. A server that
// recovers from a crash refuses connections for a while.
func (s *Server) awaitAnswer(ctx context.Context, p *process) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	for {
		err := s.ensureDatabase(ctx)
		if err == nil || !IsUnavailable(err) {
			return err
		}
		select {
		case <-p.done:
			return p.exit()
		case <-ctx.Done():
			return fmt.Errorf("wait for an answer: %w", err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// settings gives our settings, overridden by the configured ones.
func (s *Server) settings() map[string]string {
	m := map[string]string{
		"listen_addresses":        "",
		"port":                    strconv.Itoa(serverPort),
		"unix_socket_permissions": "0700",
		"max_connections":         strconv.Itoa(s.cfg.MaxConnections),
		"shared_buffers":          fmt.Sprintf("%dMB", s.cfg.SharedBuffersMB),
		"huge_pages":              "off",
		"jit":                     "off", // our statements are short: compiling them costs more than running them
		// The log of commands is fsynced before an entry is applied. If a crash loses commits, the
		// position in the database goes back with them, and the entries are applied again.
		"synchronous_commit": "off",
		"fsync":              "on",
		"full_page_writes":   "on",
		"wal_level":          "minimal",
		"max_wal_senders":    "0",
		"max_wal_size":       "256MB",
		// The replica flushes what it has applied by itself, some times a second. If the WAL writer flushes too, that only
		// costs: a sixth of PostgreSQL's CPU time under load.
		"wal_writer_delay":       "10s",
		"wal_writer_flush_after": "64MB",
		"update_process_title":   "off",
		"autovacuum":             "on",
		"log_destination":        "stderr",
		"logging_collector":      "off", // boundedLog bounds the log
		"log_min_messages":       "warning",
		"log_checkpoints":        "off",
		"log_line_prefix":        "%m [%p] ",
		"log_timezone":           "UTC",
		"timezone":               "UTC",
		"cluster_name":           "nearside",
	}
	maps.Copy(m, s.cfg.Settings)
	return m
}
