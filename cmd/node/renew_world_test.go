package node_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/nearside/nearside/cmd/admin"
	"github.com/nearside/nearside/cmd/node/nodetest"
	"github.com/nearside/nearside/replication/link"
)

// Nodes whose certificates have lived for two thirds of their time renew them while they run, with another key that the log
// then has; an operator can order it too. They stay connected, and after a restart they use what they have got.
func TestWorld_CertificatesAreRenewed(t *testing.T) {
	w := nodetest.Start(t, nodetest.Topology{Home: 1, Edges: []string{"tokyo"}, CertificatesAged: 25 * 24 * time.Hour})
	home, tokyo := w.Leader(), w.Node("edge-tokyo")
	keys := func() map[string]string {
		t.Helper()
		out := map[string]string{}
		w.Until("every certificate to be new", func() error {
			got := home.PKI()
			for _, n := range got.Nodes {
				if n.State != "admitted" || time.Until(n.Ends) < link.NodeValidity-24*time.Hour {
					return fmt.Errorf("%s: %s, ends %v, %v", n.Name, n.State, n.Ends, got.Warnings)
				}
				out[n.Name] = n.Key
			}
			if len(out) != 2 || len(got.Warnings) > 0 {
				return fmt.Errorf("%d nodes, warnings %v", len(out), got.Warnings)
			}
			return nil
		})
		return out
	}
	again(tokyo) // open connections keep the certificate that they began with
	before := keys()
	for _, n := range []*nodetest.Node{home, tokyo} {
		if err := n.Administer("/v1/pki/rotate", struct{}{}); err != nil {
			t.Fatal(err)
		}
	}
	again(tokyo)
	after := keys()
	for name, key := range before {
		if after[name] == key {
			t.Errorf("%s has the same key after an operator ordered another one", name)
		}
	}
	w.WaitConverged(t)
	if err := w.Administer("/v1/pki/revoke", admin.Revoke{Node: home.Name}); err == nil {
		t.Error("the last home node can be revoked")
	}
}

func again(n *nodetest.Node) {
	n.Stop()
	n.Restart()
}
