// Package nodetest starts whole deployments in one process for tests: real nodes over real
// loopback QUIC, each with a database of its own on the test binary's PostgreSQL.
//
// The nodes are not separate processes. Kill cuts a node's network before it stops the node, so that the
// other nodes see silence and not a clean stop. What a killed process loses from memory is tested with the
// built program.
//
// Concurrency: a World belongs to its test; a Node's methods may be called from many
// goroutines, but Kill, Restart, Cut and Heal only one after another.
//
// Lifecycle: Start returns when every node is ready; everything stops when the test ends.
package nodetest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nearside/nearside/cmd/admin"
	"github.com/nearside/nearside/cmd/demo"
	"github.com/nearside/nearside/cmd/node"
	"github.com/nearside/nearside/core/eventually"
	"github.com/nearside/nearside/core/pg"
	"github.com/nearside/nearside/core/pg/pgtest"
	"github.com/nearside/nearside/core/secrettest"
	"github.com/nearside/nearside/replication/link"
)

// waitLimit bounds every wait of a test without a limit of its own.
const waitLimit = eventually.Limit

// Topology says what to start. The zero value is one node that is home and edge.
type Topology struct {
	Home    int      // home nodes; default 3, or 1 that is also the only edge when there are no Edges
	Edges   []string // regions with an edge; "edge-" and the region is its name
	Latency float64  // factor of the imitated distances; 0 for none
	Tuning  node.Tuning
	Files   node.Files
	// CertificatesAged is how long ago the nodes' certificates were made.
	CertificatesAged time.Duration
	// Configure changes the configuration of a node before it starts. Optional.
	Configure func(*node.Config)
}

// HomeRegion is the region of the home nodes, which are called virginia-1 and so on.
const HomeRegion = "virginia"

// World is a deployment under test.
type World struct {
	t     testing.TB
	ca    *link.CA
	nodes []*Node

	secrets *secrettest.Secrets // that the clients of the nodes have
}

// Node is one node of a World.
type Node struct {
	Name, Region string

	w    *World
	cfg  node.Config
	run  *node.Node
	wire *severable
	stop context.CancelFunc
	done chan error // holds Run's error
	down bool

	freed func() // ends who impersonates the node; nil: nobody has
}

// Start starts a deployment and returns when every node is ready.
func Start(t testing.TB, top Topology) *World {
	t.Helper()
	w := &World{t: t, secrets: secrettest.New()}
	for _, cfg := range configs(top) {
		n := &Node{Name: cfg.Name, Region: cfg.Region, w: w, cfg: cfg}
		n.cfg.Data = filepath.Join(t.TempDir(), "data")
		n.cfg.Logger = w.secrets.Logger(slog.NewTextHandler(t.Output(), nil)).With("at", cfg.Name)
		w.nodes = append(w.nodes, n)
	}
	w.connect(top)
	t.Cleanup(w.close)
	for _, n := range w.nodes {
		n.start()
	}
	var edges []string
	for _, n := range w.nodes {
		if !n.IsHome() {
			edges = append(edges, n.Certificate())
		}
	}
	if len(edges) > 0 {
		w.Admit(edges...)
	}
	for _, n := range w.nodes {
		n.awaitReady()
	}
	return w
}

// Admit admits nodes by their certificates, as an operator does.
func (w *World) Admit(certificates ...string) {
	w.t.Helper()
	w.Until("the leader to admit nodes", func() error {
		return w.Administer("/v1/pki/admit", admin.Admit{Certificates: certificates})
	})
}

// Administer sends a request to the administration of the leader, and gives what it says if it refuses.
func (w *World) Administer(path string, body any) error {
	for _, n := range w.nodes {
		if !n.down && n.IsHome() && (n.Status().Leader == n.Name || n.Status().Leader == "") {
			return n.Administer(path, body)
		}
	}
	return errors.New("no home node leads")
}

// Administer sends a request to the node's administration, and gives what it says if it refuses.
func (n *Node) Administer(path string, body any) error {
	n.w.t.Helper()
	raw, err := json.Marshal(body)
	n.w.must(err)
	_, err = n.administer(http.MethodPost, path, bytes.NewReader(raw))
	return err
}

// PKI gives what the node knows of who may take part.
func (n *Node) PKI() (out admin.PKI) {
	n.w.t.Helper()
	raw, err := n.administer(http.MethodGet, "/v1/pki", nil)
	n.w.must(err)
	n.w.must(json.Unmarshal(raw, &out))
	return out
}

func (n *Node) administer(method, path string, body io.Reader) ([]byte, error) {
	resp, err := n.Place().Ask(context.WithoutCancel(n.w.t.Context()), method, path, body)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	said, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode/100 != 2 {
		err = fmt.Errorf("%s: %s: %s", n.Name, resp.Status, said)
	}
	return said, err
}

// Certificate gives the node's certificate.
func (n *Node) Certificate() string {
	n.w.t.Helper()
	text, err := admin.ReadCertificate(n.cfg.PKI)
	n.w.must(err)
	return text
}

func configs(top Topology) []node.Config {
	if top.Home == 0 && len(top.Edges) == 0 {
		return []node.Config{{Name: HomeRegion + "-1", Region: HomeRegion, Roles: []string{node.RoleHome, node.RoleEdge}}}
	}
	if top.Home == 0 {
		top.Home = 3
	}
	var all []node.Config
	for i := range top.Home {
		all = append(all, node.Config{Name: fmt.Sprintf("%s-%d", HomeRegion, i+1), Region: HomeRegion, Roles: []string{node.RoleHome}})
	}
	for _, region := range top.Edges {
		all = append(all, node.Config{Name: "edge-" + region, Region: region, Roles: []string{node.RoleEdge}})
	}
	return all
}

// connect gives every node its socket, certificate, database and the list of the others.
func (w *World) connect(top Topology) {
	w.t.Helper()
	now := time.Now()
	ca, err := link.NewCA("test", now)
	w.must(err)
	w.ca = ca
	var home []node.Peer
	for _, n := range w.nodes {
		n.cfg.PKI = filepath.Join(n.cfg.Data, "pki")
		if n.IsHome() {
			_, err := node.GiveIssuer(ca, n.cfg, now)
			w.must(err)
		}
		id := link.IdentityOf(n.Name, n.Region, strings.Join(n.cfg.Roles, ","))
		creds, err := ca.Issue(id, now.Add(-top.CertificatesAged), link.NodeValidity)
		w.must(err)
		w.must(creds.Save(n.cfg.PKI))
		n.bind("127.0.0.1:0")
		n.cfg.Link.Listen = n.wire.LocalAddr().String()
		db := pgtest.Database(w.t)
		db.MaxConns = 5
		n.cfg.Database, n.cfg.Postgres.MaxConns, n.cfg.Tuning, n.cfg.Files = &db, 8, top.Tuning, top.Files
		if n.IsHome() {
			home = append(home, node.Peer{Node: n.Name, Addr: n.cfg.Link.Listen})
		}
		if n.IsEdge() {
			n.cfg.Client.Listen = "127.0.0.1:0"
		}
		unlimited := false // people of tests hurry, and all come from one address
		n.cfg.Rate.Enable = &unlimited
		if top.Configure != nil {
			top.Configure(&n.cfg)
		}
	}
	memory := w.t.TempDir()
	for i, n := range w.nodes {
		n.cfg.Home, n.cfg.Tuning.WitnessDir = home, memory
		if i == 0 {
			w.must(node.Initialise(n.cfg))
		}
		for _, peer := range w.nodes {
			if peer != n {
				delay := float64(demo.OneWay(n.Region, peer.Region).Microseconds()) / 1000 * top.Latency
				n.cfg.Imitate = append(n.cfg.Imitate, node.Imitate{Peer: peer.Name, Addr: peer.cfg.Link.Listen, DelayMS: delay})
			}
		}
	}
}

// close stops the nodes that still run, edges first.
func (w *World) close() {
	for i := len(w.nodes) - 1; i >= 0; i-- {
		if n := w.nodes[i]; !n.down && n.stop != nil {
			if err := n.end(); err != nil {
				w.t.Errorf("%s: %v", n.Name, err)
			}
		}
		w.secrets.Check(w.t, "the log of a node", w.secrets.Log())
		w.nodes[i].checkFile()
	}
}

// checkFile fails the test if there is a secret in the file with the audit trail, if the node writes one.
func (n *Node) checkFile() {
	n.w.t.Helper()
	if n.cfg.Audit.File == "" {
		return
	}
	text, err := os.ReadFile(n.cfg.Audit.File)
	if err != nil {
		n.w.t.Error(err)
	}
	n.w.secrets.Check(n.w.t, "the audit trail of "+n.Name, string(text))
}

// Nodes gives every node, home nodes first.
func (w *World) Nodes() []*Node { return w.nodes }

// Node gives a node by name.
func (w *World) Node(name string) *Node {
	w.t.Helper()
	for _, n := range w.nodes {
		if n.Name == name {
			return n
		}
	}
	w.t.Fatalf("no node %q", name)
	return nil
}

// Leader waits for a home node that leads and gives it.
func (w *World) Leader() (leader *Node) {
	w.t.Helper()
	w.Until("a leader", func() error {
		for _, n := range w.nodes {
			if !n.down && n.IsHome() && n.Status().Leader == n.Name {
				leader = n
				return nil
			}
		}
		return fmt.Errorf("no node says that it leads")
	})
	return leader
}

// WaitConverged waits until every running node has the same position with the same digest, and
// gives it.
func (w *World) WaitConverged(t testing.TB) admin.Position {
	t.Helper()
	var at admin.Position
	w.Until("convergence", func() error {
		seen := map[admin.Position][]string{}
		for _, n := range w.nodes {
			if !n.down {
				at = n.Status().Position
				seen[at] = append(seen[at], n.Name)
			}
		}
		if len(seen) != 1 {
			return fmt.Errorf("positions differ: %v", seen)
		}
		return nil
	})
	return at
}

// Until waits until ok returns nil, and fails the test with its last error after a minute.
func (w *World) Until(what string, ok func() error) {
	w.t.Helper()
	if err := eventually.Poll(context.WithoutCancel(w.t.Context()), waitLimit, ok); err != nil {
		w.t.Fatalf("waiting for %s: %v", what, err)
	}
}

func (w *World) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// IsHome reports whether the node has the role home.
func (n *Node) IsHome() bool { return has(n.cfg.Roles, node.RoleHome) }

// IsEdge reports whether the node serves clients.
func (n *Node) IsEdge() bool { return has(n.cfg.Roles, node.RoleEdge) }

func has(roles []string, role string) bool {
	for _, r := range roles {
		if r == role {
			return true
		}
	}
	return false
}

// URL gives the address for clients; it stays the same when the node is restarted.
func (n *Node) URL() string { return "http://" + n.cfg.Client.Listen }

// Place gives where the node is administered.
func (n *Node) Place() admin.Place { return admin.Place{Socket: admin.SocketPath(n.cfg.Data)} }

// Data gives the node's directory.
func (n *Node) Data() string { return n.cfg.Data }

// Status gives the status of the node.
func (n *Node) Status() admin.Status { return n.run.Status() }

// LinkAddr gives the address at which other nodes reach the node.
func (n *Node) LinkAddr() string { return n.cfg.Link.Listen }

// Certificate makes credentials of a node as somebody can who has the key of the authority. They admit nobody.
func (w *World) Certificate(name, region string, roles ...link.Role) *link.Credentials {
	w.t.Helper()
	creds, err := w.ca.Issue(link.Identity{Region: region, Node: name, Roles: roles}, time.Now(), link.NodeValidity)
	w.must(err)
	return creds
}

// Hostile gives an endpoint with a valid certificate of an edge that was admitted, and none of our code behind it: what
// somebody has who stole an edge.
func (w *World) Hostile() *link.Endpoint {
	w.t.Helper()
	creds := w.Certificate("edge-stolen", "nowhere", link.RoleEdge)
	dir := w.t.TempDir()
	w.must(creds.Save(dir))
	text, err := admin.ReadCertificate(dir)
	w.must(err)
	w.Admit(text)
	return w.Endpoint(creds)
}

// Endpoint gives an endpoint with credentials, and nothing behind it.
func (w *World) Endpoint(creds *link.Credentials) *link.Endpoint {
	w.t.Helper()
	socket, err := link.Bind("127.0.0.1:0")
	w.must(err)
	ep, err := link.New(link.Config{Conn: socket, Credentials: creds})
	w.must(err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- ep.Run(ctx) }()
	w.t.Cleanup(func() {
		cancel()
		<-done
	})
	return ep
}

// Database opens the node's database with the rights of its owner.
func (n *Node) Database() *pg.DB {
	n.w.t.Helper()
	cfg := *n.cfg.Database
	cfg.MaxConns = 2
	return pgtest.Connect(n.w.t, cfg)
}

func (n *Node) bind(addr string) {
	n.w.t.Helper()
	var err error
	n.w.Until("the link socket", func() error { // the earlier socket may still be closing
		n.wire, err = bind(addr)
		return err
	})
}

func (n *Node) start() {
	n.w.t.Helper()
	n.cfg.Socket = n.wire
	run, err := node.New(n.cfg)
	n.w.must(err)
	ctx, cancel := context.WithCancel(context.Background())
	n.run, n.stop, n.done, n.down = run, cancel, make(chan error, 1), false
	go func() { n.done <- run.Run(ctx) }()
}

func (n *Node) awaitReady() {
	n.w.t.Helper()
	select {
	case <-n.run.Ready():
	case err := <-n.done:
		n.down = true
		n.w.t.Fatalf("%s: %v", n.Name, err)
	case <-time.After(waitLimit):
		n.w.t.Fatalf("%s is not ready after %v: %+v", n.Name, waitLimit, n.Status())
	}
	if n.IsEdge() {
		n.cfg.Client.Listen = n.run.URL()[len("http://"):]
	}
}

// end stops the node and waits.
func (n *Node) end() error {
	n.down = true
	n.stop()
	select {
	case err := <-n.done:
		return err
	case <-time.After(waitLimit):
		return fmt.Errorf("does not stop")
	}
}
