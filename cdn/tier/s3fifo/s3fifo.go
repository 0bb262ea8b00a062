// Package s3fifo decides which of the kept things makes room for a new one, by S3-FIFO: what is
// new waits in a small queue, and only what is read again there, or comes back soon after it
// left, reaches the main queue. So a scan passes through the small queue and disturbs nothing.
//
// It keeps names and sizes, no contents, and has no bound of its own: the caller evicts before
// it adds, so whatever bounds the caller has hold at every moment.
//
// A Policy is not safe for concurrent use. Invariants: Evict never gives a pinned name; each
// name is in one queue, or pinned; there are never more remembered names than kept ones.
package s3fifo

import "container/list"

const (
	maxFreq    = 3  // reads beyond it are not counted
	smallShare = 10 // the small queue has a tenth of the bytes
)

// Policy is the order in which things leave.
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

// New gives an empty policy.
func New[K comparable]() *Policy[K] {
	return &Policy[K]{at: map[K]*item[K]{}, ghosts: map[K]*list.Element{}}
}

// Len is the number of names.
func (p *Policy[K]) Len() int { return len(p.at) }

// Bytes is the sum of their sizes.
func (p *Policy[K]) Bytes() int64 { return p.bytes }

// Pinned gives how many names cannot be evicted now, and their bytes.
func (p *Policy[K]) Pinned() (files int, bytes int64) { return p.pinned, p.pinnedBytes }

// Touch counts a read of a name; false when it is not kept.
func (p *Policy[K]) Touch(k K) bool {
	it := p.at[k]
	if it != nil {
		it.freq = min(it.freq+1, maxFreq)
	}
	return it != nil
}

// Add begins to keep a name that is not kept.
func (p *Policy[K]) Add(k K, size int64) {
	g := p.ghosts[k]
	if g != nil { // it was missed soon after it left
		p.ghost.Remove(g)
		delete(p.ghosts, k)
	}
	p.add(&item[K]{key: k, size: size, small: g == nil})
}

// AddProven begins to keep a name that earned its place in an earlier run.
func (p *Policy[K]) AddProven(k K, size int64) { p.add(&item[K]{key: k, size: size}) }

func (p *Policy[K]) add(it *item[K]) {
	p.at[it.key] = it
	p.bytes += it.size
	p.link(it)
}

// Pin keeps a name from being evicted until it is called with false. Meanwhile it is in no
// queue: one that cannot leave must not stand in the way of those that can.
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

// Remove forgets a name, pinned or not.
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

// link makes it the newest of its queue.
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

// Evict takes the least worthy name out; false when every one is pinned.
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

// last is the next that may have to go.
func (p *Policy[K]) last() *item[K] {
	q := &p.main
	if p.small.Len() > 0 && (p.main.Len() == 0 || p.smallBytes*smallShare >= p.bytes-p.pinnedBytes) {
		q = &p.small
	}
	return q.Back().Value.(*item[K])
}

// again gives one that was read another turn, in the main queue.
func (p *Policy[K]) again(it *item[K]) {
	p.unlink(it)
	it.freq--
	if it.small {
		it.small, it.freq = false, 0 // what it was read for is its place in the main queue
	}
	p.link(it)
}

// remember keeps the name of what left unread, no more of them than there are kept ones.
func (p *Policy[K]) remember(k K) {
	p.ghosts[k] = p.ghost.PushFront(k)
	for p.ghost.Len() > max(len(p.at), 1) {
		delete(p.ghosts, p.ghost.Remove(p.ghost.Back()).(K))
	}
}
