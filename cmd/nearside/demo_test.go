package main_test

import (
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/nearside/nearside/cmd/admin"
	"github.com/nearside/nearside/cmd/node/nodetest"

	"github.com/nearside/nearside/core/eventually"
)

// demo does what scripts rely on, starts nodes again that have ended, and leaves no process behind.
func TestDemo_PromisesToScripts(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	port := freeRun(t, 2)
	p := start(t, "demo", "--data", dir, "--listen", fmt.Sprintf("127.0.0.1:%d", port), "--regions", "dublin,tokyo", "--latency", "0.1")
	lines := p.until("ready")
	file := filepath.Join(dir, "demo.json")
	nodes := readNodes(t, file)
	if lines[len(lines)-1] != "ready" || len(nodes) != 5 || len(lines) != 1+len(nodes)+1 {
		t.Fatalf("it printed\n%s\nand demo.json has %+v", strings.Join(lines, "\n"), nodes)
	}
	for i, n := range nodes {
		if !strings.HasPrefix(lines[1+i], n.Name+" ") || !strings.HasSuffix(lines[1+i], n.AdminURL) {
			t.Errorf("the table's line %q is not of %+v", lines[1+i], n)
		}
		if !strings.HasPrefix(n.AdminURL, "http://127.0.0.1:") {
			t.Errorf("%s is administered at %s, which is no loopback address", n.Name, n.AdminURL)
		}
		checkAdmin(t, n, n.byURL)
		if status, _, err := ask(admin.Place{URL: n.AdminURL}, "/v1/distance"); status != http.StatusUnauthorized {
			t.Errorf("%s lets every user of this machine administer it: %d, %v", n.Name, status, err)
		}
	}
	roles := func(n summary) string { return n.Region + " " + strings.Join(n.Roles, ",") }
	for i, want := range []string{"dublin home", "dublin home", "dublin home", "dublin edge", "tokyo edge"} {
		if roles(nodes[i]) != want || (nodes[i].URL != "") != strings.HasSuffix(want, "edge") {
			t.Errorf("node %d is %+v, want %s", i, nodes[i], want)
		}
	}
	for i, n := range nodes[3:] {
		if want := fmt.Sprintf("http://127.0.0.1:%d", port+i); n.URL != want {
			t.Errorf("%s is at %s, want %s", n.Name, n.URL, want)
		}
	}

	ann := nodetest.NewClient(t, nodes[3].URL).SignUp("ann")
	_, square := ann.Room("crew")
	ann.Post(square.ID, "before")
	for _, i := range []int{0, 3} {
		killAndAwait(t, file, i)
	}
	ann.Post(square.ID, "after")
	ann.URL = nodes[4].URL
	if got := ann.Messages(square.ID); !slices.Contains(got, "before") || !slices.Contains(got, "after") {
		t.Errorf("in tokyo: %v", got)
	}

	nodes = readNodes(t, file)
	if code := p.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d after SIGTERM", code)
	}
	for _, n := range nodes {
		if !gone(n.PID) {
			t.Errorf("%s still runs as %d", n.Name, n.PID)
		}
	}
}

// killAndAwait kills a node with -9 and waits until demo.json names its new process, which is
// ready.
func killAndAwait(t *testing.T, file string, i int) {
	t.Helper()
	before := readNodes(t, file)[i]
	if err := syscall.Kill(before.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually.Nil(t, func() error {
		now := readNodes(t, file)[i]
		if now.PID == before.PID {
			return fmt.Errorf("demo.json still names process %d", now.PID)
		}
		status, body, err := get(now.AdminURL + "/readyz")
		if err == nil && status != http.StatusOK {
			err = fmt.Errorf("readyz: %d %s", status, body)
		}
		return err
	})
}

// If the demo itself is killed with -9, its nodes end too, and a new demo in the same directory goes on
// with the same data, at the same addresses.
func TestDemo_Killed_LeavesNoOrphans(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	args := []string{"demo", "--data", dir, "--listen", fmt.Sprintf("127.0.0.1:%d", freeRun(t, 1)), "--regions", "dublin", "--latency", "none"}
	p := start(t, args...)
	p.until("ready")
	nodes := readNodes(t, filepath.Join(dir, "demo.json"))
	p.stop(syscall.SIGKILL)
	p = start(t, args...)
	p.until("ready")
	for _, n := range nodes {
		if !gone(n.PID) {
			t.Errorf("%s still runs as %d", n.Name, n.PID)
		}
	}
	for i, n := range readNodes(t, filepath.Join(dir, "demo.json")) {
		if n.AdminURL != nodes[i].AdminURL || n.URL != nodes[i].URL {
			t.Errorf("%s moved from %s to %s", n.Name, nodes[i].AdminURL, n.AdminURL)
		}
	}
}
