package world

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	readyTimeout = 2 * time.Minute
	stopTimeout  = 30 * time.Second
	maxSaid      = 64 << 10 // of what the program said, for error messages
)

// World is a running program.
type World struct {
	URL   string        // of `serve`
	Took  time.Duration // from start to ready
	dir   string
	args  []string // with the program first
	cmd   *exec.Cmd
	ended chan struct{}
	err   error // valid once ended is closed

	mu   sync.Mutex // guards said
	said bytes.Buffer
}

// Serve starts `nearside serve` in an empty folder.
func Serve(ctx context.Context, program string) (*World, error) {
	listen, err := freePorts(1)
	if err != nil {
		return nil, err
	}
	return start(ctx, program, "", append([]string{"serve", "--listen", listen}, unlimited(ctx, program, "serve")...)...)
}

// unlimited gives the flag that lets accounts and addresses go as fast as they can: a few clients are to do
// here what thousands do elsewhere. Programs of earlier versions had no limits, and have no such flag.
func unlimited(ctx context.Context, program, command string) []string {
	help, err := exec.CommandContext(ctx, program, command, "--help").Output()
	if err != nil || !bytes.Contains(help, []byte("--rate-limit")) {
		return nil
	}
	return []string{"--rate-limit=false"}
}

// Alone starts one node that is home and edge in an empty folder, with more lines of
// configuration than `nearside serve` has flags for.
func Alone(ctx context.Context, program, more string) (*World, error) {
	listen, err := freePorts(1)
	if err != nil {
		return nil, err
	}
	return One(ctx, program, fmt.Sprintf("name: home\nregion: local\nroles: [home, edge]\ndata: data\nclient: {listen: %q}\nlink: {listen: \"127.0.0.1:0\"}\nrate_limit: {enable: false}\n%s", listen, more))
}

// One starts one node with a configuration. Its data is in "data", relative to the file.
func One(ctx context.Context, program, config string) (*World, error) {
	return start(ctx, program, config, "node")
}

// Demo starts `nearside demo` in an empty folder.
func Demo(ctx context.Context, program string, flags ...string) (*World, error) {
	listen, err := freePorts(3)
	if err != nil {
		return nil, err
	}
	return start(ctx, program, "", slices.Concat([]string{"demo", "--listen", listen}, unlimited(ctx, program, "demo"), flags)...)
}

// start runs the program in an empty folder, with a configuration file or a data directory.
func start(ctx context.Context, program, config string, args ...string) (*World, error) {
	dir, err := os.MkdirTemp("", "nearside-bench-")
	if err != nil {
		return nil, fmt.Errorf("make folder: %w", err)
	}
	where := []string{"--data", filepath.Join(dir, "data")}
	if config != "" {
		file := filepath.Join(dir, "node.yaml")
		if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
			return nil, fmt.Errorf("write configuration: %w", err)
		}
		where = []string{"--config", file}
	}
	w := &World{dir: dir, args: slices.Concat([]string{program}, args, where)}
	if err := w.launch(ctx); err != nil {
		return nil, err
	}
	return w, nil
}

// Kill ends the program at once and leaves its folder.
func (w *World) Kill() error {
	err := w.cmd.Process.Kill()
	<-w.ended
	return err
}

// Begin starts a program again that was killed, with its folder. It does not wait until it is ready.
func (w *World) Begin() error {
	_, err := w.begin()
	return err
}

// launch starts the program and waits until it is ready; if it does not become ready, its folder is removed.
func (w *World) launch(ctx context.Context) error {
	began := time.Now()
	ready, err := w.begin()
	if err != nil {
		os.RemoveAll(w.dir)
		return err
	}
	select {
	case line := <-ready:
		w.Took, w.URL = time.Since(began), strings.TrimSpace(strings.TrimPrefix(line, "ready"))
		return nil
	case <-w.ended:
		err = fmt.Errorf("it ended (%w); it said:\n%s", w.err, w.Said())
	case <-time.After(readyTimeout):
		err = fmt.Errorf("not ready after %s; it said:\n%s", readyTimeout, w.Said())
	case <-ctx.Done():
		err = ctx.Err()
	}
	_ = w.Stop() // err says more
	return err
}

// begin starts the program; ready gets the line by which it says that it is ready.
func (w *World) begin() (ready chan string, err error) {
	cmd := exec.Command(w.args[0], w.args[1:]...)
	out, in := io.Pipe()
	cmd.Stdout, cmd.Stderr = io.MultiWriter(in, w), w
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", w.args[0], err)
	}
	ended := make(chan struct{})
	w.cmd, w.ended = cmd, ended
	go func() {
		w.err = cmd.Wait()
		in.Close()
		close(ended)
	}()
	ready = make(chan string, 1)
	go readyLine(out, ready)
	return ready, nil
}

// readyLine finds the line that begins with "ready", and then goes on reading, so that the program never
// waits for its output.
func readyLine(r io.Reader, ready chan<- string) {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "ready") {
			ready <- lines.Text()
			break
		}
	}
	io.Copy(io.Discard, r)
}

// Write keeps the beginning of what the program prints.
func (w *World) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if room := maxSaid - w.said.Len(); room > 0 {
		w.said.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}

// Said gives the beginning of what the program has printed.
func (w *World) Said() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.said.String()
}

// PID gives the program's process id.
func (w *World) PID() int { return w.cmd.Process.Pid }

// Data gives the program's data directory.
func (w *World) Data() string { return filepath.Join(w.dir, "data") }

// Stop stops the program as an operator does and removes its folder. A program that does not
// end in time is killed, and that is an error.
func (w *World) Stop() error {
	defer os.RemoveAll(w.dir)
	w.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-w.ended:
		if w.err != nil {
			return fmt.Errorf("it ended badly: %w", w.err)
		}
		return nil
	case <-time.After(stopTimeout):
		w.cmd.Process.Kill()
		<-w.ended
		return fmt.Errorf("it did not end within %s", stopTimeout)
	}
}

// freePorts finds n free TCP ports in a row and gives the address of the first.
func freePorts(n int) (string, error) {
	for first := 21_000 + os.Getpid()%5000; first < 60_000; first += n {
		if allFree(first, n) {
			return fmt.Sprintf("127.0.0.1:%d", first), nil
		}
	}
	return "", errors.New("no free ports on 127.0.0.1")
}

func allFree(first, n int) bool {
	for port := first; port < first+n; port++ {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			return false
		}
		defer l.Close()
	}
	return true
}
