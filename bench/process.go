package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// plainServer is http.ServeFile in a process of its own, so that it shares no more with the
// load than what it is compared with does.
type plainServer struct {
	url string
	cmd *exec.Cmd
}

// serveFiles starts this program again as a server of a folder.
func serveFiles(ctx context.Context, dir string) (*plainServer, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	s := &plainServer{cmd: exec.CommandContext(ctx, self, "-serve-files", dir)}
	s.cmd.Stderr = os.Stderr
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		s.stop()
		return nil, fmt.Errorf("start of http.ServeFile: %w", err)
	}
	s.url = strings.TrimSpace(line)
	return s, nil
}

func (s *plainServer) stop() {
	_ = s.cmd.Process.Kill() // it may be gone
	_ = s.cmd.Wait()
}

// beServeFiles is what the other process does.
func beServeFiles(dir string) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println("http://" + l.Addr().String())
	srv := &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.ServeFile(w, r, filepath.Join(dir, filepath.Base(r.URL.Path)))
	})}
	return srv.Serve(l)
}

// residentNow and residentPeak give a process's memory in bytes: now, and at most since
// forgetPeak.
func residentNow(pid int) (int64, error)  { return memoryField(pid, "VmRSS") }
func residentPeak(pid int) (int64, error) { return memoryField(pid, "VmHWM") }

// forgetPeak makes what a process has now its peak.
func forgetPeak(pid int) error {
	return os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0)
}

func memoryField(pid int, name string) (int64, error) {
	kib, ok := strings.CutSuffix(firstField(fmt.Sprintf("/proc/%d/status", pid), name), " kB")
	n, err := strconv.ParseInt(strings.TrimSpace(kib), 10, 64)
	if !ok || err != nil {
		return 0, fmt.Errorf("memory of process %d: no field %s", pid, name)
	}
	return n << 10, nil
}
