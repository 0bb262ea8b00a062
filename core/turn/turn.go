// Package turn lets callers wait for something scarce, so that nobody can take it all.
//
// Those who wait are grouped by who they are. When a place becomes free, the groups have their turns
// one after the other, however many callers each of them has; and those who are known take turns with
// strangers, who wait in a space of their own. So neither many requests of one caller nor many
// strangers keep the others from their turn. A group that goes on without a break rests after each work, if the queue
// says so: then its places are free for others, but not for itself.
//
// A Queue is safe for concurrent use and starts no goroutines; a rest ends by a timer. It imports nothing else of ours.
package turn

import (
	"context"
	"errors"
	"sync"
	"time"
)

// Who is a group of callers.
type Who struct {
	Name  string // an account, or an address
	Known bool   // not a stranger
}

// Config says how many may do what.
type Config struct {
	Places  int // callers at once; at least 1
	OfOne   int // of them of one group; default all
	Waiting int // callers of known groups that wait, and as many strangers
	WaitOne int // of them of one group; default half, at least 1

	// TireAfter is how long a group may go on without a break until it rests after each work, as long as that took; 0:
	// it never rests.
	TireAfter time.Duration
}

// maxRest bounds one rest.
const maxRest = 2 * time.Second

// The reasons why somebody may not even wait.
var (
	ErrFull = errors.New("too many callers are waiting")
	ErrMine = errors.New("too many callers of one group are waiting")
)

// Queue is where callers wait.
type Queue struct {
	cfg Config

	mu      sync.Mutex // guards everything below
	running int
	lines   map[Who]*line // of groups that run or wait
	turns   [2][]*line    // groups that wait, the next one first: strangers, known
	waiting [2]int        // callers
	last    int           // who had the last turn: an index of turns
}

// line is a group that runs or waits.
type line struct {
	who     Who
	since   time.Time       // it has not had a break
	running int             // those that rest included
	waiting []chan struct{} // each is closed when it is its turn
}

// New makes a Queue.
func New(cfg Config) *Queue {
	if cfg.OfOne <= 0 {
		cfg.OfOne = cfg.Places
	}
	if cfg.WaitOne <= 0 {
		cfg.WaitOne = max(1, cfg.Waiting/2)
	}
	return &Queue{cfg: cfg, lines: map[Who]*line{}}
}

func (w Who) index() int {
	if w.Known {
		return 1
	}
	return 0
}

// Enter waits for a place, or for ctx. The caller must call leave when it is done.
func (q *Queue) Enter(ctx context.Context, who Who) (leave func(), err error) {
	turn, err := q.join(who)
	if err != nil {
		return nil, err
	}
	if turn == nil {
		return q.worker(who), nil
	}
	select {
	case <-turn:
		return q.worker(who), nil
	case <-ctx.Done():
	}
	if !q.giveUp(who, turn) { // it came at the same moment
		q.leave(who, 0)
	}
	return nil, context.Cause(ctx)
}

// worker gives what ends the work that begins now.
func (q *Queue) worker(who Who) (leave func()) {
	if q.cfg.TireAfter == 0 {
		return func() { q.leave(who, 0) }
	}
	began := time.Now()
	return func() { q.leave(who, time.Since(began)) }
}

// join takes a free place and returns nil, or begins to wait.
func (q *Queue) join(who Who) (chan struct{}, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	l := q.lines[who]
	if l == nil {
		l = &line{who: who}
		if q.cfg.TireAfter > 0 {
			l.since = time.Now()
		}
	}
	i := who.index()
	switch {
	case q.running < q.cfg.Places && l.running < q.cfg.OfOne:
		q.lines[who] = l
		q.running++
		l.running++
		return nil, nil
	case len(l.waiting) >= q.cfg.WaitOne:
		return nil, ErrMine
	case q.waiting[i] >= q.cfg.Waiting:
		return nil, ErrFull
	}
	q.lines[who] = l
	if len(l.waiting) == 0 {
		q.turns[i] = append(q.turns[i], l)
	}
	turn := make(chan struct{})
	l.waiting = append(l.waiting, turn)
	q.waiting[i]++
	return turn, nil
}

// leave ends a work. Who has gone on for long rests first.
func (q *Queue) leave(who Who, worked time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	l := q.lines[who]
	q.running--
	if worked > 0 && time.Since(l.since) > q.cfg.TireAfter {
		time.AfterFunc(min(worked, maxRest), func() {
			q.mu.Lock()
			defer q.mu.Unlock()
			q.rested(l)
		})
	} else {
		l.running--
		q.forget(l)
	}
	q.serve()
}

// rested makes a place of a group free for itself again.
func (q *Queue) rested(l *line) {
	l.running--
	q.forget(l)
	q.serve()
}

// serve gives the free places to those who wait.
func (q *Queue) serve() {
	for q.running < q.cfg.Places && (q.next(1-q.last) || q.next(q.last)) {
		continue
	}
}

// next gives a place to the first group of a share that may have one more.
func (q *Queue) next(share int) bool {
	for n, l := range q.turns[share] {
		if l.running >= q.cfg.OfOne {
			continue
		}
		q.turns[share] = append(q.turns[share][:n:n], q.turns[share][n+1:]...)
		close(l.waiting[0])
		if l.waiting = l.waiting[1:]; len(l.waiting) > 0 {
			q.turns[share] = append(q.turns[share], l)
		}
		q.waiting[share]--
		q.running++
		l.running++
		q.last = share
		return true
	}
	return false
}

// giveUp ends a wait. It reports false if the turn has come.
func (q *Queue) giveUp(who Who, turn chan struct{}) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	l := q.lines[who]
	for n, t := range l.waiting {
		if t != turn {
			continue
		}
		l.waiting = append(l.waiting[:n:n], l.waiting[n+1:]...)
		i := who.index()
		q.waiting[i]--
		for m, other := range q.turns[i] {
			if other == l && len(l.waiting) == 0 {
				q.turns[i] = append(q.turns[i][:m:m], q.turns[i][m+1:]...)
				break
			}
		}
		q.forget(l)
		return true
	}
	return false
}

func (q *Queue) forget(l *line) {
	if l.running == 0 && len(l.waiting) == 0 {
		delete(q.lines, l.who)
	}
}
