package node_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/nearside/nearside/cmd/node"
	"github.com/nearside/nearside/cmd/node/nodetest"
)

// line is the connection to a database; it can be cut.
type line struct {
	mu    sync.Mutex
	cut   bool
	conns []net.Conn
}

func (l *line) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cut {
		return nil, errors.New("the line is cut")
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
	if err == nil {
		l.conns = append(l.conns, conn)
	}
	return conn, err
}

func (l *line) set(cut bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = cut
	for _, c := range l.conns {
		_ = c.Close()
	}
	l.conns = nil
}

// ready gives what a node answers at /readyz.
func ready(n *nodetest.Node) (status int, text string, err error) {
	resp, err := n.Place().Ask(context.Background(), "GET", "/readyz", nil)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp.StatusCode, strings.TrimSpace(string(body)), err
}

func wantReady(w *nodetest.World, n *nodetest.Node, want int, contains string) {
	w.Until(fmt.Sprint("readyz to answer ", want, " with ", contains), func() error {
		status, text, err := ready(n)
		if err == nil && (status != want || !strings.Contains(text, contains)) {
			err = fmt.Errorf("%d %s", status, text)
		}
		return err
	})
}

// A node whose database does not answer is not ready and says why; it is ready when it answers again.
func TestReadyz_DatabaseAway(t *testing.T) {
	way := &line{}
	w := nodetest.Start(t, nodetest.Topology{Configure: func(cfg *node.Config) { cfg.Database.Dial = way.dial }})
	n := w.Nodes()[0]
	wantReady(w, n, http.StatusOK, "ready")
	way.set(true)
	wantReady(w, n, http.StatusServiceUnavailable, "no database: the database does not answer")
	if st := n.Status(); st.State != "no database" || st.Reason == "" {
		t.Errorf("status: %q, %q", st.State, st.Reason)
	}
	way.set(false)
	wantReady(w, n, http.StatusOK, "ready")
}

// If two home nodes differ, nobody can know which one is right, so neither is ready.
func TestReadyz_HomeNodesDiffer(t *testing.T) {
	w := nodetest.Start(t, nodetest.Topology{Home: 2, Edges: []string{"tokyo"}})
	ann := w.Node("edge-tokyo").Client(t).SignUp("ann")
	ann.Room("crew")
	w.WaitConverged(t)
	bad := w.Nodes()[0]
	bad.Stop()
	bad.Spoil()
	bad.Begin()
	wantReady(w, bad, http.StatusServiceUnavailable, "differs")
	wantReady(w, w.Nodes()[1], http.StatusServiceUnavailable, "differs")
}
