package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nearside/nearside/bench/world"
	"github.com/nearside/nearside/core/eventually"
)

const backLimit = 90 * time.Second // for what was killed to serve again

// blow is one kill.
type blow struct {
	what, node string
	at         time.Time
	back       time.Duration // until it was ready and had caught up
}

// killer kills one process after another. It spares the first edge, so that one process lives through the whole run.
type killer struct {
	w     *world.World
	spare string
	pids  map[string]int // of the processes as this program knows them
}

// victims take turns; edges are those that are not spared.
var victims = []string{"leader", "edge", "follower", "edge", "leader", "edge"}

func newKiller(w *world.World) (*killer, error) {
	nodes, err := w.Nodes()
	if err != nil {
		return nil, err
	}
	k := &killer{w: w, pids: map[string]int{}}
	for _, n := range nodes {
		k.pids[n.Name] = n.PID
		if n.URL != "" && k.spare == "" {
			k.spare = n.Name
		}
	}
	return k, nil
}

// kill kills the i-th victim and waits until it works again.
func (k *killer) kill(ctx context.Context, i int) (b blow, err error) {
	b.what = victims[i%len(victims)]
	n, err := k.choose(ctx, b.what, i)
	if err != nil {
		return b, err
	}
	b.node, b.at = n.Name, time.Now()
	if err := n.Kill(); err != nil {
		return b, fmt.Errorf("kill %s: %w", n.Name, err)
	}
	err = eventually.Poll(ctx, backLimit, func() error { return k.works(ctx, n) })
	b.back = time.Since(b.at)
	return b, err
}

func (k *killer) choose(ctx context.Context, what string, i int) (world.Node, error) {
	leader, err := k.w.Leader(ctx)
	if err != nil || what == "leader" {
		return leader, err
	}
	nodes, err := k.w.Nodes()
	if err != nil {
		return world.Node{}, err
	}
	edge := what == "edge"
	nodes = slices.DeleteFunc(nodes, func(n world.Node) bool { return (n.URL != "") != edge || n.Name == k.spare || n.Name == leader.Name })
	if len(nodes) == 0 {
		return world.Node{}, errors.New("there is no " + what)
	}
	return nodes[i/2%len(nodes)], nil
}

// works gives an error while a killed node is not started again, ready, and as far as the leader is now.
func (k *killer) works(ctx context.Context, was world.Node) error {
	nodes, err := k.w.Nodes()
	if err != nil {
		return err
	}
	i := slices.IndexFunc(nodes, func(n world.Node) bool { return n.Name == was.Name })
	if i < 0 || nodes[i].PID == was.PID {
		return errors.New(was.Name + " was not started again")
	}
	leader, err := k.w.Leader(ctx)
	if err != nil {
		return err
	}
	goal, err := leader.Status(ctx)
	if err != nil {
		return err
	}
	at, err := nodes[i].Status(ctx)
	switch {
	case err != nil:
		return err
	case at.State != "ready":
		return fmt.Errorf("%s is %q: %s", was.Name, at.State, at.Reason)
	case at.Position.Index+behindAtMost < goal.Position.Index:
		return fmt.Errorf("%s is at %d of %d", was.Name, at.Position.Index, goal.Position.Index)
	}
	k.pids[was.Name] = nodes[i].PID
	return nil
}

// behindAtMost is how many entries a node may be behind that has caught up: the log goes on.
const behindAtMost = 50

// fallen gives the nodes whose process ended without having been killed.
func (k *killer) fallen() (names []string, err error) {
	nodes, err := k.w.Nodes()
	for _, n := range nodes {
		if k.pids[n.Name] != n.PID {
			names = append(names, n.Name)
			k.pids[n.Name] = n.PID
		}
	}
	return names, err
}
