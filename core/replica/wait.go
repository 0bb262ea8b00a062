package replica

import (
	"container/heap"
	"sync"

	"github.com/nearside/nearside/core"
)

// waiters has the callers that wait for an index, the lowest first, so that a batch wakes only those
// whose index has come.
type waiters struct {
	mu   sync.Mutex // guards heap
	heap waitHeap
}

// waiter is one of them; done is closed when its index has come.
type waiter struct {
	index core.Index
	done  chan struct{}
	slot  int // in the heap; -1 once out
}

func (w *waiters) add(i core.Index) *waiter {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := &waiter{index: i, done: make(chan struct{})}
	heap.Push(&w.heap, n)
	return n
}

func (w *waiters) drop(n *waiter) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if n.slot >= 0 {
		heap.Remove(&w.heap, n.slot)
	}
}

func (w *waiters) advance(to core.Index) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.heap) > 0 && w.heap[0].index <= to {
		close(heap.Pop(&w.heap).(*waiter).done)
	}
}

type waitHeap []*waiter

func (h waitHeap) Len() int           { return len(h) }
func (h waitHeap) Less(i, j int) bool { return h[i].index < h[j].index }
func (h waitHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].slot, h[j].slot = i, j
}

func (h *waitHeap) Push(x any) {
	n := x.(*waiter)
	n.slot = len(*h)
	*h = append(*h, n)
}

func (h *waitHeap) Pop() any {
	last := len(*h) - 1
	n := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	n.slot = -1
	return n
}
