package chaos_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nearside/nearside/bench/chaos"
	"github.com/nearside/nearside/bench/load"
	"github.com/nearside/nearside/bench/world"
	"github.com/nearside/nearside/core/eventually"
)

// A disk is what a home node comes back with: of its log and its database, each kept, older, gone or damaged.
type disk struct{ log, database string }

// The eight worst: those that TestSim_DisksOfVoters in package region has shown to lose something if the node
// took part at once, and those that change one of the two alone.
var disks = []disk{
	{"gone", "gone"}, {"older", "older"}, {"gone", "kept"}, {"older", "kept"},
	{"damaged", "kept"}, {"older", "gone"}, {"kept", "older"}, {"kept", "gone"},
}

// A follower that has acknowledged comes back with another disk while the leader is away, and the third home
// node, which was away when it was acknowledged, is back. Nothing that was acknowledged may be lost.
func TestDisks_OfVoters(t *testing.T) {
	d := newDisks(t)
	for _, now := range disks {
		t.Run("log "+now.log+", database "+now.database, func(t *testing.T) { d.day(t, now) })
	}
	d.check(t)
}

type disksWorld struct {
	*world.World
	people []load.Person
	room   load.Room
	acked  []string
}

func newDisks(t *testing.T) *disksWorld {
	t.Helper()
	program := os.Getenv("NEARSIDE")
	if program == "" {
		t.Skip("NEARSIDE names no built program: `make test` and `make chaos` set it")
	}
	path, err := filepath.Abs(program)
	must(t, err)
	w, err := world.Demo(t.Context(), path, "--latency", "none")
	must(t, err)
	t.Cleanup(func() {
		if err := w.Stop(); err != nil {
			t.Error(err)
		}
	})
	edges, err := w.Edges()
	must(t, err)
	d := &disksWorld{World: w}
	d.people, d.room, err = load.Meet(t.Context(), "disks", world.URLs(edges))
	must(t, err)
	return d
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// home waits until every node is ready and every home node votes, and gives the leader and the two followers. As
// long as a node has no vote, both others are needed for each write, and none of them may be stopped.
func (d *disksWorld) home(t *testing.T) (leader, victim, behind world.Node) {
	t.Helper()
	eventually.Nil(t, func() error {
		nodes, err := d.Nodes()
		if err != nil {
			return err
		}
		var home []world.Node
		for _, n := range nodes {
			st, err := n.Status(t.Context())
			if err != nil {
				return err
			}
			if st.State != "ready" {
				return fmt.Errorf("%s is %q: %s", n.Name, st.State, st.Reason)
			}
			switch {
			case st.Home == nil:
				continue
			case len(st.Home.Voting) != 3:
				return fmt.Errorf("by %s only %v vote", n.Name, st.Home.Voting)
			case st.Leader == n.Name:
				leader = n
			default:
				home = append(home, n)
			}
		}
		if len(home) != 2 {
			return fmt.Errorf("%d home nodes follow", len(home))
		}
		victim, behind = home[0], home[1]
		return nil
	})
	return leader, victim, behind
}

func (d *disksWorld) day(t *testing.T, now disk) {
	leader, victim, behind := d.home(t)
	if now.log == "older" || now.database == "older" {
		d.whileDown(t, victim, func(dir string) { run(t, "cp", "-a", dir, dir+"-older") })
		d.write(t, 3)
		leader, victim, behind = d.home(t)
	}
	t.Logf("leader %s, %s gets another disk, %s is away", leader.Name, victim.Name, behind.Name)
	signal(t, behind, syscall.SIGSTOP)
	d.write(t, 10)
	signal(t, leader, syscall.SIGSTOP)
	d.whileDown(t, victim, func(dir string) { now.make(t, dir) })
	signal(t, behind, syscall.SIGCONT)
	if now.log == "kept" {
		d.write(t, 1) // its log has everything, so the two go on
	} else {
		d.refused(t, victim.Name)
	}
	signal(t, leader, syscall.SIGCONT)
	d.write(t, 3)
	d.home(t)
}

// refused waits until a node says that it does not take part, and why, and then has no write acknowledged.
func (d *disksWorld) refused(t *testing.T, name string) {
	t.Helper()
	eventually.Nil(t, func() error {
		nodes, err := d.Nodes()
		if err != nil {
			return err
		}
		i := slices.IndexFunc(nodes, func(n world.Node) bool { return n.Name == name })
		st, err := nodes[i].Status(t.Context())
		if err == nil && (st.State != "waiting" || !strings.Contains(st.Reason, "no other home node leads") && !strings.Contains(st.Reason, "it needs a leader")) {
			err = fmt.Errorf("%s is %q: %s", name, st.State, st.Reason)
		}
		return err
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	for i := 0; ctx.Err() == nil; i++ {
		if d.try(ctx, fmt.Sprintf("%s meanwhile %d", t.Name(), i)) == nil {
			t.Error("a write was acknowledged by one disk that was behind and one that may have forgotten")
		}
	}
}

// whileDown kills a home node and its database, does something with its data directory, and lets it be
// started again.
func (d *disksWorld) whileDown(t *testing.T, n world.Node, do func(dir string)) {
	t.Helper()
	parent := world.Node{PID: d.PID()}
	signal(t, parent, syscall.SIGSTOP) // or it would start the node again at once
	func() {
		defer signal(t, parent, syscall.SIGCONT)
		must(t, chaos.KillDatabase(d.Data(), n.Name))
		must(t, n.Kill())
		do(filepath.Join(d.Data(), "nodes", n.Name, "data"))
	}()
	eventually.Nil(t, func() error {
		nodes, err := d.Nodes()
		if i := slices.IndexFunc(nodes, func(m world.Node) bool { return m.Name == n.Name }); i < 0 || nodes[i].PID == n.PID {
			return errors.Join(err, errors.New(n.Name+" is not started again"))
		}
		return err
	})
}

// make changes a data directory; the copy of an earlier day is beside it.
func (now disk) make(t *testing.T, dir string) {
	t.Helper()
	for part, how := range map[string]string{"region": now.log, "postgres": now.database} {
		path := filepath.Join(dir, part)
		switch how {
		case "gone":
			run(t, "rm", "-rf", path)
		case "older":
			run(t, "rm", "-rf", path)
			run(t, "cp", "-a", filepath.Join(dir+"-older", part), path)
		case "damaged":
			damage(t, filepath.Join(path, "log"))
		}
	}
	run(t, "rm", "-rf", dir+"-older")
}

// damage changes one byte in the middle of every segment of a log.
func damage(t *testing.T, dir string) {
	t.Helper()
	segments, err := filepath.Glob(filepath.Join(dir, "*.wal"))
	must(t, err)
	if len(segments) == 0 {
		t.Fatal("no log in ", dir)
	}
	for _, s := range segments {
		b, err := os.ReadFile(s)
		must(t, err)
		for i := 200; i < len(b); i += 4096 {
			b[i] ^= 0x5a
		}
		must(t, os.WriteFile(s, b, 0o600))
	}
}

func run(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), args[0], args[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %v: %s", args, err, out)
	}
}

func signal(t *testing.T, n world.Node, sig syscall.Signal) {
	t.Helper()
	must(t, syscall.Kill(n.PID, sig))
}

// write has n messages acknowledged, however long it takes.
func (d *disksWorld) write(t *testing.T, n int) {
	t.Helper()
	for i := range n {
		text := fmt.Sprintf("%s %d %d", t.Name(), len(d.acked), i)
		eventually.Nil(t, func() error { return d.try(t.Context(), text) })
	}
}

// try writes a message once and remembers it if it was acknowledged.
func (d *disksWorld) try(ctx context.Context, text string) error {
	ctx, cancel := context.WithTimeout(ctx, 12*time.Second)
	defer cancel()
	c := d.people[0].Conn()
	defer c.Close()
	_, err := c.Call(ctx, "POST", "posts", map[string]string{"channel_id": d.room.Channel, "message": text}, nil)
	if err == nil {
		d.acked = append(d.acked, text)
	}
	return err
}

// check looks for everything that was acknowledged at every edge.
func (d *disksWorld) check(t *testing.T) {
	t.Helper()
	findings, err := d.Converged(t.Context(), time.Minute)
	must(t, err)
	for _, f := range findings {
		t.Error(f)
	}
	for _, p := range d.people {
		posts, err := p.History(t.Context(), d.room.Channel)
		must(t, err)
		there := map[string]bool{}
		for _, post := range posts {
			there[post.Message] = true
		}
		for _, text := range d.acked {
			if !there[text] {
				t.Errorf("%s: %q was acknowledged and is gone", p.Base, text)
			}
		}
	}
	t.Logf("%d messages were acknowledged", len(d.acked))
}
