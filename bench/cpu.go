package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nearside/nearside/bench/load"
	"github.com/nearside/nearside/bench/world"
)

const cpuTurns = 5

// operation is what one client does again and again, and what it may cost compared with the earlier
// program.
type operation struct {
	name   string
	job    func(p load.Person, channel string) func(context.Context) error
	target float64
}

var operations = []operation{
	{"createPost", poster, 0.6},
	{"view channel", viewer, 0.6},
	{"users/me", oneself, 1},
	{"a cached page of posts", pager, 1},
}

// side is one of the two programs that are compared.
type side struct {
	world  *world.World
	people []load.Person
	room   load.Room
	spent  [][]time.Duration // CPU time of one operation, by operation and turn
}

// cpu measures the CPU time of the server and its PostgreSQL for one operation, because rates are not
// reliable on a shared machine. The earlier program and the present one run together and are measured in
// turns, so that a disturbance affects both.
func (b *bench) cpu(ctx context.Context) error {
	programs := []string{b.program}
	if b.before != "" {
		programs = append(programs, b.before)
	}
	var sides []*side
	for _, program := range programs {
		s, err := b.side(ctx, program)
		if err != nil {
			return fmt.Errorf("%s: %w", program, err)
		}
		defer func() { b.stop(s.world) }()
		sides = append(sides, s)
	}
	for range cpuTurns {
		for i, o := range operations {
			for _, s := range sides {
				if err := b.turn(ctx, s, i, o); err != nil {
					return fmt.Errorf("%s: %w", o.name, err)
				}
			}
		}
	}
	for i, o := range operations {
		if len(sides) == 1 {
			b.report.note("CPU time of server and PostgreSQL for %s: %s", o.name, microseconds(median(sides[0].spent[i])))
			continue
		}
		var over []float64 // of turns next to each other, because the machine changes its speed over minutes
		for t, ours := range sides[0].spent[i] {
			over = append(over, float64(ours)/float64(sides[1].spent[i][t]))
		}
		slices.Sort(over)
		ours, before := median(sides[0].spent[i]), median(sides[1].spent[i]) // median sorts: the turns are no longer needed
		b.report.note("CPU time of server and PostgreSQL for %s: %s, before %s (medians of %d); over that before %.2f to %.2f", o.name, microseconds(ours), microseconds(before), cpuTurns, over[0], over[len(over)-1])
		b.report.atMost("serve, CPU time for "+o.name+", over that before", over[len(over)/2], o.target, "")
	}
	if len(sides) == 1 {
		b.report.note("CPU time: no ratio, because %s", b.noBefore)
	}
	return nil
}

// side starts a program with one user for each client.
func (b *bench) side(ctx context.Context, program string) (*side, error) {
	w, err := world.Serve(ctx, program)
	if err != nil {
		return nil, err
	}
	s := &side{world: w, spent: make([][]time.Duration, len(operations))}
	if s.people, s.room, err = load.Meet(ctx, "bench", slices.Repeat([]string{w.URL}, clients)); err != nil {
		b.stop(w)
		return nil, fmt.Errorf("make accounts: %w", err)
	}
	return s, nil
}

// turn measures one operation once.
func (b *bench) turn(ctx context.Context, s *side, i int, o operation) error {
	var jobs []func(context.Context) error
	for _, p := range s.people {
		jobs = append(jobs, o.job(p, s.room.Channel))
	}
	load.Closed(ctx, 0, b.duration(time.Second), jobs) // caches get warm
	before, err := cpuOf(s.world.PID())
	if err != nil {
		return err
	}
	r := load.Closed(ctx, 0, b.duration(5*time.Second), jobs)
	after, err := cpuOf(s.world.PID())
	if err != nil {
		return err
	}
	b.errors(o.name, r)
	if len(r.Latencies) == 0 {
		return errors.New("nothing was done")
	}
	s.spent[i] = append(s.spent[i], (after-before)/time.Duration(len(r.Latencies)))
	return nil
}

func median(list []time.Duration) time.Duration {
	slices.Sort(list)
	return list[len(list)/2]
}

func microseconds(d time.Duration) string {
	return fmt.Sprintf("%.0f µs", float64(d)/float64(time.Microsecond))
}

// viewer gives a job that marks a channel as read.
func viewer(p load.Person, channel string) func(context.Context) error {
	return repeat(p, "POST", "/api/v4/channels/members/me/view", fmt.Appendf(nil, `{"channel_id":%q}`, channel))
}

// oneself gives a job that reads the account of its own user.
func oneself(p load.Person, _ string) func(context.Context) error {
	return repeat(p, "GET", "/api/v4/users/me", nil)
}

func repeat(p load.Person, method, path string, body []byte) func(context.Context) error {
	c := p.Conn()
	return func(ctx context.Context) error {
		a, err := c.Do(ctx, method, path, body)
		if err == nil && a.Status != 200 {
			err = fmt.Errorf("%s %s: %d %.200s", method, path, a.Status, a.Body)
		}
		return err
	}
}
