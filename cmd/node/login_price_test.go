package node_test

import (
	"testing"
	"time"

	"github.com/nearside/nearside/cmd/demo"
	"github.com/nearside/nearside/cmd/node/nodetest"
)

// What only home knows costs distance: a login is two questions to home, one after the other (whether the password is
// right, and the session), and the first use of a token at another edge at most one. From then on the token costs
// nothing. The log of the test has the numbers.
func TestLogin_Price(t *testing.T) {
	w := nodetest.Start(t, nodetest.Topology{Home: 1, Edges: []string{"tokyo", "frankfurt"}, Latency: 1})
	tokyo, frankfurt := w.Node("edge-tokyo"), w.Node("edge-frankfurt")
	tokyo.Client(t).SignUp("ann")
	took := func(f func()) time.Duration {
		began := time.Now()
		f()
		return time.Since(began)
	}
	trip := func(n *nodetest.Node) time.Duration { return 2 * demo.OneWay(n.Region, nodetest.HomeRegion) }
	login, first, again := time.Hour, time.Hour, time.Hour // the best of a few: other tests share the machine
	for range 4 {
		c := tokyo.Client(t)
		login = min(login, took(func() { c.Login("ann") }))
		c = c.At(frankfurt)
		c.Position = "" // it does not wait for what the client has seen
		first = min(first, took(func() { c.OK("GET", "/users/me", nil, nil) }))
		again = min(again, took(func() { c.OK("GET", "/users/me", nil, nil) }))
	}
	t.Logf("login at tokyo %v, a round trip is %v; first use at frankfurt %v, then %v, a round trip is %v", login, trip(tokyo), first, again, trip(frankfurt))
	if limit := 3 * trip(tokyo); login > limit {
		t.Errorf("a login took %v, more than %v", login, limit)
	}
	if limit := 2 * trip(frankfurt); first > limit || again > trip(frankfurt)/2 {
		t.Errorf("the first use of a token took %v, of %v at most, and the second %v", first, limit, again)
	}
}
