package pg_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/eventually"
	"github.com/nearside/nearside/core/pg"
	"github.com/nearside/nearside/core/pg/pgtest"
)

// TestMain serves TestServer_ParentKilled: with the variable set, this binary is a node that
// runs a server and does nothing else.
func TestMain(m *testing.M) {
	if dir := os.Getenv("NEARSIDE_TEST_SERVER_DIR"); dir != "" {
		runNode(dir)
		return
	}
	os.Exit(m.Run())
}

func runNode(dir string) {
	s, err := pg.NewServer(pg.ServerConfig{Dir: dir})
	if err != nil {
		panic(err)
	}
	go func() {
		<-s.Ready()
		fmt.Println("ready")
	}()
	if err := s.Run(context.Background()); err != nil {
		panic(err)
	}
}

// In an empty directory a server is created and answers. What was written is there after a stop and a
// new start.
func TestServer_FirstStart(t *testing.T) {
	dir := t.TempDir()
	began := time.Now()
	stop := run(t, dir)
	t.Logf("ready after %v", time.Since(began))
	db := pgtest.Connect(t, config(t, dir))
	mustExec(t, db, `CREATE SCHEMA nearside`)
	mustExec(t, db, `CREATE TABLE kept (n int)`)
	mustExec(t, db, `INSERT INTO kept VALUES (7)`)
	stop()
	if leftovers := postgresIn(t, dir); len(leftovers) > 0 {
		t.Fatalf("after a clean stop there are still %v", leftovers)
	}
	if _, err := db.Exec(t.Context(), `SELECT 1`); !pg.IsUnavailable(err) {
		t.Errorf("a stopped server gives %v", err)
	}
	defer run(t, dir)()
	n, ok, err := pg.QueryOne(t.Context(), db, `SELECT n FROM kept`, pg.Scalar[int])
	if n != 7 || !ok || err != nil {
		t.Fatalf("after the restart: %v, %v, %v", n, ok, err)
	}
}

// The server has the settings that the durability of the log allows, and no TCP listener.
func TestServer_Settings(t *testing.T) {
	s := pgtest.Server(t, pg.ServerConfig{SharedBuffersMB: 16, MaxConnections: 20, Settings: map[string]string{"work_mem": "3MB"}})
	db := pgtest.Connect(t, s.Config())
	for name, want := range map[string]string{
		"listen_addresses": "", "synchronous_commit": "off", "wal_writer_delay": "10s", "fsync": "on", "full_page_writes": "on", "jit": "off",
		"shared_buffers": "16MB", "max_connections": "20", "work_mem": "3MB", "server_encoding": "UTF8",
		"search_path": `"nearside"`, "TimeZone": "UTC", "data_checksums": "on",
	} {
		got, _, err := pg.QueryOne(t.Context(), db, `SELECT current_setting($1)`, pg.Scalar[string], name)
		if got != want || err != nil {
			t.Errorf("%s is %q, %v; want %q", name, got, err, want)
		}
	}
}

// A PostgreSQL that is killed is started again, and pools connect to it again.
func TestServer_Killed(t *testing.T) {
	dir := template(t)
	s := pgtest.Server(t, pg.ServerConfig{Dir: dir})
	db := pgtest.Connect(t, s.Config())
	for range 2 {
		pid := postmaster(t, dir)
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		eventually.Nil(t, func() error {
			if postmaster(t, dir) == pid {
				return fmt.Errorf("still %d", pid)
			}
			_, err := db.Exec(t.Context(), `SELECT 1`)
			if err != nil && !pg.IsUnavailable(err) {
				t.Errorf("meanwhile: %v is not called unavailable", err)
			}
			return err
		})
	}
}

// If a node is killed, its PostgreSQL ends too, and the next node starts on the same directory.
func TestServer_ParentKilled(t *testing.T) {
	dir := template(t)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "NEARSIDE_TEST_SERVER_DIR="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "ready\n" {
		t.Fatalf("the node said %q, %v", line, err)
	}
	if err := second(t, dir); core.KindOf(err) != core.KindConflict {
		t.Errorf("a second node on the directory: %v", err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	cmd.Wait()
	if runtime.GOOS == "linux" { // elsewhere the next start ends it
		eventually.Nil(t, func() error {
			if left := postgresIn(t, dir); len(left) > 0 {
				return fmt.Errorf("processes %v outlive their node", left)
			}
			return nil
		})
	}
	defer run(t, dir)()
	db := pgtest.Connect(t, config(t, dir))
	mustExec(t, db, `SELECT 1`)
}

// A PostgreSQL that is still running without its node is ended before a new one starts; so is a backend
// without its server.
func TestServer_Orphan(t *testing.T) {
	dir := template(t)
	orphan := startOrphan(t, dir)
	defer run(t, dir)()
	if err := syscall.Kill(orphan, 0); err == nil && postmaster(t, dir) == orphan {
		t.Fatalf("the orphan %d is still the server", orphan)
	}
	mustExec(t, pgtest.Connect(t, config(t, dir)), `SELECT 1`)
}

// A stale lock file that names a living process, as after a reboot, does not keep the server
// from starting, and the process is left alone.
func TestServer_StaleLock(t *testing.T) {
	dir := template(t)
	other := exec.Command("cat")
	if _, err := other.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { other.Process.Kill(); other.Wait() }()
	data := filepath.Join(dir, "postgres", "data")
	text := fmt.Sprintf("%d\n%s\n0\n5432\n\n\n", other.Process.Pid, data)
	if err := os.WriteFile(filepath.Join(data, "postmaster.pid"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	defer run(t, dir)()
	if err := other.Process.Signal(syscall.Signal(0)); err != nil {
		t.Errorf("the other process: %v", err)
	}
}

// The server works in a directory below one that PostgreSQL's user may not read, with a path that is
// too long for a socket address and has unusual characters.
func TestServer_HardPlace(t *testing.T) {
	top := t.TempDir()
	if err := os.Chmod(top, 0o700); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(top, strings.Repeat("long/", 20)+strings.Repeat("x", 60), `it's a \ "name"`)
	defer run(t, dir)()
	mustExec(t, pgtest.Connect(t, config(t, dir)), `SELECT 1`)
}

// A first start that cannot succeed fails with PostgreSQL's own message instead of trying for ever.
func TestServer_CannotStart(t *testing.T) {
	s, err := pg.NewServer(pg.ServerConfig{Dir: template(t), Settings: map[string]string{"no_such_setting": "1"}})
	if err != nil {
		t.Fatal(err)
	}
	err = s.Run(t.Context())
	if err == nil || !strings.Contains(err.Error(), "no_such_setting") {
		t.Fatalf("got %v", err)
	}
}

// An incomplete cluster of a node that was killed at its first start is created again.
func TestServer_HalfInitialized(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "postgres", "data.new", "base"), 0o700); err != nil {
		t.Fatal(err)
	}
	defer run(t, dir)()
	mustExec(t, pgtest.Connect(t, config(t, dir)), `SELECT 1`)
}

// run runs a server in this process until the returned function is called.
func run(t *testing.T, dir string) (stop func()) {
	t.Helper()
	s, err := pg.NewServer(pg.ServerConfig{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	select {
	case <-s.Ready():
	case err := <-ended:
		cancel()
		t.Fatalf("server: %v", err)
	case <-time.After(eventually.Limit):
		cancel()
		t.Fatalf("server is not ready; it ended with %v", <-ended)
	}
	return func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("server: %v", err)
		}
	}
}

func second(t *testing.T, dir string) error {
	t.Helper()
	s, err := pg.NewServer(pg.ServerConfig{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	return s.Run(t.Context())
}

func config(t *testing.T, dir string) pg.Config {
	t.Helper()
	s, err := pg.NewServer(pg.ServerConfig{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	return s.Config()
}

// template gives a directory with an initialized server that does not run.
func template(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := pgtest.Initialize(dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

func postmaster(t *testing.T, dir string) int {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "postgres", "data", "postmaster.pid"))
	if err != nil {
		return 0
	}
	var pid int
	fmt.Sscanf(string(b), "%d", &pid)
	return pid
}

func postgresIn(t *testing.T, dir string) []int {
	t.Helper()
	pids, err := pg.ProcessesIn(filepath.Join(dir, "postgres", "data"))
	if err != nil {
		t.Fatal(err)
	}
	return pids
}

// startOrphan starts PostgreSQL on dir without a node, and gives its process.
func startOrphan(t *testing.T, dir string) int {
	t.Helper()
	pid, wait, err := pg.StartLoose(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(wait)
	eventually.Nil(t, func() error {
		db, err := pg.Open(t.Context(), config(t, dir))
		if err == nil {
			db.Close()
		}
		return err
	})
	return pid
}
