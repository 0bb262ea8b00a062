package hot

import (
	"sync"
	"time"
)

// Misses remembers for a moment what was not found even at home, so that asking for it again
// and again does not become home's work. It is the only thing here that time ends: no event
// tells that something was still not made.
type Misses[K comparable] struct {
	max int
	ttl time.Duration

	mu    sync.Mutex // guards until
	until map[K]time.Time
}

// NewMisses remembers at most max keys, each for ttl.
func NewMisses[K comparable](max int, ttl time.Duration) *Misses[K] {
	return &Misses[K]{max: max, ttl: ttl, until: make(map[K]time.Time)}
}

// Has reports whether a key was missed a moment ago.
func (m *Misses[K]) Has(k K, now time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	until, ok := m.until[k]
	return ok && now.Before(until)
}

// Add remembers a key. When there is no room it forgets the others: a flood of misses costs
// home at most one question for each of max.
func (m *Misses[K]) Add(k K, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.until) >= m.max {
		clear(m.until)
	}
	m.until[k] = now.Add(m.ttl)
}
