package node_test

import (
	"bytes"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/nearside/nearside/cmd/node"
	"github.com/nearside/nearside/cmd/node/nodetest"
	"github.com/nearside/nearside/core/pg/pgtest"
)

// A configuration that was written is read back as it was, with paths made absolute.
func TestConfig_EncodeAndLoad_GivesTheSame(t *testing.T) {
	dir := t.TempDir()
	want := node.Config{
		Name: "edge-tokyo", Region: "tokyo", Roles: []string{node.RoleEdge}, Data: filepath.Join(dir, "data"), PKI: filepath.Join(dir, "pki"),
		Client: node.Client{Listen: "127.0.0.1:8065", URL: node.URLs{"https://chat.example"}}, Admin: node.Admin{Listen: "127.0.0.1:8067"}, Link: node.Link{Listen: ":8074"},
		Home:    []node.Peer{{Node: "virginia-1", Addr: "10.0.0.1:8074"}},
		Imitate: []node.Imitate{{Peer: "virginia-1", Addr: "10.0.0.1:8074", DelayMS: 72.5, JitterMS: 1, Loss: 0.01}},
		Tuning:  node.Tuning{ElectionTimeout: 300 * time.Millisecond, TrailingLogs: 1000},
	}
	relative := want
	relative.Data, relative.PKI = "data", "pki"
	raw, err := relative.Encode()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "config.yaml")
	if err := os.WriteFile(file, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := node.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty(), cmpopts.IgnoreFields(node.Config{}, "OnReady")); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if err := os.WriteFile(file, bytes.Replace(raw, []byte("- https://chat.example"), []byte("https://chat.example"), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err = node.Load(file); err != nil || len(got.Client.URL) != 1 || got.Client.URL[0] != "https://chat.example" {
		t.Errorf("one address that is no list: %q, %v", got.Client.URL, err)
	}
}

// A node has ended every goroutine that it started when Run returns.
func TestNode_Stopped_LeavesNoGoroutine(t *testing.T) {
	pgtest.Open(t) // its server runs from now on
	before := ours(nil)
	w := nodetest.Start(t, nodetest.Topology{Home: 1, Edges: []string{"tokyo"}})
	ann := w.Node("edge-tokyo").Client(t).SignUp("ann")
	_, square := ann.Room("crew")
	ann.Post(square.ID, "here")
	for _, n := range w.Nodes() {
		n.Stop()
	}
	w.Until("the end of goroutines", func() error { // callbacks of ended connections may still be on their way
		for _, stack := range ours(before) {
			return errors.New(stack)
		}
		return nil
	})
}

// ours gives the stacks of goroutines in our code or that of our libraries, by number, without
// those of tests and those that were there before.
func ours(before map[string]string) map[string]string {
	stacks := map[string]string{}
	buf := make([]byte, 4<<20)
	for stack := range strings.SplitSeq(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		number, _, _ := strings.Cut(stack, " [")
		if _, old := before[number]; old || strings.Contains(stack, "testing.tRunner") {
			continue
		}
		if strings.Contains(stack, "nearside/nearside/") || strings.Contains(stack, "/go/pkg/mod/") {
			stacks[number] = stack
		}
	}
	return stacks
}

// The imitated distance is read and changed while the node runs; what makes no sense is
// refused and changes nothing.
func TestNode_Distance_ChangesWhileRunning(t *testing.T) {
	w := nodetest.Start(t, nodetest.Topology{Home: 1, Edges: []string{"tokyo"}})
	edge := w.Node("edge-tokyo")
	for body, want := range map[string]int{
		`{"peer":"virginia-1","delay_ms":30}`: http.StatusOK,
		`{"peer":"*","delay_ms":40,"loss":0}`: http.StatusOK,
		`{"peer":"atlantis","delay_ms":40}`:   http.StatusNotFound,
		`{"peer":"virginia-1","delay_ms":-1}`: http.StatusBadRequest,
		`{"peer":"virginia-1","loss":2}`:      http.StatusBadRequest,
		`{"peer":"virginia-1","dely_ms":3}`:   http.StatusBadRequest,
		`{"peer":"virginia-1"}{}`:             http.StatusBadRequest,
		`{"peer":`:                            http.StatusBadRequest,
		`[]`:                                  http.StatusBadRequest,
	} {
		if got := edge.Admin(t, "PUT", "/v1/distance", body, nil); got != want {
			t.Errorf("%s: %d, want %d", body, got, want)
		}
	}
	edge.Admin(t, "PUT", "/v1/distance", `{"peer":"virginia-1","delay_ms":55}`, nil)
	w.Until("the distance to be felt", func() error {
		for _, p := range edge.Status().Peers {
			if p.Node == "virginia-1" && p.RTTMS >= 55 {
				return nil
			}
		}
		return errors.New("the round trip is still short")
	})
	var got struct{ Paths []node.Imitate }
	if edge.Admin(t, "GET", "/v1/distance", "", &got); len(got.Paths) != 1 || got.Paths[0].DelayMS != 55 {
		t.Errorf("paths: %+v", got)
	}
}
