package simtest

import (
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/replication"
)

// Chain is a log in memory that checks its own history by digest: a Source, a Sink and an
// Orderer. Its entries are its whole state, so two Chains with the same Position are equal.
type Chain struct {
	mu        sync.Mutex
	epoch     core.Epoch    // guarded by mu, like everything below
	first     core.Position // the position before entries[0], up to which the log was compacted
	entries   []core.Entry  // kept
	digests   []core.Digest // after each entry
	seen      map[core.ProposalID]core.Index
	changed   chan struct{}        // closed and replaced at every change
	snapshots map[string]*Snapshot // the kept ones
	restores  int
	fail      error         // if set, the result of Apply
	failAt    core.Position // if set, only batches that come to it fail
	refuse    error         // if set, the result of Propose
}

var (
	_ replication.Source  = (*Chain)(nil)
	_ replication.Sink    = (*Chain)(nil)
	_ replication.Orderer = (*Chain)(nil)
)

// NewChain returns an empty chain of an epoch.
func NewChain(epoch core.Epoch) *Chain {
	return &Chain{epoch: epoch, first: core.Position{Epoch: epoch}, changed: make(chan struct{}),
		seen: map[core.ProposalID]core.Index{}, snapshots: map[string]*Snapshot{}}
}

// Copy returns an independent chain with the same entries.
func (c *Chain) Copy() *Chain {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := NewChain(c.epoch)
	out.first = c.first
	for _, e := range c.entries {
		out.push(e)
	}
	return out
}

// Append adds entries with data at the end.
func (c *Chain) Append(data ...[]byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, d := range data {
		c.append(core.Proposal{ID: core.NewID[core.Proposal](time.Now()), Data: d})
	}
	c.change()
}

// append is called with mu held.
func (c *Chain) append(p core.Proposal) core.Index {
	at := c.position()
	e := core.Entry{Index: at.Index + 1, At: time.Unix(0, int64(at.Index)+1).UTC(), ID: p.ID, Data: p.Data, Sealed: p.Sealed}
	c.push(e)
	return e.Index
}

// push is called with mu held.
func (c *Chain) push(e core.Entry) {
	c.digests = append(c.digests, c.position().Digest.Next(e, nil))
	c.entries = append(c.entries, e)
	c.seen[e.ID] = e.Index
}

// change is called with mu held.
func (c *Chain) change() {
	close(c.changed)
	c.changed = make(chan struct{})
}

// position is called with mu held.
func (c *Chain) position() core.Position {
	if n := len(c.entries); n > 0 {
		return core.Position{Epoch: c.epoch, Index: c.entries[n-1].Index, Digest: c.digests[n-1]}
	}
	return c.first
}

// Position implements replication.Source and replication.Sink.
func (c *Chain) Position() core.Position {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.position()
}

// Changed returns a channel that is closed at the next change.
func (c *Chain) Changed() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.changed
}

// Compact removes all but the last keep entries.
func (c *Chain) Compact(keep int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := len(c.entries) - keep; n > 0 {
		c.first = core.Position{Epoch: c.epoch, Index: c.entries[n-1].Index, Digest: c.digests[n-1]}
		c.entries, c.digests = c.entries[n:], c.digests[n:]
	}
}

// Fail makes Apply return err; nil makes it work again.
func (c *Chain) Fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fail = err
}

// FailAt makes Apply return err for a batch that comes to a position.
func (c *Chain) FailAt(at core.Position, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failAt, c.fail = at, err
}

// Refuse makes Propose return err; nil makes it work again.
func (c *Chain) Refuse(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refuse = err
}

// Restores counts the snapshots that were restored here.
func (c *Chain) Restores() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.restores
}

// Sealed counts the entries that have sealed values.
func (c *Chain) Sealed() (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range c.entries {
		if len(e.Sealed) > 0 {
			n++
		}
	}
	return n
}

// Tail implements replication.Source.
func (c *Chain) Tail(ctx context.Context, after core.Position, maxBytes int) (core.Batch, error) {
	for {
		b, wait, err := c.tail(after, maxBytes)
		if err != nil || len(b.Entries) > 0 {
			return b, err
		}
		select {
		case <-wait:
		case <-ctx.Done():
			return core.Batch{}, ctx.Err()
		}
	}
}

func (c *Chain) tail(after core.Position, maxBytes int) (core.Batch, <-chan struct{}, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if after.Index == 0 {
		after = core.Position{Epoch: c.epoch} // the empty replica is part of every history
	}
	switch {
	case after.Epoch != c.epoch || after.Index > c.position().Index:
		return core.Batch{}, nil, core.ErrDiverged
	case after.Index < c.first.Index:
		return core.Batch{}, nil, core.ErrCompacted
	}
	n := int(after.Index - c.first.Index) // indexes have no gaps here
	at := c.first
	if n > 0 {
		at = core.Position{Epoch: c.epoch, Index: c.entries[n-1].Index, Digest: c.digests[n-1]}
	}
	if at != after {
		return core.Batch{}, nil, core.ErrDiverged
	}
	var b core.Batch
	for size := 0; n < len(c.entries) && size < maxBytes; n++ {
		size += len(c.entries[n].Data) + 64
		b.Entries = append(b.Entries, c.entries[n])
		b.After = core.Position{Epoch: c.epoch, Index: c.entries[n].Index, Digest: c.digests[n]}
	}
	return b, c.changed, nil
}

// Apply implements replication.Sink.
func (c *Chain) Apply(_ context.Context, b core.Batch) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fail != nil && (c.failAt == core.Position{} || c.failAt == b.After) {
		return c.fail
	}
	if at := c.position(); len(b.Entries) == 0 || b.Entries[0].Index != at.Index+1 {
		return core.E(core.KindInternal, "the batch does not begin after %s", at)
	}
	for _, e := range b.Entries {
		c.push(e)
	}
	c.epoch = b.After.Epoch
	c.change()
	if c.position().Digest != b.After.Digest {
		return fmt.Errorf("applying to %s, not %s: %w", c.position(), b.After, core.ErrDiverged)
	}
	return nil
}

// Propose implements replication.Orderer.
func (c *Chain) Propose(_ context.Context, p core.Proposal) (core.Receipt, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.refuse != nil {
		return core.Receipt{}, c.refuse
	}
	index, ok := c.seen[p.ID]
	if !ok {
		index = c.append(p)
		c.change()
	}
	return core.Receipt{Index: index, Outcome: p.Data}, nil
}

// state is the content of a snapshot.
type state struct {
	First   core.Position
	Entries []core.Entry
	Digests []core.Digest
	At      core.Position
}

// Restore implements replication.Sink.
func (c *Chain) Restore(_ context.Context, at core.Position, r io.Reader) error {
	var s state
	if err := gob.NewDecoder(r).Decode(&s); err != nil {
		return fmt.Errorf("reading snapshot: %w", err)
	}
	if _, err := r.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		return fmt.Errorf("after the snapshot: %w", err)
	}
	if s.At != at {
		return core.E(core.KindInvalid, "snapshot of %s, not %s", s.At, at)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.epoch, c.first, c.entries, c.digests = at.Epoch, s.First, s.Entries, s.Digests
	c.restores++
	c.change()
	return nil
}
