package chaos

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nearside/nearside/bench/check"
	"github.com/nearside/nearside/bench/load"
	"github.com/nearside/nearside/bench/world"
	"github.com/nearside/nearside/cmd/admin"
	"github.com/nearside/nearside/cmd/node"
	"github.com/nearside/nearside/core/eventually"
	"github.com/nearside/nearside/replication/link"
)

// grown is a home that begins with one node; each is home and edge.
type grown struct {
	*testing.T
	program string
	places  [3]place
	running [3]*world.World
}

// place is where a node is reached.
type place struct{ name, client, link string }

// A deployment of one node becomes one of three while people write. The node that it began with is killed, and nothing is
// lost; it comes back with its old file. When all are killed and one stays away, the two others go on by an operator's
// word, and the third is taken out.
func TestGrow_OneBecomesThree(t *testing.T) {
	program := os.Getenv("NEARSIDE")
	if program == "" {
		t.Skip("NEARSIDE names no built program: `make test` and `make chaos` set it")
	}
	path, err := filepath.Abs(program)
	if err != nil {
		t.Fatal(err)
	}
	g := &grown{T: t, program: path}
	t.Cleanup(g.end)
	for i := range g.places {
		g.places[i] = place{fmt.Sprintf("grow-%d", i+1), free(t, "tcp"), free(t, "udp")}
	}
	g.start(0)
	people, room, err := load.Meet(t.Context(), "grow", []string{g.url(0)})
	if err != nil {
		t.Fatal(err)
	}
	for i := range g.places[1:] { // the same person, at the other edges
		people = append(people, people[0])
		people[i+1].Base = g.url(i + 1)
	}
	w := newWriters(room.Channel, people)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	stopped := make(chan int, 1)
	go func() {
		stopped <- load.Open(ctx, 20*time.Millisecond, maxWriters, func(n int) { w.write(t.Context(), n) })
	}()

	g.refused("home", "remove", "grow-9")
	for i := 1; i < 3; i++ {
		g.cli("home", "add", g.places[i].name, "--addr", g.places[i].link)
		g.refused("home", "add", g.places[i].name, "--addr", g.places[i].link)
		g.start(i)
		g.vote(i+1, 0, 1, 2)
		g.resumes(w)
	}
	g.kill(0)
	g.resumes(w)
	g.begin(0)
	g.vote(3, 0, 1, 2)
	g.resumes(w)

	for i := range g.running {
		g.cutPower(i)
	}
	g.begin(0)
	g.begin(1)
	for i := range 2 {
		g.waits(i, "grow-3 does not answer")
	}
	for i := range 2 {
		g.cli("home", "trust", g.places[i].name, "--disk-is-whole")
	}
	g.resumes(w)
	g.cli("home", "remove", "grow-3")
	g.vote(2, 0, 1)
	g.resumes(w)
	if out := g.cli("home", "list"); strings.Contains(out, "grow-3") || strings.Count(out, "ready") != 2 {
		t.Errorf("the home nodes are:\n%s", out)
	}

	stop()
	<-stopped
	g.check(w, people[:2], room.Channel)
}

// free gives a free address on this machine.
func free(t *testing.T, network string) string {
	t.Helper()
	if network == "udp" {
		c, err := net.ListenPacket(network, "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		return c.LocalAddr().String()
	}
	l, err := net.Listen(network, "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func (g *grown) url(i int) string { return "http://" + g.places[i].client }

// start starts a node with an empty disk. The file of the first lists no other home node; those of the others list
// whoever was there when they came.
func (g *grown) start(i int) {
	g.Helper()
	p := g.places[i]
	config := fmt.Sprintf("name: %s\nregion: local\nroles: [home, edge]\ndata: data\nclient: {listen: %q}\nlink: {listen: %q}\nrate_limit: {enable: false}\n", p.name, p.client, p.link)
	if i > 0 {
		pki := g.TempDir()
		now := time.Now()
		ca, err := link.LoadCA(filepath.Join(g.running[0].Data(), "pki"))
		if err == nil {
			err = node.Certify(ca, node.Config{Name: p.name, Region: "local", Roles: []string{node.RoleHome, node.RoleEdge}, PKI: pki}, now)
		}
		if err != nil {
			g.Fatal(err)
		}
		config += fmt.Sprintf("pki: %q\nhome:\n", pki)
		for _, h := range g.places[:i+1] {
			config += fmt.Sprintf("- {node: %s, addr: %q}\n", h.name, h.link)
		}
	}
	w, err := world.One(g.Context(), g.program, config)
	if err != nil {
		g.Fatal(err)
	}
	g.running[i] = w
}

func (g *grown) kill(i int) {
	g.Helper()
	if err := g.running[i].Kill(); err != nil {
		g.Fatal(err)
	}
}

func (g *grown) begin(i int) {
	g.Helper()
	if err := g.running[i].Begin(); err != nil {
		g.Fatal(err)
	}
}

// cutPower ends all that a node has in memory. Its database is first, because it would notice that its node is gone.
func (g *grown) cutPower(i int) {
	g.Helper()
	if err := killDatabase(g.running[i].Data()); err != nil {
		g.Fatal(err)
	}
	g.kill(i)
	g.unwitness(i)
}

func (g *grown) unwitness(i int) {
	notes, err := filepath.Glob("/dev/shm/nearside-" + g.places[i].name + "-*")
	for _, path := range notes {
		err = errors.Join(err, os.Remove(path))
	}
	if err != nil {
		g.Error(err)
	}
}

func (g *grown) node(i int) world.Node {
	return world.Node{Name: g.places[i].name, Admin: admin.SocketPath(g.running[i].Data())}
}

// vote waits until some nodes are ready and see so many home nodes that vote.
func (g *grown) vote(voting int, nodes ...int) {
	g.Helper()
	eventually.Nil(g, func() error {
		for _, i := range nodes {
			if g.running[i] == nil {
				continue
			}
			st, err := g.node(i).Status(g.Context())
			if err != nil {
				return err
			}
			if st.State != "ready" || st.Home == nil || len(st.Home.Voting) != voting {
				return fmt.Errorf("%s is %q (%s), %+v", g.places[i].name, st.State, st.Reason, st.Home)
			}
		}
		return nil
	})
}

// waits waits until a node says that it does not take part, and why.
func (g *grown) waits(i int, why string) {
	g.Helper()
	eventually.Nil(g, func() error {
		st, err := g.node(i).Status(g.Context())
		if err == nil && (st.State != "waiting" || !strings.Contains(st.Reason, why)) {
			err = fmt.Errorf("%s is %q: %s", g.places[i].name, st.State, st.Reason)
		}
		return err
	})
}

// resumes waits until a write is accepted that was sent after now.
func (g *grown) resumes(w *writers) {
	g.Helper()
	now := time.Now()
	eventually.True(g, "a write is accepted", func() bool { _, ok := w.resumed(now); return ok })
}

// run runs an operator's command, which reaches all nodes.
func (g *grown) run(args ...string) (out string, code int) {
	g.Helper()
	var at []string
	for _, w := range g.running {
		if w != nil {
			at = append(at, admin.SocketPath(w.Data()))
		}
	}
	cmd := exec.CommandContext(g.Context(), g.program, append(args, "--admin", strings.Join(at, ","))...)
	answer, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		g.Fatal(err)
	}
	return string(answer), cmd.ProcessState.ExitCode()
}

// cli runs an operator's command until it works: a leader may just change.
func (g *grown) cli(args ...string) (out string) {
	g.Helper()
	eventually.Nil(g, func() error {
		var code int
		if out, code = g.run(args...); code != 0 {
			return fmt.Errorf("%v: %d: %s", args, code, out)
		}
		return nil
	})
	return out
}

func (g *grown) refused(args ...string) {
	g.Helper()
	if out, code := g.run(args...); code != 1 {
		g.Errorf("%v exits with %d: %s", args, code, out)
	}
}

// check looks for every acknowledged write at some edges.
func (g *grown) check(w *writers, people []load.Person, channel string) {
	g.Helper()
	eventually.Nil(g, func() error {
		one, err := g.node(0).Status(g.Context())
		if err != nil {
			return err
		}
		two, err := g.node(1).Status(g.Context())
		if err == nil && one.Position != two.Position {
			err = fmt.Errorf("%v and %v", one.Position, two.Position)
		}
		return err
	})
	writes := w.history()
	var replicas []check.Replica
	for _, p := range people {
		posts, err := p.History(g.Context(), channel)
		if err != nil {
			g.Fatal(err)
		}
		r := check.Replica{Name: p.Base}
		for _, post := range posts {
			if post.Type == "" {
				r.Posts = append(r.Posts, check.Post{ID: post.ID, Message: post.Message, CreateAt: post.CreateAt})
			}
		}
		replicas = append(replicas, r)
	}
	for _, f := range check.History(writes, replicas) {
		g.Error(f)
	}
	acked := 0
	for _, e := range writes {
		if !e.Acked.IsZero() {
			acked++
		}
	}
	if acked < 100 || acked < len(writes) {
		g.Errorf("%d of %d writes were acknowledged", acked, len(writes))
	}
	g.Logf("%d of %d writes were acknowledged", acked, len(writes))
}

// end stops what runs.
func (g *grown) end() {
	for i, w := range g.running {
		if w == nil {
			continue
		}
		if err := w.Stop(); err != nil && i < 2 {
			g.Errorf("%s: %v", g.places[i].name, err)
		}
		g.unwitness(i)
	}
}
