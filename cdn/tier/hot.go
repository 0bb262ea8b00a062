package tier

import (
	"container/list"
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/nearside/nearside/cdn"
)

const maxSeen = 1 << 16 // chunks that are remembered after one read

// hot holds chunks in memory. A chunk is admitted when it is read a second time while the first
// read is still remembered. So a reader that streams a large blob evicts nothing. Chunks that
// were not read since the clock last passed them leave first.
type hot struct {
	max int64 // immutable

	mu        sync.Mutex // guards everything below, and every entry's slots and forgot
	bytes     int64
	clock     list.List                    // of *slot; the next to leave is at the back
	seen      *simplelru.LRU[place, int64] // sizes of the chunks that were read once; their sum stays within max
	seenBytes int64
}

type slot struct {
	e    *entry
	i    int64
	pg   *page
	read bool // since the clock last passed it
	el   *list.Element
}

type place struct {
	d cdn.Digest
	i int64
}

func newHot(limit int64) *hot {
	h := &hot{max: limit}
	h.seen, _ = simplelru.NewLRU(maxSeen, func(_ place, size int64) { h.seenBytes -= size }) // an error means a size that is not positive
	return h
}

// get returns a chunk, which the caller must release, or nil.
func (h *hot) get(e *entry, i int64) *page {
	h.mu.Lock()
	defer h.mu.Unlock()
	if int64(len(e.slots)) <= i || e.slots[i] == nil {
		return nil
	}
	e.slots[i].read = true
	return e.slots[i].pg.hold()
}

// offer reports a checked chunk that was read from elsewhere; hot may keep it.
func (h *hot) offer(e *entry, i int64, pg *page) {
	size := int64(len(pg.data))
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case size > h.max || e.forgot || e.slots != nil && e.slots[i] != nil:
	case h.sighted(place{e.d, i}, size):
		h.admit(e, i, pg)
	}
}

func (h *hot) admit(e *entry, i int64, pg *page) {
	size := int64(len(pg.data))
	for h.bytes+size > h.max {
		s := h.clock.Back().Value.(*slot)
		if s.read {
			s.read = false
			h.clock.MoveToFront(s.el)
			continue
		}
		h.remove(s)
	}
	if e.slots == nil {
		e.slots = make([]*slot, chunks(e.size))
	}
	s := &slot{e: e, i: i, pg: pg.hold()}
	s.el = h.clock.PushFront(s)
	e.slots[i] = s
	h.bytes += size
}

func (h *hot) remove(s *slot) {
	h.clock.Remove(s.el)
	s.e.slots[s.i] = nil
	h.bytes -= int64(len(s.pg.data))
	s.pg.release()
}

// sighted reports whether a chunk was read before, and records this read.
func (h *hot) sighted(at place, size int64) bool {
	if h.seen.Remove(at) {
		return true
	}
	h.seen.Add(at, size)
	for h.seenBytes += size; h.seenBytes > h.max; {
		h.seen.RemoveOldest()
	}
	return false
}

// forget drops all chunks of a blob and admits no more of them.
func (h *hot) forget(e *entry) {
	h.mu.Lock()
	defer h.mu.Unlock()
	e.forgot = true
	for _, s := range e.slots {
		if s != nil {
			h.remove(s)
		}
	}
	e.slots = nil
}

func (h *hot) held() int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.bytes
}
