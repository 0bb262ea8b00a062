// Package s3fifo decides which kept item is evicted for a new one, by the S3-FIFO algorithm: new
// items enter a small queue. Items that are read again there, or that come back soon after they
// were evicted, enter the main queue. So a scan passes through the small queue and does not
// disturb the main queue.
//
// It holds keys and sizes, no contents, and has no bound of its own: the caller evicts before it
// adds, so the caller's bounds hold at every moment.
//
// A Policy is not safe for concurrent use. Invariants: Evict never returns a pinned key; each key
// is in one queue, or pinned; there are never more remembered keys than kept ones.
package s3fifo

import "container/list"

const (
	maxFreq    = 3  // further reads are not counted
	smallShare = 10 // the small queue has a tenth of the bytes
)

// Policy is the order of eviction.
type Policy[K comparable] struct {
	small, main, ghost list.List // of *item, but ghost of K; newest in front
	at                 map[K]*item[K]
	ghosts             map[K]*list.Element
	bytes, smallBytes  int64
	pinnedBytes        int64
	pinned             int
}

type item[K comparable] struct {
	key    K
	size   int64
	freq   int
	small  bool // in the small queue
	pinned bool
	el     *list.Element
}

// New returns an empty policy.
func New[K comparable]() *Policy[K] {
	return &Policy[K]{at: map[K]*item[K]{}, ghosts: map[K]*list.Element{}}
}

// Len returns the number of keys.
func (p *Policy[K]) Len() int { return len(p.at) }

// Bytes returns the sum of their sizes.
func (p *Policy[K]) Bytes() int64 { return p.bytes }

// Pinned returns the number of pinned keys, and the sum of their sizes.
func (p *Policy[K]) Pinned() (files int, bytes int64) { return p.pinned, p.pinnedBytes }

// Touch counts a read of a key; false if it is not kept.
func (p *Policy[K]) Touch(k K) bool {
	it := p.at[k]
	if it != nil {
		it.freq = min(it.freq+1, maxFreq)
	}
	return it != nil
}

// Add adds a key that is not kept.
func (p *Policy[K]) Add(k K, size int64) {
	g := p.ghosts[k]
	if g != nil { // it is wanted again soon after it was evicted
		p.ghost.Remove(g)
		delete(p.ghosts, k)
	}
	p.add(&item[K]{key: k, size: size, small: g == nil})
}

// AddProven adds a key that was kept in an earlier run; it goes to the main queue.
func (p *Policy[K]) AddProven(k K, size int64) { p.add(&item[K]{key: k, size: size}) }

func (p *Policy[K]) add(it *item[K]) {
	p.at[it.key] = it
	p.bytes += it.size
	p.link(it)
}

// Pin protects a key from eviction until it is called with false. A pinned key is in no queue, so
// that Evict need not skip it.
func (p *Policy[K]) Pin(k K, on bool) {
	it := p.at[k]
	if it == nil || it.pinned == on {
		return
	}
	if on {
		p.unlink(it)
		it.pinned = true
		p.pinned++
		p.pinnedBytes += it.size
		return
	}
	it.pinned = false
	p.pinned--
	p.pinnedBytes -= it.size
	p.link(it)
}

// Remove removes a key, pinned or not.
func (p *Policy[K]) Remove(k K) {
	it := p.at[k]
	if it == nil {
		return
	}
	p.Pin(k, false)
	delete(p.at, k)
	p.bytes -= it.size
	p.unlink(it)
}

// link puts an item at the front of its queue.
func (p *Policy[K]) link(it *item[K]) {
	if !it.small {
		it.el = p.main.PushFront(it)
		return
	}
	it.el = p.small.PushFront(it)
	p.smallBytes += it.size
}

func (p *Policy[K]) unlink(it *item[K]) {
	if !it.small {
		p.main.Remove(it.el)
		return
	}
	p.small.Remove(it.el)
	p.smallBytes -= it.size
}

// Evict removes the least valuable key and returns it; false if all are pinned.
func (p *Policy[K]) Evict() (k K, ok bool) {
	for p.pinned < len(p.at) {
		it := p.last()
		if it.freq > 0 {
			p.again(it)
			continue
		}
		if p.Remove(it.key); it.small {
			p.remember(it.key)
		}
		return it.key, true
	}
	return k, false
}

// last returns the next candidate for eviction.
func (p *Policy[K]) last() *item[K] {
	q := &p.main
	if p.small.Len() > 0 && (p.main.Len() == 0 || p.smallBytes*smallShare >= p.bytes-p.pinnedBytes) {
		q = &p.small
	}
	return q.Back().Value.(*item[K])
}

// again puts an item that was read to the front of the main queue.
func (p *Policy[K]) again(it *item[K]) {
	p.unlink(it)
	it.freq--
	if it.small {
		it.small, it.freq = false, 0 // its reads have now been used up
	}
	p.link(it)
}

// remember stores the key of an item that was evicted unread. It stores no more of them than
// there are kept keys.
func (p *Policy[K]) remember(k K) {
	p.ghosts[k] = p.ghost.PushFront(k)
	for p.ghost.Len() > max(len(p.at), 1) {
		delete(p.ghosts, p.ghost.Remove(p.ghost.Back()).(K))
	}
}
