package chaos

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/nearside/nearside/bench/check"
	"github.com/nearside/nearside/bench/load"
	"github.com/nearside/nearside/bench/world"
	"github.com/nearside/nearside/core/backoff"
	"github.com/nearside/nearside/core/eventually"
)

// Victim says what a storm kills.
type Victim string

// The victims. Each is killed with -9 under load, except Frozen.
const (
	Leader   Victim = "leader"   // the home node that orders writes
	Edge     Victim = "edge"     // an edge, another one each time
	Database Victim = "database" // the PostgreSQL of a node, the leader's first
	Follower Victim = "follower" // a home node that does not lead
	Frozen   Victim = "frozen"   // the leader, stopped for some seconds: after that it still believes that it leads
)

const (
	backLimit     = 90 * time.Second // for what was killed to serve again
	convergeLimit = 90 * time.Second
	settle        = 2 * time.Second // of steady load before the first and after the last kill
	between       = time.Second     // of steady load after each
	frozenFor     = 4 * time.Second
)

// Storm says what to kill, how often, and under which load.
type Storm struct {
	World  *world.World
	Victim Victim
	Kills  int
	Rate   int // posts a second
	// Without names columns, as TABLE.COLUMN, that may differ between replicas.
	Without []string
	Say     func(format string, args ...any)
}

// Report is the result of a storm. If there are no findings, no promise was broken.
type Report struct {
	Writes, Acked int
	Resumed       []time.Duration // from each kill to the first accepted write that was sent after it
	Findings      []string
}

// Run makes the storm and checks its result.
func (s Storm) Run(ctx context.Context) (Report, error) {
	edges, err := s.World.Edges()
	if err != nil {
		return Report{}, err
	}
	people, room, err := load.Meet(ctx, "storm-"+string(s.Victim), world.URLs(edges))
	if err != nil {
		return Report{}, fmt.Errorf("gather writers: %w", err)
	}
	w := newWriters(room.Channel, people)
	loadCtx, stopLoad := context.WithCancel(ctx)
	stopped := make(chan int, 1)
	go func() {
		stopped <- load.Open(loadCtx, time.Second/time.Duration(s.Rate), maxWriters, func(n int) { w.write(ctx, n) })
	}()
	resumed, err := s.kills(ctx, w)
	stopLoad()
	skipped := <-stopped
	if err != nil {
		return Report{}, err
	}
	r, err := s.judge(ctx, w, people, room)
	r.Resumed = resumed
	if skipped > 0 {
		s.Say("%d writes were not begun: %d were under way already", skipped, maxWriters)
	}
	return r, err
}

// kills kills the victims one after another, each after the one before works again.
func (s Storm) kills(ctx context.Context, w *writers) (resumed []time.Duration, err error) {
	if !backoff.Pause(ctx, settle) {
		return nil, ctx.Err()
	}
	for i := range s.Kills {
		name, back, err := s.kill(ctx, i)
		if err != nil {
			return nil, fmt.Errorf("kill %d: %w", i+1, err)
		}
		at := time.Now()
		var took time.Duration
		err = eventually.Poll(ctx, backLimit, func() (err error) {
			var ok bool
			if took, ok = w.resumed(at); !ok {
				err = errors.New("no write is accepted")
			}
			return err
		})
		if err == nil {
			err = eventually.Poll(ctx, backLimit, back)
		}
		if err != nil {
			return nil, fmt.Errorf("after striking %s: %w", name, err)
		}
		s.Say("struck %s: writes again after %s, well again after %s", name, took.Round(time.Millisecond), time.Since(at).Round(time.Millisecond))
		resumed = append(resumed, took)
		if !backoff.Pause(ctx, between) {
			return nil, ctx.Err()
		}
	}
	if !backoff.Pause(ctx, settle) {
		return nil, ctx.Err()
	}
	return resumed, nil
}

// kill kills the i-th victim. back gives no error once it works again.
func (s Storm) kill(ctx context.Context, i int) (name string, back func() error, err error) {
	leader, err := s.World.Leader(ctx)
	if err != nil {
		return "", nil, err
	}
	edges, err := s.World.Edges()
	if err != nil {
		return "", nil, err
	}
	n := leader
	switch s.Victim {
	case Edge:
		n = edges[i%len(edges)]
	case Follower:
		if n, err = s.follower(leader); err != nil {
			return "", nil, err
		}
	case Frozen:
		back := func() error { return s.caughtUp(ctx, n.Name) }
		return n.Name + " for " + frozenFor.String(), back, n.Freeze(frozenFor)
	case Database:
		n = append([]world.Node{leader}, edges...)[i%(1+len(edges))]
		back := func() error { return s.caughtUp(ctx, n.Name) }
		return "the PostgreSQL of " + n.Name, back, KillDatabase(s.World.Data(), n.Name)
	}
	back = func() error {
		again, err := s.node(n.Name)
		if err == nil && again.PID == n.PID {
			err = errors.New(n.Name + " was not started again")
		}
		if err != nil {
			return err
		}
		return s.caughtUp(ctx, n.Name)
	}
	return n.Name, back, n.Kill()
}

// follower gives a home node other than the leader.
func (s Storm) follower(leader world.Node) (world.Node, error) {
	nodes, err := s.World.Nodes()
	for _, n := range nodes {
		if n.URL == "" && n.Name != leader.Name {
			return n, nil
		}
	}
	return world.Node{}, errors.Join(err, errors.New("home is one node"))
}

func (s Storm) node(name string) (world.Node, error) {
	nodes, err := s.World.Nodes()
	for _, n := range nodes {
		if n.Name == name {
			return n, nil
		}
	}
	return world.Node{}, errors.Join(err, errors.New(name+" is not in demo.json"))
}

// caughtUp fails while a node has not yet applied what the leader has applied now.
func (s Storm) caughtUp(ctx context.Context, name string) error {
	leader, err := s.World.Leader(ctx)
	if err != nil {
		return err
	}
	goal, err := leader.Status(ctx)
	if err != nil {
		return err
	}
	n, err := s.node(name)
	if err != nil {
		return err
	}
	return eventually.Poll(ctx, 5*time.Second, func() error {
		at, err := n.Status(ctx)
		if err == nil && at.Position.Index < goal.Position.Index {
			err = fmt.Errorf("%s is at %d of %d", name, at.Position.Index, goal.Position.Index)
		}
		return err
	})
}

// KillDatabase kills the PostgreSQL server of a node by the pid in its lock file.
func KillDatabase(data, node string) error {
	return killDatabase(filepath.Join(data, "nodes", node))
}

func killDatabase(dir string) error {
	var pid int
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.Name() != "postmaster.pid" {
			return nil // a running server creates and removes files
		}
		text, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		line, _, _ := strings.Cut(string(text), "\n")
		if pid, err = strconv.Atoi(line); err != nil {
			return err
		}
		return fs.SkipAll
	})
	if err != nil {
		return fmt.Errorf("find the PostgreSQL below %s: %w", dir, err)
	}
	if pid <= 1 {
		return errors.New("there is no PostgreSQL to kill below " + dir)
	}
	return syscall.Kill(pid, syscall.SIGKILL)
}

// judge waits until all replicas agree, compares their tables, and checks the history.
func (s Storm) judge(ctx context.Context, w *writers, people []load.Person, room load.Room) (r Report, err error) {
	if r.Findings, err = s.World.Converged(ctx, convergeLimit, s.Without...); err != nil {
		return r, fmt.Errorf("the replicas do not come together: %w", err)
	}
	writes := w.history()
	r.Writes = len(writes)
	for _, e := range writes {
		if !e.Acked.IsZero() {
			r.Acked++
		}
	}
	var replicas []check.Replica
	for _, p := range people {
		posts, err := p.History(ctx, room.Channel)
		if err != nil {
			return r, fmt.Errorf("read the history at %s: %w", p.Base, err)
		}
		replica := check.Replica{Name: p.Base}
		for _, post := range posts {
			if post.Type == "" { // not a system post
				replica.Posts = append(replica.Posts, check.Post{ID: post.ID, Message: post.Message, CreateAt: post.CreateAt})
			}
		}
		replicas = append(replicas, replica)
	}
	r.Findings = append(r.Findings, check.History(writes, replicas)...)
	return r, nil
}
