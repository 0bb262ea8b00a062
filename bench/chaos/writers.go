package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nearside/nearside/bench/check"
	"github.com/nearside/nearside/bench/load"
	"github.com/nearside/nearside/core/backoff"
)

const (
	maxWriters = 512 // writes under way; an outage of two seconds at 200 a second is 400
	patience   = 60 * time.Second
	retryPause = 25 * time.Millisecond
)

// writers post as one user at each edge.
type writers struct {
	channel string
	people  []load.Person // one at each edge, in the order of the edges
	urls    []string
	idle    chan *writer

	mu     sync.Mutex // guards the rest
	writes []check.Write
}

// writer is one connection to each edge, used by one write at a time.
type writer struct{ conns map[[2]int]*load.Conn } // by (edge, person)

func newWriters(channel string, people []load.Person) *writers {
	w := &writers{channel: channel, people: people, idle: make(chan *writer, maxWriters)}
	for _, p := range people {
		w.urls = append(w.urls, p.Base)
	}
	for range maxWriters {
		w.idle <- &writer{map[[2]int]*load.Conn{}}
	}
	return w
}

// conn gives the writer's connection to an edge with the token of a user.
func (w *writer) conn(all *writers, edge, person int) *load.Conn {
	key := [2]int{edge, person}
	if w.conns[key] == nil {
		w.conns[key] = load.NewConn(all.urls[edge], all.people[person].Token)
	}
	return w.conns[key]
}

// write posts message n until it is acknowledged, and records the result.
func (w *writers) write(ctx context.Context, n int) {
	me := <-w.idle
	defer func() { w.idle <- me }()
	person := n % len(w.people)
	edge := person
	entry := check.Write{Message: fmt.Sprintf("storm %d", n), Writer: w.people[person].Name, Sent: time.Now()}
	body, err := json.Marshal(map[string]string{
		"channel_id": w.channel, "message": entry.Message, "pending_post_id": fmt.Sprintf("%s:%d", w.people[person].ID, n),
	})
	if err != nil {
		panic(err) // strings always encode
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for ctx.Err() == nil {
		var made load.Post
		_, err := me.conn(w, edge, person).Call(ctx, "POST", "posts", json.RawMessage(body), &made)
		if err == nil {
			entry.Acked, entry.PostID, entry.Edge = time.Now(), made.ID, w.urls[edge]
			break
		}
		var refused *load.Problem
		if !errors.As(err, &refused) {
			edge = (edge + 1) % len(w.urls) // no answer: this edge does not work
		} else if refused.Status < 500 && refused.Status != 429 {
			break // it will never be accepted; the check of the history finds out whether it was after all
		}
		backoff.Pause(ctx, retryPause)
	}
	w.mu.Lock()
	w.writes = append(w.writes, entry)
	w.mu.Unlock()
}

// history gives what was written so far.
func (w *writers) history() []check.Write {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]check.Write(nil), w.writes...)
}

// resumed gives the time from a moment to the first acknowledgement of a write that was sent
// after it; false if there is none yet.
func (w *writers) resumed(after time.Time) (time.Duration, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var first time.Time
	for _, e := range w.writes {
		if e.Sent.After(after) && !e.Acked.IsZero() && (first.IsZero() || e.Acked.Before(first)) {
			first = e.Acked
		}
	}
	return first.Sub(after), !first.IsZero()
}
