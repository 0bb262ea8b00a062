package nodetest

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"path/filepath"
	"time"

	"github.com/nearside/nearside/core/pg/pgtest"
)

// Kill ends the node without a clean stop.
func (n *Node) Kill() {
	n.w.t.Helper()
	n.wire.sever()
	if err := n.end(); err != nil {
		n.w.t.Logf("%s, killed: %v", n.Name, err)
	}
}

// Stop ends the node cleanly.
func (n *Node) Stop() {
	n.w.t.Helper()
	n.w.must(n.end())
}

// Wait waits for the node to end by itself and gives its error.
func (n *Node) Wait() error {
	n.w.t.Helper()
	select {
	case err := <-n.done:
		n.down = true
		return err
	case <-time.After(waitLimit):
		n.w.t.Fatalf("%s still runs after %v", n.Name, waitLimit)
		return nil
	}
}

// Restart starts a node that was killed or stopped, at its old addresses, and waits until it
// is ready.
func (n *Node) Restart() {
	n.w.t.Helper()
	n.Begin()
	n.awaitReady()
}

// Begin is Restart without the wait.
func (n *Node) Begin() {
	n.w.t.Helper()
	if n.freed != nil {
		n.freed() // another process with the name of this node would be taken for the right one
	}
	n.bind(n.cfg.Link.Listen)
	n.start()
}

// Cut makes the node unreachable, and the others for it.
func (n *Node) Cut() { n.cut(true) }

// Heal ends Cut.
func (n *Node) Heal() { n.cut(false) }

func (n *Node) cut(on bool) {
	n.w.t.Helper()
	for _, peer := range n.w.nodes {
		if peer != n && !peer.down {
			peer.path(n.Name, on)
			n.path(peer.Name, on)
		}
	}
}

// path sets the path to one peer through the administration socket, as an operator would.
func (n *Node) path(peer string, blackout bool) {
	n.w.t.Helper()
	for _, i := range n.cfg.Imitate {
		if i.Peer != peer {
			continue
		}
		i.Blackout = blackout
		body, err := json.Marshal(i)
		n.w.must(err)
		resp, err := n.Place().Ask(n.w.t.Context(), http.MethodPut, "/v1/distance", bytes.NewReader(body))
		n.w.must(err)
		said, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			n.w.t.Fatalf("PUT /v1/distance at %s: %s: %s", n.Name, resp.Status, said)
		}
	}
}

// LoseDatabase gives a stopped node an empty database.
func (n *Node) LoseDatabase() {
	n.w.t.Helper()
	db := pgtest.Database(n.w.t)
	n.w.t.Cleanup(n.w.close) // once more: the nodes must stop before this database is dropped
	db.MaxConns = n.cfg.Database.MaxConns
	n.cfg.Database = &db
}

// Empty removes everything from a stopped node except its certificate.
func (n *Node) Empty() {
	n.w.t.Helper()
	n.LoseDatabase()
	n.cfg.Data = filepath.Join(n.w.t.TempDir(), "data")
}

// Spoil changes a stopped node's replica so that it belongs to no history.
func (n *Node) Spoil() {
	n.w.t.Helper()
	db := n.Database()
	defer db.Close()
	for _, sql := range []string{"UPDATE posts SET message = 'spoiled'", "UPDATE applied SET digest = 'ffffffff-ffff-ffff-ffff-ffffffffffff'"} {
		if _, err := db.Exec(n.w.t.Context(), sql); err != nil {
			n.w.t.Fatal(err)
		}
	}
}
