package node_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nearside/nearside/cmd/admin"
	"github.com/nearside/nearside/cmd/node"
	"github.com/nearside/nearside/cmd/node/nodetest"
	"github.com/nearside/nearside/core"
)

// What an operator does at a node is in the trail, also if the node is an edge far from home, and every node that is told to
// writes the trail into a file. Nothing secret is in any of it, nor in the logs (nodetest looks for that in every test).
func TestAudit_OperatorsAndFiles(t *testing.T) {
	dir := t.TempDir()
	w := nodetest.Start(t, nodetest.Topology{Home: 1, Edges: []string{"tokyo"}, Configure: func(c *node.Config) {
		c.Audit.File = filepath.Join(dir, c.Name)
	}})
	ann := w.Node("edge-tokyo").Client(t).SignUp("ann")
	if a := ann.Do("POST", "/users/login", map[string]string{"login_id": "ann", "password": "not my password"}); a.Status != http.StatusUnauthorized {
		t.Fatalf("a wrong password: %d", a.Status)
	}
	resp, err := w.Node("edge-tokyo").Place().Ask(t.Context(), http.MethodPost, "/v1/cdn/purge", strings.NewReader(`{"all":true}`))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	want := []string{" create_user user_id=" + ann.User.ID.String(), " create_session ", "operator POST /v1/cdn/purge at=edge-tokyo"}
	for _, n := range w.Nodes() {
		w.Until("the trail of "+n.Name, func() error {
			raw, err := os.ReadFile(filepath.Join(dir, n.Name))
			if err != nil {
				return err
			}
			var all strings.Builder
			for line := range strings.Lines(string(raw)) {
				var a core.Audit
				if err := json.Unmarshal([]byte(line), &a); err != nil {
					return err
				}
				fmt.Fprintf(&all, "%s %s %s\n", a.Actor, a.Action, a.Object)
			}
			for _, part := range want {
				if strings.Count(all.String(), part) != 1 {
					return fmt.Errorf("%q is not once in:\n%s", part, all.String())
				}
			}
			return nil
		})
		resp, err := n.Place().Ask(t.Context(), http.MethodGet, "/v1/audits?user=ann&action=create_session&result=done", nil)
		if err != nil {
			t.Fatal(err)
		}
		var got admin.Audits
		if err := json.NewDecoder(resp.Body).Decode(&got); err != nil || len(got.Audits) != 1 || got.Audits[0].UserID != ann.User.ID || got.Audits[0].Address == "" {
			t.Errorf("%s answers %+v, %v", n.Name, got, err)
		}
		resp.Body.Close()
	}
	for _, query := range []string{"?limit=0", "?limit=x", "?user=nobody"} {
		resp, err := w.Nodes()[0].Place().Ask(t.Context(), http.MethodGet, "/v1/audits"+query, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusBadRequest && resp.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %s", query, resp.Status)
		}
	}
}
