package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/nearside/nearside/bench/world"
)

// plainServer is a server in a process of its own, as the program that it is compared with.
type plainServer struct {
	url  string
	stop func() // ends the process
}

// startPlain starts this program again as a server of a folder; what is the flag that says which.
func startPlain(ctx context.Context, what, dir string) (*plainServer, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	cmd := exec.CommandContext(ctx, self, what, dir)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) } // it may have to stop PostgreSQL
	cmd.WaitDelay = 20 * time.Second
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		cancel()
		return nil, err
	}
	s := &plainServer{stop: func() { cancel(); _ = cmd.Wait() }} // its error is that it was ended
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		s.stop()
		return nil, fmt.Errorf("start with %s: %w", what, err)
	}
	s.url = strings.TrimSpace(line)
	return s, nil
}

// bePlain runs in the other process: it says where it serves, and serves until ctx ends.
func bePlain(ctx context.Context, h http.Handler) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println("http://" + l.Addr().String())
	srv := &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: h}
	defer context.AfterFunc(ctx, func() { _ = srv.Close() })() // its error would be that of Serve
	if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// beServeFiles is http.ServeFile for a folder.
func beServeFiles(ctx context.Context, dir string) error {
	return bePlain(ctx, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.ServeFile(w, r, filepath.Join(dir, filepath.Base(r.URL.Path)))
	}))
}

// quietDisk writes what the making of databases has left in memory. The kernel would write it half a minute
// later, in the middle of what is measured, and an fsync of the log waits for it: up to 100 ms were seen.
func quietDisk() { syscall.Sync() }

// residentNow and residentPeak give a process's memory in bytes: now, and at most since
// forgetPeak.
func residentNow(pid int) (int64, error)  { return world.Memory(pid, "VmRSS") }
func residentPeak(pid int) (int64, error) { return world.Memory(pid, "VmHWM") }

// forgetPeak resets the peak of a process to its present memory.
func forgetPeak(pid int) error {
	return os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0)
}

// tick is the unit of CPU times in /proc, on every machine.
const tick = 10 * time.Millisecond

// cpuOf gives the CPU time of a process and of all its descendants, including those that have ended and
// were waited for.
func cpuOf(root int) (time.Duration, error) {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return 0, err
	}
	type process struct {
		parent int
		ticks  int64
	}
	all := map[int]process{}
	for _, path := range stats {
		raw, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		// Fields are counted from behind the name, which may have spaces and brackets.
		f := strings.Fields(string(raw[bytes.LastIndexByte(raw, ')')+1:]))
		if len(f) < 15 {
			continue
		}
		var p process
		p.parent, _ = strconv.Atoi(f[1])
		for _, ticks := range f[11:15] { // its user and system time, and those of its children
			n, err := strconv.ParseInt(ticks, 10, 64)
			if err != nil {
				return 0, fmt.Errorf("%s: %w", path, err)
			}
			p.ticks += n
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err != nil {
			return 0, err
		}
		all[pid] = p
	}
	if _, ok := all[root]; !ok {
		return 0, fmt.Errorf("CPU time of process %d: it has ended", root)
	}
	var ticks int64
	for pid, p := range all {
		for at := pid; at != 0; at = all[at].parent {
			if at == root {
				ticks += p.ticks
				break
			}
		}
	}
	return time.Duration(ticks) * tick, nil
}
