// Package pgtest gives tests a real PostgreSQL: one managed server per test binary, started at
// the first use, and a new database per test. When the test binary ends, in whatever way, the server
// quits and its directory is removed.
//
// Concurrency: everything may be called from parallel tests.
package pgtest

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/nearside/nearside/core/pg"
)

const startLimit = 60 * time.Second

// Database gives a new, empty database that is dropped when the test ends.
func Database(t testing.TB) pg.Config {
	t.Helper()
	s, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	return s.database(t)
}

// Open gives a pool on a new database with every migration run. It is closed and the
// database dropped when the test ends.
func Open(t testing.TB) *pg.DB {
	t.Helper()
	db := Connect(t, Database(t))
	if err := pg.Migrate(t.Context(), db, pg.Schema); err != nil {
		t.Fatal(err)
	}
	return db
}

// Connect gives a pool that is closed when the test ends.
func Connect(t testing.TB, cfg pg.Config) *pg.DB {
	t.Helper()
	db, err := pg.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	return db
}

// Server starts a server for one test, for tests that kill it, in cfg.Dir, or in a temporary directory
// if that is empty.
func Server(t testing.TB, cfg pg.ServerConfig) *pg.Server {
	t.Helper()
	if cfg.Dir == "" {
		cfg.Dir = t.TempDir()
		if err := Initialize(cfg.Dir); err != nil {
			t.Fatal(err)
		}
	}
	s, err := pg.NewServer(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("server: %v", err)
		}
	})
	if err := awaitReady(s, ended); err != nil {
		ended <- nil // the error was reported already
		t.Fatal(err)
	}
	return s
}

func awaitReady(s *pg.Server, ended <-chan error) error {
	select {
	case <-s.Ready():
		return nil
	case err := <-ended:
		return fmt.Errorf("start server: %w", err)
	case <-time.After(startLimit):
		return fmt.Errorf("start server: not ready after %v", startLimit)
	}
}

// The server of this binary is package state, because tests have nothing else in common.
var shared = sync.OnceValues(start)

type server struct {
	*pg.Server
	admin func() (*pg.DB, error)
	count atomic.Int64
}

// start starts the shared server. It is never stopped: it quits with the process.
func start() (*server, error) {
	dir, err := os.MkdirTemp("", "nearside-pgtest-run-")
	if err != nil {
		return nil, err
	}
	if err := removeAfterExit(dir); err != nil {
		return nil, err
	}
	if err := Initialize(dir); err != nil {
		return nil, err
	}
	s, err := pg.NewServer(pg.ServerConfig{Dir: dir, MaxConnections: 200, SharedBuffersMB: 32, Settings: fast()})
	if err != nil {
		return nil, err
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Run(context.Background()) }()
	if err := awaitReady(s, ended); err != nil {
		return nil, err
	}
	cfg := s.Config()
	cfg.MaxConns = 4
	admin := sync.OnceValues(func() (*pg.DB, error) { return pg.Open(context.Background(), cfg) })
	return &server{Server: s, admin: admin}, nil
}

// fast gives settings that are fast and not durable, because tests do not need that.
func fast() map[string]string {
	return map[string]string{"fsync": "off", "full_page_writes": "off", "autovacuum": "off"}
}

func (s *server) database(t testing.TB) pg.Config {
	t.Helper()
	admin, err := s.admin()
	if err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("test_%d", s.count.Add(1))
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	if _, err := admin.Exec(ctx, "CREATE DATABASE "+name+" TEMPLATE template0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), startLimit)
		defer cancel()
		if _, err := admin.Exec(ctx, "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			t.Errorf("drop database: %v", err)
		}
	})
	cfg := s.Config()
	cfg.ConnString = strings.Replace(cfg.ConnString, "dbname=nearside", "dbname="+name, 1)
	return cfg
}

// removeAfterExit starts a shell that waits for this process to end, by reading a pipe that
// nobody writes to, and then removes dir. The server quits by itself at the same time.
func removeAfterExit(dir string) error {
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	cmd := exec.Command("/bin/sh", "-c", `read -r _; for _ in 1 2 3 4 5 6 7 8 9 10; do rm -rf "$0" 2>/dev/null; sleep 0.3; [ -e "$0" ] || exit 0; done`, dir)
	cmd.Stdin = r
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C of the tests must not end it
	if err := cmd.Start(); err != nil {
		return err
	}
	keep.Store(w)
	return r.Close()
}

// keep holds the pipe open: a file that is garbage-collected is closed, and the shell would believe that
// this process has ended.
var keep atomic.Pointer[os.File]

// Initialize copies an initialized cluster to dir. The original is made once per user and version, and
// shared by all test binaries of the machine.
func Initialize(dir string) error {
	bin, err := pg.Locate()
	if err != nil {
		return err
	}
	version, err := exec.Command(filepath.Join(bin, "postgres"), "--version").Output()
	if err != nil {
		return fmt.Errorf("postgres --version: %w", err)
	}
	key := sha256.Sum256(append(version, bin...))
	base := filepath.Join(os.TempDir(), fmt.Sprintf("nearside-pgtest-%d-%x", os.Getuid(), key[:6]))
	lock, err := os.OpenFile(base+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer lock.Close() // unlocks
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return err
	}
	if _, err := os.Stat(base); err != nil {
		if err := makeTemplate(base); err != nil {
			return fmt.Errorf("make template: %w", err)
		}
	}
	out, err := exec.Command("cp", "-Rp", filepath.Join(base, "postgres"), dir).CombinedOutput()
	if err != nil {
		return fmt.Errorf("copy template: %w: %s", err, out)
	}
	return nil
}

// makeTemplate starts and stops a server once in another folder, and renames that at the end.
func makeTemplate(base string) error {
	tmp, err := os.MkdirTemp("", "nearside-pgtest-new-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	s, err := pg.NewServer(pg.ServerConfig{Dir: tmp, Settings: fast()})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	if err := awaitReady(s, ended); err != nil {
		return err
	}
	cancel()
	if err := <-ended; err != nil {
		return err
	}
	return os.Rename(tmp, base)
}
