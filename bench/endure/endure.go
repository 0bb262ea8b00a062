package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/nearside/nearside/bench/check"
	"github.com/nearside/nearside/bench/world"
	"github.com/nearside/nearside/core/backoff"
)

const (
	quietFor      = 20 * time.Second
	abusedFor     = 20 * time.Second
	settle        = 3 * time.Second  // between two parts, for what was begun in the first to end
	warmFor       = 15 * time.Second // before the first minute
	minute        = time.Minute
	convergeLimit = 3 * time.Minute
	fillFrom      = 5 // minutes; in a shorter run memory says nothing
)

// endurance is one run.
type endurance struct {
	w       *world.World
	program string
	minutes int
	latency string

	began    time.Time
	clock    clock
	people   *people
	abuser   *abuser
	hostile  *hostile
	carol    *carol
	killer   *killer
	observer *observer

	blows     []blow
	fallen    []string // nodes that ended by themselves
	skipped   int
	different []string // tables that differ between replicas
	findings  []string // lost, doubled, reordered or different posts
	lostFiles []string
	changed   []string // rows of others that the hostile edge changed
}

func (e *endurance) run(ctx context.Context) error {
	if err := e.prepare(ctx); err != nil {
		return fmt.Errorf("prepare: %w", err)
	}
	var beside sync.WaitGroup
	besideCtx, stopBeside := context.WithCancel(ctx)
	linkEnded := make(chan error, 1)
	beside.Go(func() { linkEnded <- e.hostile.serve(besideCtx) })
	beside.Go(func() { e.observer.run(besideCtx) })
	peopleCtx, stopPeople := context.WithCancel(ctx)
	beside.Go(func() { e.skipped = e.people.run(peopleCtx) })
	e.began = time.Now()
	err := e.all(ctx)
	stopPeople()
	stopBeside()
	beside.Wait()
	if err != nil {
		return err
	}
	if err := <-linkEnded; err != nil {
		return fmt.Errorf("the hostile edge's links: %w", err)
	}
	return e.judge(ctx)
}

func (e *endurance) prepare(ctx context.Context) error {
	edges, err := e.w.Edges()
	if err != nil {
		return err
	}
	urls := world.URLs(edges)
	if e.people, err = meet(ctx, urls); err != nil {
		return err
	}
	if e.minutes >= fillFrom {
		if err := e.people.fill(ctx); err != nil {
			return fmt.Errorf("fill the caches: %w", err)
		}
	}
	if e.carol, err = newCarol(ctx, urls[1]); err != nil {
		return fmt.Errorf("carol: %w", err)
	}
	var names []string
	for _, who := range e.people.all {
		names = append(names, who.Name)
	}
	if e.abuser, err = newAbuser(ctx, urls, names); err != nil {
		return fmt.Errorf("the abusive account: %w", err)
	}
	if e.hostile, err = newHostile(ctx, e.w, e.program); err != nil {
		return fmt.Errorf("the hostile edge: %w", err)
	}
	if err := e.hostile.learn(e.carol.me, e.carol.room.Channel); err != nil {
		return err
	}
	for _, who := range e.people.all {
		if err := e.hostile.learn(who, e.people.rooms...); err != nil {
			return err
		}
	}
	e.observer = &observer{w: e.w, born: map[int]time.Time{}}
	e.killer, err = newKiller(e.w)
	return err
}

// all goes through the minutes.
func (e *endurance) all(ctx context.Context) error {
	e.clock.set(between, "")
	if !backoff.Pause(ctx, warmFor) {
		return ctx.Err()
	}
	first := time.Now()
	for i := range e.minutes {
		if err := e.oneMinute(ctx, i); err != nil {
			return fmt.Errorf("minute %d: %w", i+1, err)
		}
		e.clock.set(between, "")
		e.observer.measureDisk()
		e.say(i)
		if !backoff.Pause(ctx, max(settle, time.Until(first.Add(time.Duration(i+1)*minute)))) {
			return ctx.Err()
		}
	}
	return nil
}

// oneMinute has a quiet part, an abused one, and a kill.
func (e *endurance) oneMinute(ctx context.Context, i int) error {
	if err := e.noteFallen(); err != nil {
		return err
	}
	e.clock.set(quiet, "")
	if !backoff.Pause(ctx, quietFor) {
		return ctx.Err()
	}
	var beside sync.WaitGroup
	defer beside.Wait()
	attack, stop := context.WithCancel(ctx)
	defer stop()
	f := floods[i%len(floods)]
	e.clock.set(abused, f.name)
	beside.Go(func() { e.abuser.run(attack, f, i) })
	beside.Go(func() { e.hostile.attack(attack) })
	if !backoff.Pause(ctx, abusedFor) {
		return ctx.Err()
	}
	if err := e.noteFallen(); err != nil {
		return err
	}
	e.clock.set(struck, "")
	b, err := e.killer.kill(ctx, i)
	e.blows = append(e.blows, b)
	if err != nil {
		return fmt.Errorf("after the %s (%s) was killed: %w", b.what, b.node, err)
	}
	return nil
}

func (e *endurance) noteFallen() error {
	names, err := e.killer.fallen()
	e.fallen = append(e.fallen, names...)
	return err
}

// judge waits until all replicas agree, and looks for what was lost, doubled or changed.
func (e *endurance) judge(ctx context.Context) (err error) {
	fmt.Println("the load has ended; comparing the replicas")
	if err := e.noteFallen(); err != nil {
		return err
	}
	if e.different, err = e.w.Converged(ctx, convergeLimit); err != nil {
		return fmt.Errorf("the replicas do not come together: %w", err)
	}
	ours := map[string]bool{}
	for _, who := range e.people.all {
		ours[who.ID] = true
	}
	for _, room := range e.people.rooms {
		var replicas []check.Replica
		for _, who := range e.people.all[:len(e.people.urls)] {
			posts, err := who.History(ctx, room)
			if err != nil {
				return fmt.Errorf("read the history at %s: %w", who.Base, err)
			}
			r := check.Replica{Name: who.Base}
			for _, post := range posts {
				if post.Type == "" && ours[post.UserID] { // not a system post
					r.Posts = append(r.Posts, check.Post{ID: post.ID, Message: post.Message, CreateAt: post.CreateAt})
				}
			}
			replicas = append(replicas, r)
		}
		e.findings = append(e.findings, check.History(e.people.writes[room], replicas)...)
	}
	for n, f := range e.people.files {
		if err := e.people.compare(ctx, n+1, f); err != nil {
			e.lostFiles = append(e.lostFiles, err.Error())
		}
	}
	after, err := e.carol.all(ctx)
	if err != nil {
		return fmt.Errorf("read what is carol's: %w", err)
	}
	if after != e.carol.before {
		e.changed = append(e.changed, fmt.Sprintf("carol has\n%s\nand had\n%s", after, e.carol.before))
	}
	return nil
}

// keepJournal writes every write and every kill to a file, in order.
func (e *endurance) keepJournal(path string) error {
	if path == "" {
		return nil
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	out := json.NewEncoder(f)
	for _, b := range e.blows {
		if err := out.Encode(map[string]any{"killed": b.node, "as": b.what, "at": b.at, "back_ms": b.back.Milliseconds()}); err != nil {
			return err
		}
	}
	var writes []check.Write
	for _, list := range e.people.writes {
		writes = append(writes, list...)
	}
	slices.SortFunc(writes, func(x, y check.Write) int { return x.Sent.Compare(y.Sent) })
	for _, w := range writes {
		if err := out.Encode(w); err != nil {
			return err
		}
	}
	return f.Close()
}
