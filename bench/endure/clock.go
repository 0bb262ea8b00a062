package main

import (
	"sort"
	"sync"
	"time"
)

// phase is a part of a minute.
type phase int

const (
	between phase = iota // counts for nothing
	quiet                // only people use the deployment
	abused               // the abusive account and the hostile edge work too
	struck               // a process was killed and does not work again yet
	phases
)

func (p phase) String() string { return [...]string{"between", "quiet", "abused", "struck"}[p] }

// span is a phase from a moment on, until the next one.
type span struct {
	phase
	from  time.Time
	flood string // of abused: what the abusive account does
}

// clock knows when which phase was.
type clock struct {
	mu    sync.Mutex // guards all below
	spans []span
}

func (c *clock) set(p phase, flood string) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	c.spans = append(c.spans, span{p, now, flood})
	return now
}

// at gives the span of a moment.
func (c *clock) at(t time.Time) span {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.before(t)
}

func (c *clock) before(t time.Time) span {
	i := sort.Search(len(c.spans), func(i int) bool { return c.spans[i].from.After(t) })
	if i == 0 {
		return span{}
	}
	return c.spans[i-1]
}

// of gives the span that a request counts for: the one in which it began, or that of a kill if it waited for one.
func (c *clock) of(began, ended time.Time) span {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := len(c.spans) - 1; i >= 0 && c.spans[i].from.After(began); i-- {
		if c.spans[i].phase == struck && c.spans[i].from.Before(ended) {
			return c.spans[i]
		}
	}
	return c.before(began)
}
