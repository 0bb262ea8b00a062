package event

import (
	"context"
	"sync"

	"github.com/nearside/nearside/core"
)

// Tail has the events of applied entries, in log order, from its creation on. Use NewTail.
type Tail struct {
	mu   sync.Mutex // guards last
	last *node
}

// node holds batches once ready is closed, which its publisher does exactly once, after it has
// set next.
type node struct {
	ready   chan struct{}
	batches []Batch
	reset   bool
	next    *node
}

// Cursor is a reader's place in a Tail.
type Cursor struct{ at *node }

// NewTail makes an empty tail.
func NewTail() *Tail { return &Tail{last: &node{ready: make(chan struct{})}} }

// Publish appends batches. The caller publishes after the state they announce can be read.
func (t *Tail) Publish(batches []Batch) { t.append(batches, false) }

// Reset tells every reader that history was replaced: everything that it has cached is stale.
func (t *Tail) Reset() { t.append(nil, true) }

func (t *Tail) append(batches []Batch, reset bool) {
	if len(batches) == 0 && !reset {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.last
	n.batches, n.reset = batches, reset
	n.next = &node{ready: make(chan struct{})}
	t.last = n.next
	close(n.ready)
}

// Subscribe gives a cursor that sees everything published from now on.
func (t *Tail) Subscribe() *Cursor {
	t.mu.Lock()
	defer t.mu.Unlock()
	return &Cursor{at: t.last}
}

// Clone gives a second reader at the same place.
func (c *Cursor) Clone() *Cursor { return &Cursor{at: c.at} }

// Next waits for the next batches. After a Reset it fails with core.ErrDiverged once; the
// reader must then forget everything and may go on reading.
func (c *Cursor) Next(ctx context.Context) ([]Batch, error) {
	select {
	case <-c.at.ready:
		return c.step()
	default:
	}
	select {
	case <-c.at.ready:
		return c.step()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// Poll is Next without waiting: ok is false when nothing is there yet.
func (c *Cursor) Poll() (batches []Batch, err error, ok bool) {
	select {
	case <-c.at.ready:
		batches, err = c.step()
		return batches, err, true
	default:
		return nil, nil, false
	}
}

func (c *Cursor) step() ([]Batch, error) {
	n := c.at
	c.at = n.next
	if n.reset {
		return nil, core.ErrDiverged
	}
	return n.batches, nil
}
