package demo

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/nearside/nearside/core/backoff"
)

// How a child is started again, and how long it may take to stop.
const (
	steadyUptime = 30 * time.Second // after a child has run this long, pauses are short again
	maxFalse     = 5                // after so many failures before the first "ready" the demo gives up
	stopLimit    = 30 * time.Second
	exitUsage    = 2
)

var restarts = backoff.Backoff{Min: 100 * time.Millisecond, Max: 5 * time.Second}

// child is the process of one node, which is started again when it ends.
type child struct {
	// Immutable.
	name, config, dir, binary string
	log                       *slog.Logger
	started                   func(pid int) // called after each start

	readyOnce sync.Once
	ready     chan struct{} // closed when the child first said "ready"
}

// run keeps the child running until ctx ends, then stops it. It fails when the child cannot
// become ready.
func (c *child) run(ctx context.Context) error {
	deaths, soon := 0, 0 // soon: consecutive ones soon after a start
	for {
		began := time.Now()
		err := c.once(ctx)
		if ctx.Err() != nil {
			return nil
		}
		deaths++
		var exit *exec.ExitError
		if !c.wasReady() && (deaths >= maxFalse || errors.As(err, &exit) && exit.ExitCode() == exitUsage) {
			return fmt.Errorf("node %s does not start: %w; see %s", c.name, err, filepath.Join(c.dir, "log"))
		}
		if time.Since(began) > steadyUptime {
			soon = 0
		}
		pause := restarts.After(soon)
		soon++
		c.log.Warn("node ended, starting it again", "node", c.name, "error", err, "pause", pause)
		if !backoff.Pause(ctx, pause) {
			return nil
		}
	}
}

func (c *child) wasReady() bool {
	select {
	case <-c.ready:
		return true
	default:
		return false
	}
}

// once starts the process and returns when it has ended.
func (c *child) once(ctx context.Context) error {
	alive, ours, err := os.Pipe() // the child reads; its input ends when this process ends
	if err != nil {
		return err
	}
	defer ours.Close()
	defer alive.Close()
	crash, err := c.crashLog()
	if err != nil {
		return err
	}
	defer crash.Close()
	cmd := exec.CommandContext(ctx, c.binary, "node", "--config", c.config, "--log-file", filepath.Join(c.dir, "log"), "--parent-fd", "3")
	cmd.ExtraFiles = []*os.File{alive}
	cmd.Stderr = crash
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C must not reach it: the demo stops it in the right order
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = stopLimit // then it is killed
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", c.name, err)
	}
	c.started(cmd.Process.Pid)
	c.watch(out)
	err = cmd.Wait()
	if err == nil {
		err = errors.New("it stopped by itself")
	}
	return err
}

// crashLog opens a file for the output of a panic; that of the last crash is kept in another file.
func (c *child) crashLog() (*os.File, error) {
	path := filepath.Join(c.dir, "crash.log")
	if info, err := os.Stat(path); err == nil && info.Size() > 0 {
		if err := os.Rename(path, path+".1"); err != nil {
			return nil, fmt.Errorf("keep last words: %w", err)
		}
	}
	return os.Create(path)
}

// watch reads what the child prints until it closes its output.
func (c *child) watch(out io.Reader) {
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if line := lines.Text(); line == "ready" || len(line) > 6 && line[:6] == "ready " {
			c.log.Debug("node is ready", "node", c.name)
			c.readyOnce.Do(func() { close(c.ready) })
		}
	}
}
