package node_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/nearside/nearside/cmd/node/nodetest"
	"github.com/nearside/nearside/core"
)

// Guesses at different edges, in different spellings, and before and after the leader is killed are counted
// together, and the ones under way at that moment are not lost or counted twice for their client.
func TestWorld_Guesses_AreCountedAcrossLeaders(t *testing.T) {
	w := nodetest.Start(t, nodetest.Topology{Edges: []string{"frankfurt", "singapore"}})
	edges := []*nodetest.Node{w.Node("edge-frankfurt"), w.Node("edge-singapore")}
	ann := edges[0].Client(t).SignUp("ann")
	w.WaitConverged(t)
	names := []string{"ann", "ANN", "ann@example.com", ann.User.ID.String()}
	guess := func(i int) string {
		for range 50 { // as every client does, while there is no leader
			name := names[i%len(names)]
			a := edges[i%2].Client(t).Do("POST", "/users/login", map[string]string{"id": name, "login_id": name, "password": "a guess"})
			switch {
			case strings.Contains(string(a.Body), "invalid_credentials"):
				return "checked"
			case strings.Contains(string(a.Body), "too_many"):
				return "refused"
			case a.Status != http.StatusServiceUnavailable && a.Status != http.StatusGatewayTimeout:
				t.Errorf("a guess: %d %s", a.Status, a.Body)
				return ""
			}
		}
		t.Error("a guess got no answer")
		return ""
	}
	all := func(from, to int) (checked int) {
		got := make(chan string, to-from)
		for i := from; i < to; i++ {
			go func() { got <- guess(i) }()
		}
		if from > 0 {
			w.Leader().Kill()
		}
		for range to - from {
			if <-got == "checked" {
				checked++
			}
		}
		return checked
	}
	before := all(0, 4)
	after := all(4, 40)
	if before != 4 || before+after > core.MaxAttempts || after == 0 {
		t.Errorf("%d guesses were checked before the leader was killed, and %d then and later", before, after)
	}
	if guess(0) != "refused" || guess(1) != "refused" {
		t.Error("a guess more is checked")
	}
}
