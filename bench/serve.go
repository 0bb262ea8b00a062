package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/nearside/nearside/bench/load"
	"github.com/nearside/nearside/bench/world"
)

const (
	clients     = 16
	sockets     = 200
	fanoutPosts = 50 // a second
	pagePosts   = 60
)

// duration gives the length of a load.
func (b *bench) duration(d time.Duration) time.Duration {
	if b.short {
		return d / 5
	}
	return d
}

// serve measures one node alone.
func (b *bench) serve(ctx context.Context) error {
	w, err := b.starts(ctx)
	if err != nil {
		return err
	}
	defer func() { b.stop(w) }()
	people, room, err := load.Meet(ctx, "bench", slices.Repeat([]string{w.URL}, sockets))
	if err != nil {
		return fmt.Errorf("make accounts: %w", err)
	}
	quietDisk()
	// Light loads first, because the database is busy for a while after a heavy one.
	if err := b.fanout(ctx, people, room); err != nil {
		return err
	}
	b.posts(ctx, people[:clients], room)
	b.pages(ctx, people[:clients], room)
	return nil
}

// starts measures the time from an empty folder to ready, three times, and leaves the last one running.
func (b *bench) starts(ctx context.Context) (*world.World, error) {
	var took []time.Duration
	for {
		w, err := world.Serve(ctx, b.program)
		if err != nil {
			return nil, err
		}
		if took = append(took, w.Took); len(took) == 3 {
			b.report.within("serve, empty folder to ready (slowest of 3)", slices.Max(took), 6*time.Second)
			return w, nil
		}
		b.stop(w)
	}
}

func (b *bench) stop(w *world.World) {
	if err := w.Stop(); err != nil {
		b.report.broken("stopping", err)
	}
}

// poster gives a job that posts a message of ordinary length.
func poster(p load.Person, channel string) func(context.Context) error {
	c, n, run := p.Conn(), 0, time.Now().UnixNano() // an id that was sent before would only give the earlier post
	return func(ctx context.Context) error {
		n++
		return post(ctx, c, p, channel, fmt.Sprintf("message %d of %s: shall we meet at noon to look at the plan?", n, p.Name), fmt.Sprintf("%d:%d", run, n))
	}
}

func post(ctx context.Context, c *load.Conn, p load.Person, channel, message, pending string) error {
	body, err := json.Marshal(map[string]string{"channel_id": channel, "message": message, "pending_post_id": p.ID + ":" + pending})
	if err != nil {
		return err
	}
	a, err := c.Do(ctx, "POST", "/api/v4/posts", body)
	if err == nil && a.Status != 201 {
		err = fmt.Errorf("post: %d %.200s", a.Status, a.Body)
	}
	return err
}

func (b *bench) posts(ctx context.Context, people []load.Person, room load.Room) {
	var jobs []func(context.Context) error
	for _, p := range people {
		jobs = append(jobs, poster(p, room.Channel))
	}
	r := load.Closed(ctx, b.duration(3*time.Second), b.duration(15*time.Second), jobs)
	b.errors("posts", r)
	b.report.atLeast("serve, posts accepted a second, 16 clients", r.Rate(), 3000, "/s")
	b.report.within("serve, posts accepted, p99", r.Quantile(.99), 20*time.Millisecond)
}

func (b *bench) pages(ctx context.Context, people []load.Person, room load.Room) {
	var jobs []func(context.Context) error
	for _, p := range people {
		jobs = append(jobs, pager(p, room.Channel))
	}
	r := load.Closed(ctx, b.duration(2*time.Second), b.duration(10*time.Second), jobs)
	b.errors("pages", r)
	b.report.atLeast("serve, channels/{id}/posts (60 posts) a second, 16 clients", r.Rate(), 4000, "/s")
	b.report.within("serve, channels/{id}/posts (60 posts), p99", r.Quantile(.99), 15*time.Millisecond)
}

// pager gives a job that reads the newest page of a channel.
func pager(p load.Person, channel string) func(context.Context) error {
	c, path := p.Conn(), fmt.Sprintf("/api/v4/channels/%s/posts?page=0&per_page=%d", channel, pagePosts)
	return func(ctx context.Context) error {
		a, err := c.Do(ctx, "GET", path, nil)
		if err == nil && (a.Status != 200 || len(a.Body) < pagePosts*100) {
			err = fmt.Errorf("page: %d, %d bytes", a.Status, len(a.Body))
		}
		return err
	}
}

func (b *bench) errors(what string, r load.Result) {
	if r.Errors > 0 {
		b.report.none(what+", errors", r.Errors)
		b.report.note("%s: last error: %v", what, r.LastError)
	}
}

// fanout measures the time from sending a post to its event at each socket.
func (b *bench) fanout(ctx context.Context, people []load.Person, room load.Room) error {
	all, missing, err := b.hear(ctx, people, room)
	if err != nil {
		return err
	}
	what := fmt.Sprintf("serve, post to posted at %d sockets, %d posts/s", len(people), fanoutPosts)
	b.report.within(what+", p50", load.Quantile(all, .5), 2*time.Millisecond)
	b.report.within(what+", p99", load.Quantile(all, .99), 8*time.Millisecond)
	b.report.none("serve, posted events that a socket missed", missing)
	return b.bareFanout(ctx)
}

// bareFanout measures the same of a server that does only what the machine must do.
func (b *bench) bareFanout(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "nearside-bare")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	s, err := startPlain(ctx, "-bare", dir)
	if err != nil {
		return err
	}
	defer s.stop()
	for _, n := range []int{1, sockets} {
		all, missing, err := b.hear(ctx, slices.Repeat([]load.Person{{Base: s.url, Name: "bare", ID: "bare", Token: "-"}}, n), load.Room{Channel: "bare-channel"})
		if err != nil {
			return fmt.Errorf("bare: %w", err)
		}
		b.report.note("the same with an fsync, a transaction and the sockets alone, %d of them: p50 %s, p99 %s, %d missed", n,
			milliseconds(load.Quantile(all, .5)), milliseconds(load.Quantile(all, .99)), missing)
	}
	steps, err := load.Person{Base: s.url}.Conn().Do(ctx, "GET", "/steps", nil)
	b.report.note("of that: %s", steps.Body)
	return err
}

// hear posts at a steady rate. It gives the time from each post to its event at each socket, sorted, and how
// many events are missing.
func (b *bench) hear(ctx context.Context, people []load.Person, room load.Room) (all []time.Duration, missing int, err error) {
	total := int(b.duration(20*time.Second).Seconds()) * fanoutPosts
	t, err := openSockets(ctx, people, room.Channel, total)
	if err != nil {
		return nil, 0, err
	}
	defer t.close()
	c := people[0].Conn()
	tick := time.NewTicker(time.Second / fanoutPosts)
	defer tick.Stop()
	for n := range total {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, 0, ctx.Err()
		}
		if err := t.post(ctx, c, people[0], room.Channel, n); err != nil {
			return nil, 0, err
		}
	}
	all, missing = t.wait(ctx, 10*time.Second)
	return all, missing, nil
}
