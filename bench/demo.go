package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/nearside/nearside/bench/chaos"
	"github.com/nearside/nearside/bench/load"
	"github.com/nearside/nearside/bench/world"
	"github.com/nearside/nearside/cmd/demo"
)

const (
	overDistance = 10 * time.Millisecond // that a post may take in addition to its distance
	postPause    = 150 * time.Millisecond
)

// demo measures three regions at their real distances.
func (b *bench) demo(ctx context.Context) error {
	w, err := world.Demo(ctx, b.program, "--latency", "real")
	if err != nil {
		return err
	}
	defer func() { b.stop(w) }()
	edges, err := w.Edges()
	if err != nil {
		return err
	}
	leader, err := w.Leader(ctx)
	if err != nil {
		return err
	}
	people, room, err := load.Meet(ctx, "bench", world.URLs(edges))
	if err != nil {
		return fmt.Errorf("make accounts: %w", err)
	}
	quietDisk()
	if err := b.crossings(ctx, edges, leader, people, room); err != nil {
		return err
	}
	b.localReads(ctx, edges, people, room)
	different, err := w.Converged(ctx, time.Minute)
	if err != nil {
		return err
	}
	b.report.none("demo, tables that differ between replicas afterwards", len(different))
	return b.decodings(ctx, w)
}

// decodings counts how often an entry was decoded in all nodes: once at each, and once where it was checked.
func (b *bench) decodings(ctx context.Context, w *world.World) error {
	nodes, err := w.Nodes()
	if err != nil {
		return err
	}
	var decoded, applied float64
	for _, n := range nodes {
		d, err := n.Metric(ctx, "nearside_commands_decoded_total")
		if err != nil {
			return err
		}
		a, err := n.Metric(ctx, "nearside_apply_entries_total")
		if err != nil {
			return err
		}
		decoded, applied = decoded+d, applied+a
	}
	b.report.atMost(fmt.Sprintf("demo, decodings of an entry in %d nodes", len(nodes)), decoded*float64(len(nodes))/applied, float64(len(nodes)+1), "")
	return nil
}

// crossings measures, from every edge to every edge, how long a post takes to be seen, without the time
// of its distance: to home, and from home to the edge where it is seen.
func (b *bench) crossings(ctx context.Context, edges []world.Node, leader world.Node, people []load.Person, room load.Room) error {
	var beyond []time.Duration
	for from, p := range people {
		n := int(b.duration(20*time.Second) / postPause)
		t, err := openSockets(ctx, people, room.Channel, n)
		if err != nil {
			return err
		}
		if err := t.steadily(ctx, p, room.Channel); err != nil {
			t.close()
			return err
		}
		_, missing := t.wait(ctx, 10*time.Second)
		b.report.none("demo, posted events missed of posts at "+edges[from].Region, missing)
		for to, heard := range t.heard {
			way := demo.OneWay(edges[from].Region, leader.Region) + demo.OneWay(leader.Region, edges[to].Region)
			heard = slices.DeleteFunc(heard, func(d time.Duration) bool { return d == 0 }) // counted above
			slices.Sort(heard)
			b.report.note("%s to %s: way %s, p50 %s, p99 %s", edges[from].Region, edges[to].Region, milliseconds(way),
				milliseconds(load.Quantile(heard, .5)), milliseconds(load.Quantile(heard, .99)))
			for _, d := range heard {
				beyond = append(beyond, d-way)
			}
		}
	}
	slices.Sort(beyond)
	b.report.note("beyond the way: p50 %s", milliseconds(load.Quantile(beyond, .5)))
	b.report.within("demo, post at an edge to posted at another, beyond the way, p99", load.Quantile(beyond, .99), overDistance)
	return nil
}

// steadily posts all messages at a steady rate.
func (t *ears) steadily(ctx context.Context, p load.Person, channel string) error {
	tick := time.NewTicker(postPause)
	defer tick.Stop()
	var wg sync.WaitGroup
	defer wg.Wait()
	failed := make(chan error, len(t.sent))
	idle := make(chan *load.Conn, 16)
	for range cap(idle) {
		idle <- p.Conn()
	}
	for n := range t.sent {
		select {
		case <-tick.C:
		case err := <-failed:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
		c := <-idle // a post to the other side of the world takes longer than the pause
		wg.Go(func() {
			if err := t.post(ctx, c, p, channel, n); err != nil {
				failed <- err
			}
			idle <- c
		})
	}
	return nil
}

func (b *bench) localReads(ctx context.Context, edges []world.Node, people []load.Person, room load.Room) {
	for i, p := range people {
		r := load.Closed(ctx, b.duration(time.Second), b.duration(5*time.Second), []func(context.Context) error{pager(p, room.Channel)})
		b.errors("reads at "+edges[i].Region, r)
		b.report.within("demo, channels/{id}/posts at "+edges[i].Region+", p99", r.Quantile(.99), 20*time.Millisecond)
	}
}

// leader kills the leader again and again.
func (b *bench) leader(ctx context.Context) error {
	return b.storm(ctx, chaos.Leader, 10, func(r chaos.Report) {
		b.report.within("leader killed -9, first accepted write after, median of 10", load.Quantile(r.Resumed, .5), 2*time.Second)
		b.report.note("leader killed: slowest of 10 %s", milliseconds(r.Resumed[len(r.Resumed)-1]))
	})
}

func (b *bench) edge(ctx context.Context) error {
	return b.storm(ctx, chaos.Edge, 3, func(chaos.Report) {})
}

func (b *bench) database(ctx context.Context) error {
	return b.storm(ctx, chaos.Database, 4, func(chaos.Report) {})
}

func (b *bench) follower(ctx context.Context) error {
	return b.storm(ctx, chaos.Follower, 3, func(chaos.Report) {})
}

func (b *bench) frozen(ctx context.Context) error {
	return b.storm(ctx, chaos.Frozen, 3, func(chaos.Report) {})
}

// storm runs a storm in a new demo without distances, which would hide how long the program takes.
func (b *bench) storm(ctx context.Context, victim chaos.Victim, kills int, also func(chaos.Report)) error {
	w, err := world.Demo(ctx, b.program, "--latency", "none")
	if err != nil {
		return err
	}
	defer func() { b.stop(w) }()
	r, err := chaos.Storm{World: w, Victim: victim, Kills: kills, Rate: 200, Say: b.report.note}.Run(ctx)
	if err != nil {
		return err
	}
	slices.Sort(r.Resumed)
	also(r)
	what := fmt.Sprintf("%s, %d times under 200 posts/s", victim, kills)
	b.report.note("%s: %d writes, %d acknowledged", what, r.Writes, r.Acked)
	b.report.none(what+", lost, doubled, reordered or different", len(r.Findings))
	for _, f := range r.Findings {
		b.report.note("%s", f)
	}
	return nil
}
