package pg

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/nearside/nearside/core/backoff"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/nearside/nearside/core"
)

// A cluster is Dir/postgres with the programs that run it.
type cluster struct {
	root    string
	bin     string
	account *account // nil: run as ourselves
	handle  *os.File // root, opened; children inherit it
	log     *boundedLog
}

// An account is the user that PostgreSQL runs as, because it refuses to run as root.
type account struct{ uid, gid int }

func (c *cluster) data() string { return filepath.Join(c.root, "data") }

func (c *cluster) close() {
	c.handle.Close()
	c.log.Close()
}

// prepare makes the cluster at the first start, and finds the programs that fit it.
func (s *Server) prepare(ctx context.Context) (_ *cluster, err error) {
	c := &cluster{root: s.root}
	if c.account, err = pickAccount(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(c.root, 0o700); err != nil {
		return nil, fmt.Errorf("server directory: %w", err)
	}
	if err := c.own(); err != nil {
		return nil, err
	}
	if c.bin, err = s.programs(c); err != nil {
		return nil, err
	}
	if c.handle, err = os.Open(c.root); err != nil {
		return nil, fmt.Errorf("server directory: %w", err)
	}
	if c.log, err = openLog(filepath.Join(s.cfg.Dir, "postgres.log")); err != nil {
		c.handle.Close()
		return nil, err
	}
	if _, err := os.Stat(c.data()); errors.Is(err, fs.ErrNotExist) {
		began := time.Now()
		if err := c.initialize(ctx); err != nil {
			c.close()
			return nil, err
		}
		s.log.Info("PostgreSQL initialized", "dir", c.root, "after", time.Since(began).Round(time.Millisecond))
	}
	return c, nil
}

// pickAccount gives the account to run PostgreSQL as; nil means that of this process, if it is not root.
func pickAccount() (*account, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		if uid, gid := atoi(u.Uid), atoi(u.Gid); uid != 0 {
			return &account{uid: uid, gid: gid}, nil
		}
	}
	return nil, core.E(core.KindInvalid, "PostgreSQL refuses to run as root, and this machine has neither a user postgres nor a user nobody to run it as.")
}

// own makes the account the owner of the whole directory. It is not the owner at the first start, after
// a start as another user, or after root has copied the directory.
func (c *cluster) own() error {
	if c.account == nil {
		return os.Chmod(c.root, 0o700)
	}
	return filepath.WalkDir(c.root, func(path string, d fs.DirEntry, err error) error {
		if err == nil {
			err = c.account.take(path, d)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // a server of an earlier run may still remove files
			return fmt.Errorf("own server directory: %w", err)
		}
		return nil
	})
}

// take makes the account the owner of a file, if it is not already.
func (a *account) take(path string, d fs.DirEntry) error {
	info, err := d.Info()
	if err != nil {
		return err
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && int(st.Uid) == a.uid {
		return nil
	}
	return os.Lchown(path, a.uid, a.gid)
}

// programs gives the folder of programs of the same version as the data.
func (s *Server) programs(c *cluster) (string, error) {
	want := 0
	if b, err := os.ReadFile(filepath.Join(c.data(), "PG_VERSION")); err == nil {
		want = atoi(strings.TrimSpace(string(b)))
	}
	bin := s.cfg.BinDir
	if bin == "" {
		var err error
		if bin, err = locate(want); err != nil {
			return "", err
		}
	}
	bin, err := filepath.Abs(bin) // it is run from another directory
	if err != nil {
		return "", fmt.Errorf("find PostgreSQL: %w", err)
	}
	have := majorVersion(bin)
	if have < MinVersion {
		return "", core.E(core.KindNotFound, "There is no working PostgreSQL of version %d or later in %s.", MinVersion, bin)
	}
	if want != 0 && have != want {
		return "", core.E(core.KindUpgrade, "The data in %s were made by PostgreSQL %d, but the one in %s is %d.", c.root, want, bin, have)
	}
	return reachable(bin, c.account)
}

// initialize creates the cluster in another folder and renames that at the end, so that a crash leaves
// no half-made cluster behind.
func (c *cluster) initialize(ctx context.Context) error {
	tmp := filepath.Join(c.root, "data.new")
	if err := os.RemoveAll(tmp); err != nil {
		return fmt.Errorf("initialize: %w", err)
	}
	if err := os.Mkdir(tmp, 0o700); err != nil {
		return fmt.Errorf("initialize: %w", err)
	}
	if c.account != nil {
		if err := os.Chown(tmp, c.account.uid, c.account.gid); err != nil {
			return fmt.Errorf("initialize: %w", err)
		}
	}
	p, err := c.spawn("initdb", "--pgdata", c.inherited("data.new"), "--username", serverUser,
		"--auth", "trust", "--encoding", "UTF8", "--locale", "C", "--data-checksums", "--no-instructions")
	if err != nil {
		return err
	}
	select {
	case <-p.done:
	case <-ctx.Done():
		p.kill()
		return ctx.Err()
	case <-time.After(startLimit):
		p.kill()
	}
	if !p.ok() {
		return fmt.Errorf("initdb: %w%s", p.exit(), c.log.lastLines())
	}
	if err := os.Rename(tmp, c.data()); err != nil {
		return fmt.Errorf("initialize: %w", err)
	}
	return c.handle.Sync() // the rename must survive a power cut, as initdb's files do
}

// start runs the server in the foreground of a process of its own.
func (c *cluster) start(settings map[string]string) (*process, error) {
	args := []string{"-D", c.inherited("data"), "-k", c.inherited("")}
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		args = append(args, "-c", name+"="+settings[name])
	}
	return c.spawn("postgres", args...)
}

// spawn starts one of PostgreSQL's programs, as the account and with the directory's handle.
func (c *cluster) spawn(name string, args ...string) (*process, error) {
	cmd := exec.Command(filepath.Join(c.bin, name), args...)
	cmd.Dir = "/" // ours may be closed to the account
	cmd.Env = []string{
		"PATH=" + c.bin + ":/usr/bin:/bin", "LC_ALL=C", "TZ=UTC", "HOME=/",
		// Each statement of a batch takes and gives back some hundred kilobytes. By default glibc gives them
		// back to the kernel every time, which then has to clear them anew: 5% of PostgreSQL's CPU time.
		"MALLOC_TOP_PAD_=1048576", "MALLOC_TRIM_THRESHOLD_=8388608", "MALLOC_MMAP_THRESHOLD_=8388608",
	}
	cmd.Stdout, cmd.Stderr = c.log, c.log
	cmd.ExtraFiles = []*os.File{c.handle}
	cmd.SysProcAttr = c.attributes()
	cmd.WaitDelay = quitLimit // a remaining child that keeps the log open must not make us wait
	return startProcess(cmd)
}

// endLeftovers ends processes of an earlier run that still use the data, and removes their lock file.
// We hold the directory's lock, so none of them belongs to a running node.
func (c *cluster) endLeftovers(log *slog.Logger) error {
	deadline := time.Now().Add(fastLimit)
	for round := 0; ; round++ {
		pids, err := processesIn(c.data())
		if err != nil {
			return fmt.Errorf("look for a running PostgreSQL: %w", err)
		}
		if len(pids) == 0 {
			break
		}
		if time.Now().After(deadline) {
			return core.E(core.KindUnavailable, "A PostgreSQL of an earlier run does not end: processes %v.", pids)
		}
		sig := syscall.SIGQUIT
		if round > 100 {
			sig = syscall.SIGKILL
		}
		if round == 0 || round == 101 {
			log.Warn("ending a PostgreSQL of an earlier run", "pids", pids, "signal", sig.String())
		}
		for _, pid := range pids {
			if err := syscall.Kill(pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
				return fmt.Errorf("end PostgreSQL %d: %w", pid, err)
			}
		}
		backoff.Pause(context.Background(), 20*time.Millisecond)
	}
	// If another process has that pid by now, PostgreSQL would believe that it is running already.
	err := os.Remove(filepath.Join(c.data(), "postmaster.pid"))
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		os.Remove(filepath.Join(c.root, socketFile+".lock"))
		return nil
	}
	return fmt.Errorf("remove stale lock: %w", err)
}

// ensureDatabase creates our database if it is missing.
func (s *Server) ensureDatabase(ctx context.Context) error {
	err := s.with(ctx, serverDatabase, "SELECT 1")
	var pe *pgconn.PgError
	if errors.As(err, &pe) && pe.Code == "3D000" { // no such database
		return s.with(ctx, "postgres", "CREATE DATABASE "+quoteName(serverDatabase)+" TEMPLATE template0")
	}
	return err
}

// with runs a statement over a connection of its own.
func (s *Server) with(ctx context.Context, database, sql string) error {
	cc, err := pgx.ParseConfig(s.connString(database))
	if err != nil {
		return err
	}
	cc.DialFunc = s.Dial
	cc.ConnectTimeout = 5 * time.Second
	conn, err := pgx.ConnectConfig(ctx, cc)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, sql)
	return err
}

// lockFile takes a lock that is released when this process ends, in whatever way. Without it, a second
// node on the same directory would take our server for one of an earlier run, and end it.
func lockFile(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock data directory: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		b := make([]byte, 32)
		n, _ := f.Read(b)
		f.Close()
		return nil, core.E(core.KindConflict, "Another node (process %s) uses the data directory %s.", strings.TrimSpace(string(b[:n])), filepath.Dir(path))
	}
	if err := f.Truncate(0); err == nil {
		f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0) // only for the message above
	}
	return func() { f.Close() }, nil
}
