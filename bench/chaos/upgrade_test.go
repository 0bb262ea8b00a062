package chaos

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/nearside/nearside/bench/load"
	"github.com/nearside/nearside/bench/world"
	"github.com/nearside/nearside/core/backoff"
	"github.com/nearside/nearside/core/eventually"
)

// What may differ between replicas of two programs: a column that one program does not have, and outcomes,
// because they have more than the digest covers, such as the arguments of a refusal.
const (
	newColumn = "posts.mood"
	said      = "entries.outcome"
)

const reworded = "Somebody else has that name."

// The next program, as changes of this one: a later log version, a refusal with another text and an
// argument, a column, an optional field of a noun, and a rule that takes effect with the version.
var nextProgram = []struct{ file, old, new string }{
	{"core/log.go", "const LogVersion = 1\n", "const LogVersion = 2\n"},
	{"core/apply/user.go", `ID: "app.user.save.username_exists.app_error"}`, `ID: "app.user.save.username_exists.app_error"}.With("try", "another")`},
	{"edge/catalogue/texts/en.json", "An account with that username already exists.", reworded},
	{"core/post.go", "	HasReactions ", "	Mood string `cbor:\"98,keyasint,omitempty\" json:\"-\" db:\"mood\" max:\"16\"`\n	Weather string `cbor:\"99,keyasint,omitempty\" json:\"-\"`\n	HasReactions "},
	{"core/apply/post.go", "	Posts.Insert(x, p)", "	if x.version() >= 2 {\n		p.Mood = \"calm\"\n	}\n	Posts.Insert(x, p)"},
}

const nextMigration = `ALTER TABLE posts ADD COLUMN mood text COLLATE "C" NOT NULL DEFAULT '';`

// buildNext builds the next program.
func buildNext(t *testing.T) string {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	dir, replace := t.TempDir(), map[string]string{}
	write := func(file string, text []byte) {
		to := filepath.Join(dir, fmt.Sprint(len(replace)))
		if err := os.WriteFile(to, text, 0o600); err != nil {
			t.Fatal(err)
		}
		replace[filepath.Join(root, file)] = to
	}
	for _, c := range nextProgram {
		text, err := os.ReadFile(filepath.Join(root, c.file))
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Count(text, []byte(c.old)) != 1 {
			t.Fatalf("%s does not have %q once: change what makes the next program", c.file, c.old)
		}
		write(c.file, bytes.Replace(text, []byte(c.old), []byte(c.new), 1))
	}
	write("core/pg/migrations/replicated/9999_mood.sql", []byte(nextMigration))
	raw, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	overlay, out := filepath.Join(dir, "overlay.json"), filepath.Join(dir, "next")
	if err := os.WriteFile(overlay, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "go", "build", "-overlay", overlay, "-o", out, "./cmd/nearside")
	cmd.Dir = root
	if answer, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build the next program: %v\n%s", err, answer)
	}
	return out
}

// upgrade is a running demo whose program is replaced.
type upgrade struct {
	*testing.T
	world    *world.World
	program  string // what the demo starts its nodes from
	restarts map[string]int
}

// install replaces the program file; running nodes go on with the earlier one.
func (u *upgrade) install(from string) {
	u.Helper()
	raw, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(u.program+".new", raw, 0o700)
	}
	if err == nil {
		err = os.Rename(u.program+".new", u.program)
	}
	if err != nil {
		u.Fatal(err)
	}
}

// restart stops a node as an operator does, and waits until it serves with the installed program.
func (u *upgrade) restart(name string, understands int64) {
	u.Helper()
	s := Storm{World: u.world}
	n, err := s.node(name)
	if err == nil {
		err = syscall.Kill(n.PID, syscall.SIGTERM)
	}
	if err != nil {
		u.Fatal(err)
	}
	u.restarts[name]++
	began := time.Now()
	err = eventually.Poll(u.Context(), backLimit, func() error {
		again, err := s.node(name)
		if err != nil || again.PID == n.PID {
			return errors.Join(err, errors.New("it was not started again"))
		}
		st, err := again.Status(u.Context())
		if err == nil && (st.State != "ready" || st.Understands != understands) {
			err = fmt.Errorf("it is %s and understands %d", st.State, st.Understands)
		}
		return err
	})
	if err == nil {
		err = s.caughtUp(u.Context(), name)
	}
	if err != nil {
		u.Fatalf("%s by the program that understands %d: %v", name, understands, err)
	}
	u.Logf("%s understands %d after %s", name, understands, time.Since(began).Round(time.Millisecond))
}

// listen keeps a socket open at a user's edge and counts how often it was closed.
func listen(ctx context.Context, p load.Person, closed *atomic.Int64) {
	for ctx.Err() == nil {
		s, err := p.Listen(ctx)
		if err != nil {
			backoff.Pause(ctx, retryPause)
			continue
		}
		stop := context.AfterFunc(ctx, s.Close)
		for err == nil {
			_, err = s.Next()
		}
		if stop() {
			s.Close()
			closed.Add(1)
		}
	}
}

// A deployment is upgraded node by node under load, rolled back and upgraded again, and then the next
// version of the log begins. Replicas stay the same, sockets close only when their edge is restarted, and
// nothing that was acknowledged is lost or doubled.
func TestUpgrade_AndBack(t *testing.T) {
	this := os.Getenv("NEARSIDE")
	if this == "" {
		t.Skip("NEARSIDE names no built program: `make test` and `make chaos` set it")
	}
	next := buildNext(t)
	u := &upgrade{T: t, program: filepath.Join(t.TempDir(), "nearside"), restarts: map[string]int{}}
	u.install(this)
	var err error
	if u.world, err = world.Demo(t.Context(), u.program, "--latency", "none", "--regions", "virginia,frankfurt"); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := u.world.Stop(); err != nil {
			t.Error(err)
		}
	}()
	nodes, err := u.world.Nodes()
	if err != nil {
		t.Fatal(err)
	}
	edges, err := u.world.Edges()
	if err != nil {
		t.Fatal(err)
	}
	people, room, err := load.Meet(t.Context(), "upgrade", world.URLs(edges))
	if err != nil {
		t.Fatal(err)
	}
	w := newWriters(room.Channel, people)
	var begun int // messages, so that all differ
	under := func(do func()) {
		ctx, stop := context.WithCancel(t.Context())
		first, ended := begun, make(chan struct{})
		var n atomic.Int64
		go func() {
			defer close(ended)
			load.Open(ctx, time.Second/50, maxWriters, func(int) { w.write(t.Context(), first+int(n.Add(1))) })
		}()
		defer func() { stop(); <-ended; begun += int(n.Load()) }()
		do()
		backoff.Pause(t.Context(), time.Second)
	}
	same := func(when string) {
		t.Helper()
		different, err := u.world.Converged(t.Context(), convergeLimit, newColumn, said)
		if err != nil {
			t.Fatalf("%s: %v", when, err)
		}
		for _, d := range different {
			t.Errorf("%s: %s", when, d)
		}
	}
	listening, stop := context.WithCancel(t.Context())
	closed := make([]atomic.Int64, len(people))
	var sockets sync.WaitGroup
	for i, p := range people {
		sockets.Go(func() { listen(listening, p, &closed[i]) })
	}

	u.install(next)
	under(func() {
		for i := len(nodes) - 1; i >= 2; i-- { // edges and one home node
			u.restart(nodes[i].Name, 2)
		}
		for _, e := range edges { // both programs apply the entry
			_, err := load.SignUp(t.Context(), e.URL, people[0].Name)
			var refused *load.Problem
			if !errors.As(err, &refused) || refused.Text != reworded {
				t.Errorf("a name that is taken, at %s: %v", e.Name, err)
			}
		}
	})
	same("half of it upgraded")
	under(func() {
		u.restart(nodes[1].Name, 2)
		u.restart(nodes[0].Name, 2)
		u.install(this)
		for _, n := range nodes {
			u.restart(n.Name, 1)
		}
	})
	same("rolled back")
	u.install(next)
	under(func() {
		for _, n := range nodes {
			u.restart(n.Name, 2)
		}
		// Gossip needs a moment to tell who understands what.
		err := eventually.Poll(t.Context(), backLimit, func() error {
			answer, err := exec.CommandContext(t.Context(), next, "version", "raise", "--data", u.world.Data()).CombinedOutput()
			if err != nil {
				err = fmt.Errorf("%w: %s", err, answer)
			}
			return err
		})
		for _, n := range nodes {
			err = errors.Join(err, eventually.Poll(t.Context(), backLimit, func() error {
				st, err := n.Status(t.Context())
				if err == nil && st.LogVersion != 2 {
					err = fmt.Errorf("%s is in version %d", n.Name, st.LogVersion)
				}
				return err
			}))
		}
		if err != nil {
			t.Fatal(err)
		}
	})
	stop()
	sockets.Wait()
	for i, e := range edges {
		if got, want := closed[i].Load(), int64(u.restarts[e.Name]); got != want {
			t.Errorf("the socket at %s was closed %d times over %d restarts", e.Name, got, want)
		}
	}
	r, err := Storm{World: u.world, Without: []string{said}, Say: t.Logf}.judge(t.Context(), w, people, room)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range r.Findings {
		t.Error(f)
	}
	if r.Acked != r.Writes || r.Acked < 500 {
		t.Errorf("%d of %d writes were acknowledged", r.Acked, r.Writes)
	}
	for _, n := range nodes {
		lines, err := os.ReadFile(filepath.Join(u.world.Data(), "nodes", n.Name, "log"))
		if err != nil {
			t.Error(err)
		}
		for _, bad := range []string{"taking a snapshot", "outvoted", "home nodes differ"} {
			if bytes.Contains(lines, []byte(bad)) {
				t.Errorf("the log of %s speaks of %q", n.Name, bad)
			}
		}
	}
}
