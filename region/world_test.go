package region

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/eventually"
)

// chain is a machine in memory that only chains digests and remembers the entries.
type chain struct {
	mu       sync.Mutex // guards all below
	pos      core.Position
	at       time.Time
	entries  []core.Entry // first application of each id
	digests  map[core.Index]core.Digest
	receipts map[core.ProposalID]core.Receipt
	flushed  core.Position
	light    bool // benchmarks: remember nothing but the position

	failures int   // calls of Apply that still fail
	fatal    error // the error of every Apply
	flushErr error
	bad      map[core.ProposalID]bool // what cannot be applied, however often it is tried
	hang     chan struct{}            // Apply does not return before it is closed, if set
}

func newChain() *chain {
	return &chain{digests: map[core.Index]core.Digest{}, receipts: map[core.ProposalID]core.Receipt{}}
}

func (c *chain) Position() core.Position { c.mu.Lock(); defer c.mu.Unlock(); return c.pos }
func (c *chain) LastAt() time.Time       { c.mu.Lock(); defer c.mu.Unlock(); return c.at }

func (c *chain) Apply(ctx context.Context, entries []core.Entry) ([]core.Receipt, error) {
	c.mu.Lock()
	hang := c.hang
	c.mu.Unlock()
	if hang != nil {
		select {
		case <-hang:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fatal != nil {
		return nil, c.fatal
	}
	if c.failures > 0 {
		c.failures--
		return nil, errors.New("the database is down")
	}
	receipts := make([]core.Receipt, len(entries))
	for i, e := range entries {
		if e.Index > c.pos.Index {
			if c.bad[e.ID] && e.Void == nil {
				return receipts[:i], &core.Stuck{Index: e.Index, Command: "test", Cause: errors.New("refused")}
			}
			receipts[i] = c.one(e)
		}
	}
	return receipts, nil
}

func (c *chain) one(e core.Entry) core.Receipt {
	r := core.Receipt{Index: e.Index, Outcome: []byte("ok")}
	if e.Void != nil {
		r.Outcome = []byte("skipped: " + e.Void.Reason)
	}
	c.pos = core.Position{Epoch: 1, Index: e.Index, Digest: c.pos.Digest.Next(e, r.Outcome)}
	if !e.At.After(c.at) {
		panic(fmt.Sprintf("time ran backwards: %s after %s at %d", e.At, c.at, e.Index))
	}
	c.at = e.At
	if c.light {
		return r
	}
	c.digests[e.Index] = c.pos.Digest
	if first, ok := c.receipts[e.ID]; ok {
		return first
	}
	c.receipts[e.ID] = r
	c.entries = append(c.entries, e)
	return r
}

func (c *chain) Flush(context.Context) (core.Position, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.flushErr == nil {
		c.flushed = c.pos
	}
	return c.pos, c.flushErr
}

func (c *chain) DigestAt(_ context.Context, i core.Index) (core.Digest, bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	d, ok := c.digests[i]
	return d, ok, nil
}

func (c *chain) Snapshot(context.Context, string, bool) (core.Snapshot, error) {
	return nil, core.E(core.KindNotBuilt, "no snapshot")
}

// copyFrom copies the state of from, as a fetch over a link does.
func (c *chain) copyFrom(from *chain) {
	from.mu.Lock()
	defer from.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pos, c.at = from.pos, from.at
	c.entries = append([]core.Entry(nil), from.entries...)
	for k, v := range from.digests {
		c.digests[k] = v
	}
	for k, v := range from.receipts {
		c.receipts[k] = v
	}
}

func (c *chain) ids() []core.ProposalID {
	c.mu.Lock()
	defer c.mu.Unlock()
	var ids []core.ProposalID
	for _, e := range c.entries {
		ids = append(ids, e.ID)
	}
	return ids
}

// tcp is a Network over loopback. cut closes it without a clean stop.
type tcp struct {
	net.Listener
	mu    sync.Mutex // guards all below
	conns []net.Conn
	gone  bool
}

func (n *tcp) Dial(ctx context.Context, addr string) (net.Conn, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", addr)
	return n.keep(c, err)
}

func (n *tcp) Accept() (net.Conn, error) { return n.keep(n.Listener.Accept()) }

func (n *tcp) keep(c net.Conn, err error) (net.Conn, error) {
	if err != nil {
		return nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.gone {
		c.Close()
		return nil, net.ErrClosed
	}
	n.conns = append(n.conns, c)
	return c, nil
}

func (n *tcp) cut() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.gone = true
	n.Listener.Close()
	for _, c := range n.conns {
		c.Close()
	}
}

// world is a home region in one process.
type world struct {
	t      testing.TB
	tune   func(*Config)
	memory string     // where the witnesses are
	mu     sync.Mutex // guards byAddr
	nodes  []*node
}

type node struct {
	world   *world
	name    string
	addr    string
	dir     string
	machine *chain
	net     *tcp

	*Region
	cancel context.CancelFunc
	done   chan error

	fetches  int   // how often this node fetched; guarded by world.mu
	fetchErr error // what fetching gives; guarded by world.mu
}

// newWorld makes n home nodes without starting them.
func newWorld(t testing.TB, n int, tune func(*Config)) *world {
	t.Helper()
	leakcheck(t)
	w := &world{t: t, tune: tune}
	dir := t.TempDir()
	for i := range n {
		name := fmt.Sprintf("h%d", i+1)
		nd := &node{world: w, name: name, dir: filepath.Join(dir, name), machine: newChain(), addr: "127.0.0.1:0"}
		nd.listen()
		w.nodes = append(w.nodes, nd)
	}
	if err := Initialise(w.nodes[0].dir, w.nodes[0].config().Voters); err != nil {
		t.Fatal(err)
	}
	w.memory = filepath.Join(dir, "memory")
	if err := os.Mkdir(w.memory, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, nd := range w.nodes {
			nd.stop()
		}
	})
	return w
}

// startWorld makes n home nodes, starts them and waits for a leader.
func startWorld(t testing.TB, n int, tune func(*Config)) *world {
	t.Helper()
	w := newWorld(t, n, tune)
	for _, nd := range w.nodes {
		nd.start()
	}
	w.allVote()
	return w
}

// allVote waits until every node votes and its start is in the log.
func (w *world) allVote() {
	w.t.Helper()
	eventually.Nil(w.t, func() error {
		lead := w.leader()
		if st := lead.Status(); len(st.Voting) != len(w.nodes) || st.Short != "" {
			return fmt.Errorf("only %v vote: %s", st.Voting, st.Short)
		}
		for _, n := range lead.roster.get().Nodes {
			if at := w.named(n.Node); at.cancel != nil && at.self.identity().Incarnation != n.Incarnation {
				return fmt.Errorf("the start of %s is not registered", n.Node)
			}
		}
		return nil
	})
}

func (w *world) named(name string) *node {
	for _, n := range w.nodes {
		if n.name == name {
			return n
		}
	}
	w.t.Fatal("no node ", name)
	return nil
}

func (n *node) listen() {
	l, err := net.Listen("tcp", n.addr)
	if err != nil {
		n.world.t.Fatal(err)
	}
	n.world.mu.Lock() // other nodes look up this node by its address while it starts again
	defer n.world.mu.Unlock()
	n.addr = l.Addr().String()
	n.net = &tcp{Listener: l}
}

func (n *node) config() Config {
	var voters []Voter
	for _, v := range n.world.nodes {
		voters = append(voters, Voter{v.name, v.addr})
	}
	cfg := Config{
		Node: n.name, Dir: n.dir, Voters: voters, Machine: n.machine, Network: n.net,
		Handover: n.world.handover, Fetch: n.fetchFrom, Ask: n.world.ask, CompareEvery: 50 * time.Millisecond,
		ProposeTimeout: eventually.Limit, NoMajorityAfter: eventually.Limit, WitnessDir: n.world.memory,
	}
	if os.Getenv("REGION_LOG") != "" {
		cfg.Logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug})).With("at", n.name)
	}
	if n.world.tune != nil {
		n.world.tune(&cfg)
	}
	return cfg
}

// start starts a node. If it was stopped before, it has the same directory and machine again.
func (n *node) start() {
	n.world.t.Helper()
	if n.net == nil {
		n.listen()
	}
	r, err := New(n.config())
	if err != nil {
		n.world.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	n.world.mu.Lock()
	n.Region, n.cancel, n.done = r, cancel, done
	n.world.mu.Unlock()
	go func() { done <- r.Run(ctx) }()
}

// stop stops a node cleanly and gives what Run returned.
func (n *node) stop() error {
	if n.cancel == nil {
		if n.net != nil {
			n.net.cut()
		}
		return nil
	}
	n.cancel()
	return n.ended()
}

func (n *node) ended() error {
	select {
	case err := <-n.done:
		n.cancel()
		n.cancel, n.net = nil, nil
		return err
	case <-time.After(eventually.Limit):
		n.world.t.Error(n.name, "did not stop")
		return nil
	}
}

// kill stops a node without a clean stop.
func (n *node) kill() {
	n.net.cut()
	if err := n.stop(); err != nil {
		n.world.t.Log(n.name, "killed:", err)
	}
}

func (w *world) at(addr string) *node {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, n := range w.nodes {
		if n.addr == addr {
			return n
		}
	}
	return nil
}

func (w *world) handover(ctx context.Context, addr string, p core.Proposal) (core.Receipt, error) {
	n := w.at(addr)
	w.mu.Lock()
	r := n.Region
	w.mu.Unlock()
	return r.Order(ctx, p)
}

func (w *world) ask(ctx context.Context, addr string, question []byte) ([]byte, error) {
	n := w.at(addr)
	w.mu.Lock()
	r := n.Region
	w.mu.Unlock()
	if r == nil {
		return nil, errors.New("not running")
	}
	return r.Answer(ctx, question)
}

func (n *node) fetchFrom(_ context.Context, addr string, _ core.Position) error {
	from := n.world.at(addr)
	n.world.mu.Lock()
	defer n.world.mu.Unlock()
	n.fetches++
	if n.fetchErr == nil {
		n.machine.copyFrom(from.machine)
	}
	return n.fetchErr
}

func (n *node) fetched() int {
	n.world.mu.Lock()
	defer n.world.mu.Unlock()
	return n.fetches
}

func (n *node) failFetch(err error) {
	n.world.mu.Lock()
	defer n.world.mu.Unlock()
	n.fetchErr = err
}

// leader waits until a running node leads.
func (w *world) leader() *node {
	w.t.Helper()
	var found *node
	eventually.Nil(w.t, func() error {
		for _, n := range w.nodes {
			if n.cancel != nil && len(n.done) == 1 {
				w.t.Fatal(n.name, " ended: ", <-n.done)
			}
			if n.cancel != nil && n.IsLeader() {
				found = n
				return nil
			}
		}
		return errors.New("no leader")
	})
	return found
}

func (w *world) followers() []*node {
	lead := w.leader()
	var out []*node
	for _, n := range w.nodes {
		if n != lead {
			out = append(out, n)
		}
	}
	return out
}

// agree waits until all running nodes are at one position with one digest.
func (w *world) agree() {
	w.t.Helper()
	eventually.Nil(w.t, func() error {
		var first core.Position
		for _, n := range w.nodes {
			if n.cancel == nil {
				continue
			}
			if p := n.Position(); first == (core.Position{}) {
				first = p
			} else if p != first {
				return fmt.Errorf("%s is at %s, another at %s", n.name, p, first)
			}
		}
		return nil
	})
}

func proposal(i int) core.Proposal {
	var p core.Proposal
	binary.BigEndian.PutUint64(p.ID[8:], uint64(i)+1)
	p.Data = fmt.Appendf(nil, "proposal %d", i)
	return p
}

// propose orders proposals [from, to) one by one and gives their receipts.
func (n *node) propose(from, to int) []core.Receipt {
	n.world.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), eventually.Limit)
	defer cancel()
	var out []core.Receipt
	for i := from; i < to; i++ {
		r, err := n.Propose(ctx, proposal(i))
		if err != nil {
			n.world.t.Fatalf("proposal %d at %s: %v", i, n.name, err)
		}
		out = append(out, r)
	}
	return out
}

// leakcheck fails a test that leaves goroutines of the region or of Raft behind.
func leakcheck(t testing.TB) {
	t.Cleanup(func() {
		eventually.Nil(t, func() error {
			buf := make([]byte, 1<<20)
			for _, g := range strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
				mine := strings.Contains(g, "region.(*") || strings.Contains(g, "hashicorp/raft")
				if mine && !strings.Contains(g, "testing.tRunner") {
					return errors.New("left behind: " + g)
				}
			}
			return nil
		})
	})
}
