package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/nearside/nearside/cmd/admin"
	"github.com/nearside/nearside/cmd/node"
	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/backoff"
)

// startLimit bounds the time from the first process to the last "ready".
const startLimit = 3 * time.Minute

// leftoverLimit bounds the wait for the nodes of a demo that was killed.
const leftoverLimit = 40 * time.Second

// admitEvery is how often the home nodes are asked to admit the edges, until one does.
const admitEvery = 100 * time.Millisecond

// Options say what to run.
type Options struct {
	Dir     string       // required
	Listen  string       // first client address; default 127.0.0.1:8065
	Regions []string     // required: names of Regions, home first
	Factor  float64      // of the imitated distances; 0 for none
	Limited bool         // accounts and addresses may go only so fast
	Binary  string       // required: the program to run nodes with
	Out     io.Writer    // required: the table and "ready"
	Logger  *slog.Logger // default: discard
}

// ParseLatency reads real, none or a factor.
func ParseLatency(s string) (factor float64, err error) {
	switch s {
	case "real":
		return 1, nil
	case "none":
		return 0, nil
	}
	factor, err = strconv.ParseFloat(s, 64)
	if err != nil || !(factor >= 0 && factor <= 10) {
		return 0, core.E(core.KindInvalid, "--latency: %q is none of real, none, or a factor from 0 to 10", s)
	}
	return factor, nil
}

// Demo is a deployment on this machine.
type Demo struct {
	o   Options
	log *slog.Logger

	mu    sync.Mutex
	nodes []node.Summary // guarded by mu: what demo.json says
}

// New checks the options.
func New(o Options) (*Demo, error) {
	if o.Dir == "" || o.Binary == "" || o.Out == nil {
		return nil, core.E(core.KindInvalid, "a demo needs a directory, a program and somewhere to print")
	}
	if err := checkRegions(o.Regions); err != nil {
		return nil, err
	}
	if o.Listen == "" {
		o.Listen = "127.0.0.1:8065"
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	o.Dir = dir
	return &Demo{o: o, log: o.Logger}, nil
}

// Run runs the deployment until ctx ends, and stops it.
func (d *Demo) Run(ctx context.Context) error {
	unlock, err := node.Lock(d.o.Dir, "lock")
	if err != nil {
		return err
	}
	defer unlock()
	fresh := !exists(filepath.Join(d.o.Dir, File))
	nodes, err := d.prepare(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	home := newGroup(context.WithoutCancel(ctx))
	defer home.stop() // last, so that home still answers while the edges stop
	edges := newGroup(context.WithoutCancel(ctx))
	defer edges.stop()
	d.printTable()
	var children []*child
	for i, n := range nodes {
		children = append(children, d.child(i, n))
		if n.Roles[0] == node.RoleHome {
			home.start(children[i])
		}
	}
	admitting, stop := context.WithCancel(ctx)
	admitted := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		defer close(admitted)
		d.admit(admitting, nodes)
	})
	defer wg.Wait()
	defer stop()
	if fresh { // home nodes that know no node yet would let the edges in, and cut them off when they know the first ones
		if err := d.await(ctx, admitted, home); err != nil || ctx.Err() != nil {
			return err
		}
	}
	for i, n := range nodes {
		if n.Roles[0] != node.RoleHome {
			edges.start(children[i])
		}
	}
	failed := func() error { // not an error if we were asked to stop
		select {
		case err := <-home.failed:
			return err
		case err := <-edges.failed:
			return err
		case <-ctx.Done():
			return nil
		}
	}
	if err := d.announce(ctx, children, home, edges); err != nil || ctx.Err() != nil {
		return err
	}
	return failed()
}

// prepare writes what the nodes need and fills d.nodes.
func (d *Demo) prepare(ctx context.Context) ([]node.Config, error) {
	if err := d.awaitLeftovers(ctx); err != nil {
		return nil, err
	}
	nodes, err := plan(d.o)
	if err != nil {
		return nil, err
	}
	if err := issue(d.o.Dir, nodes, time.Now()); err != nil {
		return nil, err
	}
	if !exists(configFile(d.o.Dir, nodes[0].Name)) { // or a home node whose disk is lost would begin a second deployment
		if err := node.Initialise(nodes[0]); err != nil && core.KindOf(err) != core.KindConflict {
			return nil, err
		}
	}
	if err := writeConfigs(d.o.Dir, nodes); err != nil {
		return nil, err
	}
	for _, n := range nodes {
		d.nodes = append(d.nodes, n.Summary())
	}
	return nodes, copyClusters(ctx, d.o.Dir, nodes)
}

// admit asks the leader to admit the edges, as an operator would, until it has. Those that the log knows stay as they are: one
// that was revoked does not come back because the demo is started again.
func (d *Demo) admit(ctx context.Context, nodes []node.Config) {
	in := admin.Admit{OnlyNew: true}
	for _, n := range nodes {
		if n.Is(node.RoleHome) {
			continue
		}
		text, err := admin.ReadCertificate(n.PKI)
		if err != nil {
			d.log.Error("an edge cannot be admitted", "node", n.Name, "error", err)
			continue
		}
		in.Certificates = append(in.Certificates, text)
	}
	raw, err := json.Marshal(in)
	if err != nil {
		d.log.Error("the edges cannot be admitted", "error", err)
		return
	}
	for backoff.Pause(ctx, admitEvery) {
		for _, n := range nodes[:homeNodes] {
			at := admin.Place{Socket: admin.SocketPath(n.Data)}
			resp, err := at.Ask(ctx, http.MethodPost, "/v1/pki/admit", bytes.NewReader(raw))
			if err != nil {
				continue
			}
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return
			}
		}
	}
}

// awaitLeftovers waits until the nodes of an earlier demo that was killed have ended, because they use the
// ports and directories.
func (d *Demo) awaitLeftovers(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, leftoverLimit)
	defer cancel()
	dirs, err := filepath.Glob(filepath.Join(d.o.Dir, "nodes", "*", "data"))
	if err != nil {
		return fmt.Errorf("look for nodes: %w", err)
	}
	for _, dir := range dirs {
		for {
			unlock, err := node.Lock(dir, node.LockFile)
			if err == nil {
				unlock()
				break
			}
			if !backoff.Pause(ctx, 50*time.Millisecond) {
				return err
			}
		}
	}
	return nil
}

func (d *Demo) child(i int, n node.Config) *child {
	return &child{
		name: n.Name, config: configFile(d.o.Dir, n.Name), dir: nodeDir(d.o.Dir, n.Name), binary: d.o.Binary, log: d.log,
		ready:   make(chan struct{}),
		started: func(pid int) { d.record(i, pid) },
	}
}

// record writes demo.json with the new pid, once every node has one.
func (d *Demo) record(i, pid int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.nodes[i].PID = pid
	for _, n := range d.nodes {
		if n.PID == 0 {
			return
		}
	}
	if err := writeSummary(filepath.Join(d.o.Dir, File), d.nodes); err != nil {
		d.log.Error("cannot write the list of the nodes", "error", err)
	}
}

// File is the name of the file that names the nodes.
const File = "demo.json"

func writeSummary(path string, nodes []node.Summary) error {
	raw, err := json.MarshalIndent(map[string]any{"nodes": nodes}, "", "  ")
	if err != nil {
		return err
	}
	return node.WriteFile(path, append(raw, '\n'), 0o644)
}

// await waits until the home nodes have admitted the edges.
func (d *Demo) await(ctx context.Context, admitted <-chan struct{}, home *group) error {
	limit := time.NewTimer(startLimit)
	defer limit.Stop()
	select {
	case <-admitted:
	case err := <-home.failed:
		return err
	case <-limit.C:
		return fmt.Errorf("the home nodes have not admitted the edges after %v; see the logs in %s", startLimit, filepath.Join(d.o.Dir, "nodes"))
	case <-ctx.Done():
	}
	return nil
}

// announce prints "ready" when every node is.
func (d *Demo) announce(ctx context.Context, children []*child, groups ...*group) error {
	limit := time.NewTimer(startLimit)
	defer limit.Stop()
	for _, c := range children {
		select {
		case <-c.ready:
		case err := <-groups[0].failed:
			return err
		case err := <-groups[1].failed:
			return err
		case <-limit.C:
			return fmt.Errorf("node %s is not ready after %v; see %s", c.name, startLimit, filepath.Join(c.dir, "log"))
		case <-ctx.Done():
			return nil
		}
	}
	_, err := fmt.Fprintln(d.o.Out, "ready")
	return err
}

func (d *Demo) printTable() {
	d.mu.Lock()
	defer d.mu.Unlock()
	w := tabwriter.NewWriter(d.o.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NODE\tREGION\tROLES\tURL\tADMIN")
	for _, n := range d.nodes {
		url := n.URL
		if url == "" {
			url = "-"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", n.Name, n.Region, strings.Join(n.Roles, ","), url, n.AdminURL)
	}
	_ = w.Flush()
}

// group is children that are stopped together.
type group struct {
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
	failed chan error // one slot: the first child that gave up
}

func newGroup(ctx context.Context) *group {
	ctx, cancel := context.WithCancel(ctx)
	return &group{ctx: ctx, cancel: cancel, failed: make(chan error, 1)}
}

func (g *group) start(c *child) {
	g.wg.Go(func() {
		if err := c.run(g.ctx); err != nil {
			select {
			case g.failed <- err:
			default:
			}
		}
	})
}

// stop ends every child and waits; each has its own limit.
func (g *group) stop() {
	g.cancel()
	g.wg.Wait()
}

// exists reports whether path exists.
func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
