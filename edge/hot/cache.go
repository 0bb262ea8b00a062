package hot

import (
	"context"
	"errors"
	"math"
	"slices"
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"github.com/prometheus/client_golang/prometheus"
)

// maxPerGroup bounds the keys of one group, so that dropping a group stays cheap.
const maxPerGroup = 64

// Cache stores values by key, in groups that are dropped together. When the sizes add up to more
// than the bound, the least recently used values are dropped.
type Cache[G, K comparable, V any] struct {
	max          int64
	size         func(V) int64
	hits, misses prometheus.Counter

	mu     sync.Mutex // guards everything below
	used   int64
	kept   *simplelru.LRU[place[G, K], sized[V]] // bounded by used, not by its own count
	groups map[G]*group[K, V]                    // of everything in kept and every running load
}

type place[G, K comparable] struct {
	group G
	key   K
}

type sized[V any] struct {
	value V
	size  int64
}

type group[K comparable, V any] struct {
	keys  []K // keys of the stored values
	loads []*load[K, V]
}

// load is a running read. done is closed by the caller that runs it.
type load[K comparable, V any] struct {
	key   K
	done  chan struct{}
	value V
	err   error
}

// New makes a cache of values whose sizes add up to at most max. A nil size counts each value as
// one. Its metrics have the cache's name.
func New[G, K comparable, V any](m *Metrics, name string, max int64, size func(V) int64) *Cache[G, K, V] {
	if size == nil {
		size = func(V) int64 { return 1 }
	}
	c := &Cache[G, K, V]{
		max: max, size: size, groups: make(map[G]*group[K, V]),
		hits: m.reads.WithLabelValues(name, "hit"), misses: m.reads.WithLabelValues(name, "miss"),
	}
	c.kept, _ = simplelru.NewLRU(math.MaxInt, c.dropped) // an error means a size that is not positive
	return c
}

// ErrCaller is in the error of a fill that failed because of its caller, not because of what it reads.
var ErrCaller = errors.New("the caller may not read so much")

// Get returns the value of a key, and reads it with fill if it is not stored. fill reports
// whether its value may be stored.
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
			// The first caller's context has ended, or its budget, not ours: read again.
			if errors.Is(l.err, context.Canceled) || errors.Is(l.err, context.DeadlineExceeded) || errors.Is(l.err, ErrCaller) {
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

// find returns the stored value (and no load), or the load to wait for, or a new load that the
// caller must run.
func (c *Cache[G, K, V]) find(g G, k K) (v V, l *load[K, V], mine bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if it, ok := c.kept.Get(place[G, K]{g, k}); ok {
		c.hits.Inc()
		return it.value, nil, false
	}
	c.misses.Inc()
	gr := c.groups[g]
	if gr == nil {
		gr = new(group[K, V])
		c.groups[g] = gr
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
		if !finished { // fill panicked: the waiting callers must not wait for ever
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
		return // its group was dropped in the meantime
	}
	gr.loads = slices.Delete(gr.loads, at, at+1)
	if keep && l.err == nil {
		c.add(g, gr, l.key, l.value)
	}
	c.tidy(g, gr)
}

func (c *Cache[G, K, V]) add(g G, gr *group[K, V], k K, v V) {
	it := sized[V]{v, c.size(v)}
	if it.size > c.max {
		return
	}
	if len(gr.keys) >= maxPerGroup {
		c.kept.Remove(place[G, K]{g, gr.keys[0]})
	}
	gr.keys = append(gr.keys, k)
	c.kept.Add(place[G, K]{g, k}, it)
	for c.used += it.size; c.used > c.max; {
		c.kept.RemoveOldest()
	}
}

// dropped is called for every value that leaves kept.
func (c *Cache[G, K, V]) dropped(at place[G, K], it sized[V]) {
	c.used -= it.size
	if gr := c.groups[at.group]; gr != nil { // nil while the whole group is being dropped
		i := slices.Index(gr.keys, at.key)
		gr.keys = slices.Delete(gr.keys, i, i+1)
		c.tidy(at.group, gr)
	}
}

func (c *Cache[G, K, V]) tidy(g G, gr *group[K, V]) {
	if len(gr.keys) == 0 && len(gr.loads) == 0 {
		delete(c.groups, g)
	}
}

// Forget drops a group: its values, and the results of running loads.
func (c *Cache[G, K, V]) Forget(g G) {
	c.mu.Lock()
	defer c.mu.Unlock()
	gr := c.groups[g]
	if gr == nil {
		return
	}
	delete(c.groups, g)
	for _, k := range gr.keys {
		c.kept.Remove(place[G, K]{g, k})
	}
}

// Clear drops every group.
func (c *Cache[G, K, V]) Clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.groups)
	c.kept.Purge()
}

// Used returns the size of everything stored.
func (c *Cache[G, K, V]) Used() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.used
}
