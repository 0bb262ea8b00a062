package hot

import (
	"sync"
	"time"
)

// Misses remembers for a short time what was not found even at home, so that repeated requests
// for it do not reach home. Only here entries expire by time: no event announces that something
// still does not exist.
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

// Has reports whether a key was missed within the last ttl.
func (m *Misses[K]) Has(k K, now time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	until, ok := m.until[k]
	return ok && now.Before(until)
}

// Add remembers a key. If there are already max keys it removes all others: so many different
// misses cost home at most one question for each of max.
func (m *Misses[K]) Add(k K, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.until) >= m.max {
		clear(m.until)
	}
	m.until[k] = now.Add(m.ttl)
}
