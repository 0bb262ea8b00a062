package main_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nearside/nearside/cmd/admin"
	"github.com/nearside/nearside/core/eventually"
)

const waitLimit = 90 * time.Second

// built is the program, built once for all tests.
var built = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "nearside-program-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "nearside")
	out, err := exec.Command("go", "build", "-o", path, ".").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return path, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if path, err := built(); err == nil {
		os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(code)
}

// program is a running process of the built program.
type program struct {
	t     *testing.T
	cmd   *exec.Cmd
	lines chan string // of standard output; closed at its end
	said  bytes.Buffer
	done  chan struct{} // closed when it has ended
}

func start(t *testing.T, args ...string) *program {
	t.Helper()
	path, err := built()
	if err != nil {
		t.Fatal(err)
	}
	p := &program{t: t, cmd: exec.Command(path, args...), lines: make(chan string, 100), done: make(chan struct{})}
	p.cmd.Stderr = &p.said
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		for s := bufio.NewScanner(out); s.Scan(); {
			p.lines <- s.Text()
		}
		close(p.lines)
		_ = p.cmd.Wait() // the tests read ProcessState
		close(p.done)
	}()
	t.Cleanup(func() {
		select {
		case <-p.done:
		default:
			p.stop(syscall.SIGTERM)
		}
		if t.Failed() {
			t.Logf("%v said:\n%s", args, p.said.String())
		}
	})
	return p
}

// until gives the lines of standard output up to and including one that begins with prefix.
func (p *program) until(prefix string) (lines []string) {
	p.t.Helper()
	limit := time.After(waitLimit)
	for {
		select {
		case line, open := <-p.lines:
			if !open {
				<-p.done
				p.t.Fatalf("it ended before it said %q: %v\n%s", prefix, p.cmd.ProcessState, p.said.String())
			}
			if lines = append(lines, line); strings.HasPrefix(line, prefix) {
				return lines
			}
		case <-limit:
			p.t.Fatalf("it did not say %q within %v, but %q", prefix, waitLimit, lines)
		}
	}
}

// stop sends a signal and gives the exit code.
func (p *program) stop(sig syscall.Signal) int {
	p.t.Helper()
	_ = p.cmd.Process.Signal(sig) // it may have ended
	select {
	case <-p.done:
	case <-time.After(waitLimit):
		_ = p.cmd.Process.Kill()
		p.t.Fatalf("it did not stop within %v of %v", waitLimit, sig)
	}
	return p.cmd.ProcessState.ExitCode()
}

// summary is an entry of demo.json, with every key that scripts may read.
type summary struct {
	Name   string   `json:"name"`
	Region string   `json:"region"`
	Roles  []string `json:"roles"`
	PID    int      `json:"pid"`
	URL    string   `json:"url"`

	AdminSocket string `json:"admin_socket"`
	AdminURL    string `json:"admin_url"`
}

func readNodes(t *testing.T, path string) []summary {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Nodes []summary `json:"nodes"`
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&file); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return file.Nodes
}

func get(url string) (status int, body []byte, err error) { return ask(admin.Place{URL: url}, "") }

// bySocket and byURL ask a node's administration.
func (n summary) bySocket(path string) (int, []byte, error) {
	return ask(admin.Place{Socket: n.AdminSocket}, path)
}

func (n summary) byURL(path string) (int, []byte, error) {
	return ask(admin.Place{URL: n.AdminURL}, path)
}

func ask(at admin.Place, path string) (status int, body []byte, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	resp, err := at.Ask(ctx, http.MethodGet, path, nil)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	var b bytes.Buffer
	_, err = b.ReadFrom(resp.Body)
	return resp.StatusCode, b.Bytes(), err
}

// checkAdmin checks what scripts rely on at an administration address, by get.
func checkAdmin(t *testing.T, n summary, get func(path string) (int, []byte, error)) {
	t.Helper()
	for path, want := range map[string]string{"/healthz": "alive", "/readyz": "ready", "/metrics": "nearside_applied_index"} {
		if status, body, err := get(path); err != nil || status != http.StatusOK || !strings.Contains(string(body), want) {
			t.Errorf("%s%s: %d %v, no %q in it", n.Name, path, status, err, want)
		}
	}
	eventually.Nil(t, func() error { // while the home nodes elect a leader, nobody can name one
		_, body, err := get("/v1/status")
		if err != nil {
			return err
		}
		var st struct {
			Node, Region, Leader string
			Roles                []string
			Position             *struct {
				Epoch  *uint64
				Index  *uint64
				Digest *string
			}
			AppliedLagMS *int64 `json:"applied_lag_ms"`
			Peers        *[]struct{ Node string }
		}
		if err := json.Unmarshal(body, &st); err != nil {
			return fmt.Errorf("%s: %w: %s", n.Name, err, body)
		}
		if st.Node != n.Name || st.Region != n.Region || fmt.Sprint(st.Roles) != fmt.Sprint(n.Roles) || st.Leader == "" ||
			st.Position == nil || st.Position.Epoch == nil || st.Position.Index == nil || st.Position.Digest == nil || len(*st.Position.Digest) != 32 ||
			st.AppliedLagMS == nil || st.Peers == nil {
			return fmt.Errorf("%s: status lacks something: %s", n.Name, body)
		}
		return nil
	})
}

// gone reports whether a process has ended; a zombie counts as ended.
func gone(pid int) bool {
	if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
		return true
	}
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && strings.Contains(string(raw), ") Z ")
}

// freeRun gives the first of n consecutive free ports.
func freeRun(t *testing.T, n int) int {
	t.Helper()
	for port := 20000 + os.Getpid()%20000; port < 60000; port += n {
		var held []net.Listener
		for i := range n {
			if l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port+i)); err == nil {
				held = append(held, l)
			}
		}
		for _, l := range held {
			l.Close()
		}
		if len(held) == n {
			return port
		}
	}
	t.Fatal("no free ports")
	return 0
}
