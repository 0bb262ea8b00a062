package node_test

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/nearside/nearside/cmd/node"
	"github.com/nearside/nearside/cmd/node/nodetest"
)

// traces gives the names of the spans in a file, by trace.
func traces(t *testing.T, file string) map[string][]string {
	t.Helper()
	in, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	found := map[string][]string{}
	for lines := bufio.NewScanner(in); lines.Scan(); {
		var span struct {
			Name        string
			SpanContext struct{ TraceID string }
		}
		if err := json.Unmarshal(lines.Bytes(), &span); err != nil {
			t.Fatal(err)
		}
		found[span.SpanContext.TraceID] = append(found[span.SpanContext.TraceID], span.Name)
	}
	return found
}

// One trace shows a post on its whole way: the request and its proposal at the edge, the order
// and the replica at home, and the replica and the sockets of both edges.
func TestTrace_SpansEveryNode(t *testing.T) {
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name+".json") }
	w := nodetest.Start(t, nodetest.Topology{Home: 1, Edges: []string{"frankfurt", "tokyo"}, Configure: func(cfg *node.Config) {
		cfg.Trace.File = file(cfg.Name)
	}})
	ann := w.Node("edge-frankfurt").Client(t).SignUp("ann")
	_, square := ann.Room("crew")
	ann.Post(square.ID, "here")
	w.WaitConverged(t)
	for _, n := range slices.Backward(w.Nodes()) {
		n.Stop() // so that every span is in its file
	}
	near, home, far := traces(t, file("edge-frankfurt")), traces(t, file("virginia-1")), traces(t, file("edge-tokyo"))
	whole := 0
	for id, here := range near {
		if !slices.Contains(here, "propose") {
			continue
		}
		if !has(here, "apply") || !has(home[id], "order", "apply") || !has(far[id], "apply") {
			t.Errorf("trace %s: at the edge %v, at home %v, at another edge %v", id, here, home[id], far[id])
			continue
		}
		if has(here, "fan-out") && has(far[id], "fan-out") {
			whole++
		}
	}
	if whole == 0 {
		t.Errorf("no trace goes from the request to the sockets of both edges: %v", near)
	}
}

func has(all []string, names ...string) bool {
	for _, n := range names {
		if !slices.Contains(all, n) {
			return false
		}
	}
	return true
}

// An error in the settings of traces names the key that must be corrected.
func TestTrace_BadSettings_NameTheKey(t *testing.T) {
	for want, trace := range map[string]node.Trace{
		"trace.ratio": {Ratio: 1.5}, "trace.otlp": {OTLP: "127.0.0.1:4318"},
	} {
		cfg := node.Config{Name: "n", Region: "r", Roles: []string{node.RoleHome}, Data: "d", Trace: trace}
		if err := cfg.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q in %v", want, err)
		}
	}
}
