package hot

import (
	"container/list"
	"context"
	"errors"
	"slices"
	"sync"
)

// maxPerGroup bounds the keys of one group, so that finding one stays a short walk.
const maxPerGroup = 64

// Cache keeps values by key in groups that are forgotten together. The least recently used
// values go when their sizes add up to more than the bound.
type Cache[G, K comparable, V any] struct {
	max  int64
	size func(V) int64

	mu     sync.Mutex // guards everything below
	used   int64
	groups map[G]*group[G, K, V]
	order  *list.List // of *entry, most recently used first
}

type group[G, K comparable, V any] struct {
	entries []*entry[G, K, V]
	loads   []*load[K, V]
}

type entry[G, K comparable, V any] struct {
	group G
	key   K
	value V
	size  int64
	place *list.Element
}

// load is a read under way. done is closed by the caller that runs it.
type load[K comparable, V any] struct {
	key   K
	done  chan struct{}
	value V
	err   error
}

// New makes a cache of values whose sizes add up to at most max. A nil size counts values.
func New[G, K comparable, V any](max int64, size func(V) int64) *Cache[G, K, V] {
	if size == nil {
		size = func(V) int64 { return 1 }
	}
	return &Cache[G, K, V]{max: max, size: size, groups: make(map[G]*group[G, K, V]), order: list.New()}
}

// Get gives the value of a key, reading it with fill when it is not kept. fill says whether
// its value may be kept.
func (c *Cache[G, K, V]) Get(ctx context.Context, g G, k K, fill func(context.Context) (V, bool, error)) (V, error) {
	for {
		v, l, mine := c.find(g, k)
		switch {
		case l == nil:
			return v, nil
		case mine:
			return c.run(ctx, g, l, fill)
		}
		select {
		case <-l.done:
			// The first caller going away is not our failure: read again.
			if errors.Is(l.err, context.Canceled) || errors.Is(l.err, context.DeadlineExceeded) {
				if ctx.Err() == nil {
					continue
				}
			}
			return l.value, l.err
		case <-ctx.Done():
			return v, context.Cause(ctx)
		}
	}
}

// find gives the kept value (and no load), or the load to wait for, or one of the caller's own.
func (c *Cache[G, K, V]) find(g G, k K) (v V, l *load[K, V], mine bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	gr := c.groups[g]
	if gr == nil {
		gr = new(group[G, K, V])
		c.groups[g] = gr
	}
	for _, e := range gr.entries {
		if e.key == k {
			c.order.MoveToFront(e.place)
			return e.value, nil, false
		}
	}
	for _, l := range gr.loads {
		if l.key == k {
			return v, l, false
		}
	}
	l = &load[K, V]{key: k, done: make(chan struct{})}
	gr.loads = append(gr.loads, l)
	return v, l, true
}

func (c *Cache[G, K, V]) run(ctx context.Context, g G, l *load[K, V], fill func(context.Context) (V, bool, error)) (V, error) {
	keep, finished := false, false
	defer func() {
		if !finished { // fill panicked: whoever waits must not wait for ever
			l.err = errors.New("reading for the cache ended early")
		}
		c.finish(g, l, keep)
	}()
	l.value, keep, l.err = fill(ctx)
	finished = true
	return l.value, l.err
}

func (c *Cache[G, K, V]) finish(g G, l *load[K, V], keep bool) {
	defer close(l.done)
	c.mu.Lock()
	defer c.mu.Unlock()
	gr := c.groups[g]
	at := -1
	if gr != nil {
		at = slices.Index(gr.loads, l)
	}
	if at < 0 {
		return // forgotten meanwhile
	}
	gr.loads = slices.Delete(gr.loads, at, at+1)
	if keep && l.err == nil {
		c.add(g, gr, l.key, l.value)
	}
	c.tidy(g, gr)
}

func (c *Cache[G, K, V]) add(g G, gr *group[G, K, V], k K, v V) {
	e := &entry[G, K, V]{group: g, key: k, value: v, size: c.size(v)}
	if e.size > c.max {
		return
	}
	if len(gr.entries) >= maxPerGroup {
		c.drop(gr, gr.entries[0])
	}
	e.place = c.order.PushFront(e)
	gr.entries = append(gr.entries, e)
	for c.used += e.size; c.used > c.max; {
		old := c.order.Back().Value.(*entry[G, K, V])
		og := c.groups[old.group]
		c.drop(og, old)
		if og != gr {
			c.tidy(old.group, og)
		}
	}
}

func (c *Cache[G, K, V]) drop(gr *group[G, K, V], e *entry[G, K, V]) {
	c.order.Remove(e.place)
	c.used -= e.size
	if i := slices.Index(gr.entries, e); i >= 0 {
		gr.entries = slices.Delete(gr.entries, i, i+1)
	}
}

func (c *Cache[G, K, V]) tidy(g G, gr *group[G, K, V]) {
	if len(gr.entries) == 0 && len(gr.loads) == 0 {
		delete(c.groups, g)
	}
}

// Forget drops a group: its values, and what loads under way will have read.
func (c *Cache[G, K, V]) Forget(g G) {
	c.mu.Lock()
	defer c.mu.Unlock()
	gr := c.groups[g]
	if gr == nil {
		return
	}
	for _, e := range gr.entries {
		c.order.Remove(e.place)
		c.used -= e.size
	}
	delete(c.groups, g)
}

// Clear forgets every group.
func (c *Cache[G, K, V]) Clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.groups)
	c.order.Init()
	c.used = 0
}

// Used gives the size of everything kept.
func (c *Cache[G, K, V]) Used() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.used
}
