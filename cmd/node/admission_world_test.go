package node_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/nearside/nearside/cmd/admin"
	"github.com/nearside/nearside/cmd/node/nodetest"
	"github.com/nearside/nearside/core/eventually"
	"github.com/nearside/nearside/replication/link"
)

var allClasses = []link.Class{link.ClassRaft, link.ClassLog, link.ClassForward, link.ClassBlob, link.ClassGossip}

// patience is how long a refusal may take here.
const patience = 500 * time.Millisecond

// meet dials a node for a class and waits whether it refuses, for at most a moment. It gives the open connection, or why
// there is none.
func meet(t *testing.T, ep *link.Endpoint, to *nodetest.Node, class link.Class) (*link.Conn, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), eventually.Limit)
	defer cancel()
	conn, err := ep.Dial(ctx, to.LinkAddr(), class)
	if err != nil {
		return nil, err
	}
	st, err := conn.OpenStream(ctx)
	if err == nil {
		_, err = st.Write([]byte{0xff}) // no frame begins so; the node aborts the stream, or refuses the connection
	}
	if err == nil {
		_ = st.SetReadDeadline(time.Now().Add(patience))
		_, _ = st.Read(make([]byte, 1))
	}
	select {
	case <-conn.Context().Done(): // a little after its streams, if the node refuses
		return nil, context.Cause(conn.Context())
	case <-time.After(patience / 5):
		return conn, nil
	}
}

func turnedAway(t *testing.T, what string, ep *link.Endpoint, to *nodetest.Node, class link.Class, says string) {
	t.Helper()
	conn, err := meet(t, ep, to, class)
	switch {
	case err == nil:
		t.Errorf("%s: %s lets it in for %s", what, to.Name, class)
		conn.Close(link.CodeDone, "")
	case !strings.Contains(err.Error(), says):
		t.Errorf("%s: %s refuses %s with %v, not %q", what, to.Name, class, err, says)
	}
}

// A certificate alone lets nobody in, whatever it says and whoever has made it. A node that is revoked is cut off by every
// other node within five seconds, and comes back only when it is admitted again.
func TestWorld_OnlyAdmittedNodes(t *testing.T) {
	w := nodetest.Start(t, nodetest.Topology{Edges: []string{"frankfurt", "tokyo"}})
	leader, tokyo := w.Leader(), w.Node("edge-tokyo")
	ann := w.Node("edge-frankfurt").Client(t).SignUp("ann")
	_, square := ann.Room("crew")
	w.WaitConverged(t)

	for _, c := range []struct {
		what, name, region, says string
		roles                    []link.Role
	}{
		{"an edge that was never admitted", "edge-unknown", "tokyo", "nearside pki admit", []link.Role{link.RoleEdge}},
		{"a home node that was never admitted", "virginia-9", "virginia", "nearside pki admit", []link.Role{link.RoleHome}},
		{"another key", "edge-tokyo", "tokyo", "another key", []link.Role{link.RoleEdge}},
		{"a home node with another key", "virginia-1", "virginia", "another key", []link.Role{link.RoleHome}},
		{"other roles", "edge-tokyo", "tokyo", "with the roles home,edge", []link.Role{link.RoleHome, link.RoleEdge}},
		{"another region", "edge-tokyo", "berlin", "in berlin", []link.Role{link.RoleEdge}},
	} {
		ep := w.Endpoint(w.Certificate(c.name, c.region, c.roles...))
		for _, class := range allClasses {
			if class != link.ClassRaft || ep.Own().Has(link.RoleHome) {
				turnedAway(t, c.what, ep, w.Nodes()[0], class, c.says)
			}
		}
		turnedAway(t, c.what, ep, tokyo, link.ClassGossip, c.says)
	}

	thief := w.Hostile()
	var held []*link.Conn
	for _, n := range w.Nodes() {
		for _, class := range allClasses[1:] {
			if !n.IsHome() && class != link.ClassGossip {
				continue
			}
			var conn *link.Conn
			w.Until("a stolen edge to get in at "+n.Name, func() (err error) { // others learn of its admission a little later
				conn, err = meet(t, thief, n, class)
				return err
			})
			held = append(held, conn)
		}
	}
	for what, ask := range map[string]admin.Revoke{"the leader": {Node: leader.Name}, "nobody": {Node: "edge-nowhere"}} {
		if err := w.Administer("/v1/pki/revoke", ask); err == nil {
			t.Errorf("%s can be revoked", what)
		}
	}
	began := time.Now()
	for _, name := range []string{"edge-stolen", "edge-tokyo"} {
		if err := w.Administer("/v1/pki/revoke", admin.Revoke{Node: name, Reason: "stolen"}); err != nil {
			t.Fatal(err)
		}
	}
	for _, conn := range held {
		select {
		case <-conn.Context().Done():
		case <-time.After(5 * time.Second):
			t.Errorf("%s stays connected to a revoked node for %s", conn.Peer(), conn.Class())
		}
	}
	w.Until("edge-tokyo to be cut off", func() error {
		if tokyo.Status().Connected {
			return fmt.Errorf("it is connected")
		}
		return nil
	})
	took := time.Since(began)
	if took > 5*time.Second {
		t.Errorf("it took %v to cut off the revoked nodes", took)
	}
	t.Logf("cut off after %v", took)
	turnedAway(t, "a revoked edge", thief, leader, link.ClassLog, "was revoked (stolen)")
	wantReady(w, tokyo, http.StatusServiceUnavailable, "was revoked (stolen)")
	ann.Post(square.ID, "without tokyo")

	w.Admit(tokyo.Certificate())
	w.Until("edge-tokyo to come back", func() error {
		if !tokyo.Status().Connected {
			return fmt.Errorf("it is not connected")
		}
		return nil
	})
	w.WaitConverged(t)
	wantReady(w, tokyo, http.StatusOK, "ready")
}
