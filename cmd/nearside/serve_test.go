package main_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/nearside/nearside/cmd/node/nodetest"
)

// serve prints "ready URL" once on standard output, serves there, locks its directory, and stops with exit
// code 0 on SIGTERM.
func TestServe_PromisesToScripts(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	p := start(t, "serve", "--data", dir, "--listen", "127.0.0.1:0")
	lines := p.until("ready ")
	url := strings.TrimPrefix(lines[0], "ready ")
	if len(lines) != 1 || !strings.HasPrefix(url, "http://127.0.0.1:") {
		t.Fatalf("it printed %q", lines)
	}
	if status, body, err := get(url + "/api/v4/system/ping"); err != nil || status != http.StatusOK {
		t.Errorf("ping: %d %v %s", status, err, body)
	}
	nodes := readNodes(t, filepath.Join(dir, "node.json"))
	if len(nodes) != 1 || nodes[0].PID != p.cmd.Process.Pid || nodes[0].URL != url {
		t.Fatalf("node.json: %+v", nodes)
	}
	if nodes[0].AdminURL != "" {
		t.Errorf("administration is at %s for every user of this machine", nodes[0].AdminURL)
	}
	checkAdmin(t, nodes[0], nodes[0].bySocket)

	second := start(t, "serve", "--data", dir, "--listen", "127.0.0.1:0")
	<-second.done
	if code := second.cmd.ProcessState.ExitCode(); code != 1 || !strings.Contains(second.said.String(), fmt.Sprint("in use by process ", p.cmd.Process.Pid)) {
		t.Errorf("a second process: exit code %d, said %s", code, second.said.String())
	}

	if code := p.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d after SIGTERM", code)
	}
	for line := range p.lines {
		t.Errorf("it also printed %q", line)
	}
}

// What was acknowledged is there after kill -9 of the database, which is started again, and after kill -9
// and a new start of the server.
func TestServe_Killed_KeepsWhatItAcknowledged(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	p := start(t, "serve", "--data", dir, "--listen", "127.0.0.1:0")
	ann := nodetest.NewClient(t, strings.TrimPrefix(p.until("ready ")[0], "ready ")).SignUp("ann")
	_, square := ann.Room("crew")
	for i := range 20 {
		ann.Post(square.ID, fmt.Sprint("post ", i))
	}
	killDatabase(t, dir)
	ann.Post(square.ID, "post 20")
	p.stop(syscall.SIGKILL)
	p = start(t, "serve", "--data", dir, "--listen", strings.TrimPrefix(ann.URL, "http://"), "--site-url", "https://chat.example/", "--site-url", "https://us.chat.example")
	if ready := p.until("ready "); ready[0] != "ready https://chat.example" {
		t.Errorf("with an address for clients: %q", ready)
	}
	checkSite(t, ann.URL)
	if got := ann.Messages(square.ID); len(got) != 21 || got[0] != "post 20" || got[20] != "post 0" {
		t.Errorf("after the kill: %v", got)
	}
}

// checkSite checks what a server does with its --site-url behind a proxy that gives another Host.
func checkSite(t *testing.T, url string) {
	t.Helper()
	_, body, err := get(url + "/api/v4/config/client?format=old")
	if err != nil || !strings.Contains(string(body), `"SiteURL":"https://chat.example"`) {
		t.Errorf("clients are told %s, %v", body, err)
	}
	for origin, want := range map[string]int{
		"https://chat.example": 101, "https://us.chat.example:443": 101, "http://chat.example": 400, url: 400, "https://evil.example.net": 400, "null": 400,
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/api/v4/websocket", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header = http.Header{"Origin": {origin}, "Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="}}
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("a page of %s opens a WebSocket: %d", origin, resp.StatusCode)
		}
		req.URL.Path, req.Header = "/api/v4/system/ping", http.Header{"Origin": {origin}}
		if resp, err = http.DefaultTransport.RoundTrip(req); err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if got := resp.Header.Get("Access-Control-Allow-Origin"); (got == origin) != (want == 101) {
			t.Errorf("a page of %s may read: %q", origin, got)
		}
	}
}

// killDatabase kills the server of a node's database with -9.
func killDatabase(t *testing.T, dir string) {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, "postgres", "*", "postmaster.pid"))
	if err != nil || len(found) != 1 {
		t.Fatalf("postmaster.pid: %v %v", found, err)
	}
	raw, err := os.ReadFile(found[0])
	if err != nil {
		t.Fatal(err)
	}
	var pid int
	if _, err := fmt.Sscan(string(raw), &pid); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}
