package region

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"sync"

	"github.com/hashicorp/raft"

	"github.com/nearside/nearside/core"
)

// maxVerified bounds how many positions are remembered as part of our history.
const maxVerified = 1024

// feed keeps the newest applied entries in memory and wakes the callers that wait for more.
type feed struct {
	epoch core.Epoch
	limit int // bytes kept

	mu       sync.Mutex // guards all below
	chunks   []chunk    // consecutive, together all entries in (start, end]
	bytes    int
	start    core.Index
	end      core.Index
	verified map[core.Index]core.Digest // positions that were sent or checked
	order    []core.Index               // of verified, oldest first
	wake     chan struct{}              // closed and replaced when there is more
}

// chunk has the entries of one call of Machine.Apply.
type chunk struct {
	entries []core.Entry
	digest  core.Digest // after the last entry
	bytes   int
}

func (c *chunk) last() core.Index { return c.entries[len(c.entries)-1].Index }

// entryOverhead is about what an entry costs beyond its data, in memory and on a link.
const entryOverhead = 100

func sizeOf(entries []core.Entry) int {
	n := 0
	for i := range entries {
		n += entryOverhead + sealedSize(entries[i].Sealed) + len(entries[i].Data)
	}
	return n
}

func newFeed(epoch core.Epoch, limit int) *feed {
	return &feed{epoch: epoch, limit: limit, verified: map[core.Index]core.Digest{}, wake: make(chan struct{})}
}

// reset forgets everything, because the machine has jumped to another index.
func (f *feed) reset(at core.Index) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.chunks, f.bytes, f.start, f.end = nil, 0, at, at
	f.wakeLocked()
}

// add appends applied entries and drops the oldest chunks that are too many.
func (f *feed) add(entries []core.Entry, after core.Digest) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := chunk{entries: entries, digest: after, bytes: sizeOf(entries)}
	f.chunks = append(f.chunks, c)
	f.bytes += c.bytes
	f.end = c.last()
	n := 0
	for ; f.bytes > f.limit && n < len(f.chunks)-1; n++ {
		f.bytes -= f.chunks[n].bytes
		f.start = f.chunks[n].last()
	}
	clear(f.chunks[:n])
	f.chunks = f.chunks[n:]
	f.wakeLocked()
}

func (f *feed) wakeAll() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.wakeLocked()
}

func (f *feed) wakeLocked() {
	close(f.wake)
	f.wake = make(chan struct{})
}

// find gives the number of the first chunk that ends at or after i.
func (f *feed) find(i core.Index) int {
	return sort.Search(len(f.chunks), func(n int) bool { return f.chunks[n].last() >= i })
}

// recent gives whole chunks after i, up to about maxBytes. ok is false if the entries after i are no
// longer in memory. wake is closed when there is more.
func (f *feed) recent(i core.Index, maxBytes int) (b core.Batch, wake <-chan struct{}, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if i < f.start {
		return b, f.wake, false
	}
	size := 0
	for n := f.find(i + 1); n < len(f.chunks); n++ {
		c := &f.chunks[n]
		if size += c.bytes; size > maxBytes && len(b.Entries) > 0 {
			break
		}
		skip := sort.Search(len(c.entries), func(k int) bool { return c.entries[k].Index > i })
		if fresh := c.entries[skip:]; b.Entries == nil {
			b.Entries = fresh[:len(fresh):len(fresh)] // shared: for a follower at the end of the log nothing is copied
		} else {
			b.Entries = append(b.Entries, fresh...)
		}
		b.After = core.Position{Epoch: f.epoch, Index: c.last(), Digest: c.digest}
	}
	return b, f.wake, true
}

// knows compares a position with what is in memory.
func (f *feed) knows(p core.Position) (known, same bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if n := f.find(p.Index); n < len(f.chunks) && f.chunks[n].last() == p.Index {
		return true, f.chunks[n].digest == p.Digest
	}
	d, known := f.verified[p.Index]
	return known, d == p.Digest
}

// remember notes that a position is part of our history, so that it need not be asked again.
func (f *feed) remember(p core.Position) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, ok := f.verified[p.Index]; ok {
		return
	}
	if len(f.order) == maxVerified {
		delete(f.verified, f.order[0])
		f.order = f.order[1:]
	}
	f.verified[p.Index] = p.Digest
	f.order = append(f.order, p.Index)
}

// Position gives the position of this node's machine.
func (r *Region) Position() core.Position {
	p := r.cfg.Machine.Position()
	p.Epoch = r.cfg.Epoch
	return p
}

// Snapshot gives the snapshot with an id while it is kept, else (or for "") a recent one; with the sealed
// values, or without them.
func (r *Region) Snapshot(ctx context.Context, id string, sealed bool) (core.Snapshot, error) {
	return r.cfg.Machine.Snapshot(ctx, id, sealed)
}

// Tail gives the applied entries after a position: at least one chunk, and more while they fit into
// maxBytes; a chunk has at most about 1.5 MiB. It waits until there are some or ctx ends, also if the
// position is ahead of this node. It fails with core.ErrDiverged when the
// position is not part of this history, with core.ErrCompacted when the log does not reach
// back to it, and with KindUnavailable when the region ends.
func (r *Region) Tail(ctx context.Context, after core.Position, maxBytes int) (core.Batch, error) {
	if err := r.waitStarted(ctx); err != nil {
		return core.Batch{}, err
	}
	if after.Index > 0 && after.Epoch != r.cfg.Epoch || after.Epoch > r.cfg.Epoch {
		return core.Batch{}, fmt.Errorf("epoch %d is not %d: %w", after.Epoch, r.cfg.Epoch, core.ErrDiverged)
	}
	verified := after.Index == 0
	for {
		b, wake, ok := r.feed.recent(after.Index, maxBytes)
		reached := r.cfg.Machine.Position().Index >= after.Index
		if reached && !verified {
			if err := r.verify(ctx, after); err != nil {
				return core.Batch{}, err
			}
			verified = true
		}
		if reached && !ok {
			var err error
			if b, err = r.readBatch(ctx, after.Index, maxBytes); err != nil {
				return core.Batch{}, err
			}
		}
		if len(b.Entries) > 0 {
			return b, nil
		}
		if err := r.wait(ctx, wake); err != nil {
			return core.Batch{}, err
		}
	}
}

// verify compares a follower's position with our history.
func (r *Region) verify(ctx context.Context, p core.Position) error {
	known, same := r.feed.knows(p)
	if !known {
		d, ok, err := r.cfg.Machine.DigestAt(ctx, p.Index)
		if err != nil {
			return fmt.Errorf("reading the digest at %d: %w", p.Index, err)
		}
		if !ok {
			return fmt.Errorf("the digest at %d is no longer known: %w", p.Index, core.ErrCompacted)
		}
		if same = d == p.Digest; same {
			r.feed.remember(p)
		}
	}
	if !same {
		return fmt.Errorf("position %s: %w", p, core.ErrDiverged)
	}
	return nil
}

// readBatch reads a batch from the log on disk; it is empty if there is nothing yet.
func (r *Region) readBatch(ctx context.Context, after core.Index, maxBytes int) (core.Batch, error) {
	entries, err := readLog(r.log, after+1, r.cfg.Machine.Position().Index, maxBytes)
	if err != nil || len(entries) == 0 {
		return core.Batch{}, err
	}
	r.applier.voids.lookBack()
	r.applier.voids.mark(entries)
	last := entries[len(entries)-1].Index
	d, ok, err := r.cfg.Machine.DigestAt(ctx, last)
	if err != nil {
		return core.Batch{}, fmt.Errorf("reading the digest at %d: %w", last, err)
	}
	if !ok {
		return core.Batch{}, fmt.Errorf("the digest at %d is no longer known: %w", last, core.ErrCompacted)
	}
	b := core.Batch{Entries: entries, After: core.Position{Epoch: r.cfg.Epoch, Index: last, Digest: d}}
	r.feed.remember(b.After)
	return b, nil
}

// readLog reads the entries in [from, to] that the log holds, at least one if there is one,
// up to about maxBytes. to must be applied, so that no entry that was read can still be replaced.
func readLog(s raft.LogStore, from, to core.Index, maxBytes int) ([]core.Entry, error) {
	first, err := s.FirstIndex()
	if err != nil {
		return nil, fmt.Errorf("reading the log's start: %w", err)
	}
	if from <= to && (first == 0 || uint64(from) < first) {
		return nil, fmt.Errorf("the log begins at %d, after %d: %w", first, from, core.ErrCompacted)
	}
	end, err := s.LastIndex()
	if err != nil {
		return nil, fmt.Errorf("reading the log's end: %w", err)
	}
	var entries []core.Entry
	size := 0
	for i := uint64(from); i <= min(uint64(to), end) && (size < maxBytes || len(entries) == 0); i++ {
		var l raft.Log
		if err := s.GetLog(i, &l); errors.Is(err, raft.ErrLogNotFound) {
			return nil, fmt.Errorf("the log lost %d meanwhile: %w", i, core.ErrCompacted)
		} else if err != nil {
			return nil, fmt.Errorf("reading log %d: %w", i, err)
		}
		kind, e, err := decodeLog(&l)
		if err != nil {
			return nil, err
		}
		if kind == isEntry {
			entries = append(entries, e)
			size += entryOverhead + sealedSize(e.Sealed) + len(e.Data)
		}
	}
	return entries, nil
}
