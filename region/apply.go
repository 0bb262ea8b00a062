package region

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/backoff"
)

// Bounds of the queue between Raft and the machine, and of one call of Machine.Apply.
const (
	maxQueueItems = 64 << 10
	maxQueueBytes = 64 << 20
	maxBatchItems = 1024
	maxBatchBytes = 1 << 20
)

// gatherFor is how long the applier waits for proposals that Raft already has, so that they are in the
// same transaction. A transaction costs about the same whatever is in it, and with 16 clients that wait
// for their answers batches become twice as large. A single proposal never waits.
const gatherFor = time.Millisecond

// item is a committed log that is an entry or a mark.
type item struct {
	entry core.Entry
	mark  uint64     // the term, if it is a mark; the entry is then empty
	at    core.Index // of a mark
}

// applier gives committed entries to the machine. Raft hands over a batch per commit round, often of one
// entry. The applier takes all entries that came while the machine was busy, so that after a slow
// transaction the next one is larger.
type applier struct {
	machine Machine
	feed    *feed
	lead    *lead
	logger  *slog.Logger
	now     func() time.Time

	voids    *voids
	underWay func() int // how many proposals wait for their receipts here

	mu      sync.Mutex // guards all below
	cond    *sync.Cond // signalled on every change
	queue   []item
	bytes   int
	busy    bool      // a batch is out of the queue but not applied
	since   time.Time // when it was taken, while busy
	idle    time.Time // when everything was applied last
	stopped bool      // push and take do nothing any more
}

func newApplier(c *Config, f *feed, l *lead) *applier {
	a := &applier{machine: c.Machine, feed: f, lead: l, logger: c.Logger, now: c.now, voids: newVoids(c)}
	a.cond = sync.NewCond(&a.mu)
	return a
}

// push queues items in order. It blocks while the queue is full, and Raft waits. The bound is large, so
// that happens only if the machine is down, not if it is slow.
func (a *applier) push(items []item) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for !a.stopped && (len(a.queue) >= maxQueueItems || a.bytes >= maxQueueBytes) {
		a.cond.Wait()
	}
	if a.stopped {
		return
	}
	for _, it := range items {
		a.bytes += len(it.entry.Data)
	}
	a.queue = append(a.queue, items...)
	a.cond.Broadcast()
}

// drain waits until everything pushed is applied; it reports false if the applier stopped before.
func (a *applier) drain() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	for !a.stopped && (a.busy || len(a.queue) > 0) {
		a.cond.Wait()
	}
	return !a.stopped
}

// behind gives since when there is something to apply; 0 if everything is applied.
func (a *applier) behind() time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.busy && len(a.queue) == 0 {
		return 0
	}
	return a.now().Sub(a.idle)
}

// late gives how long the machine has been working on its present batch; 0 if it has none.
func (a *applier) late() time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.busy {
		return 0
	}
	return a.now().Sub(a.since)
}

// stop ends everything; what is queued is applied after the next start.
func (a *applier) stop() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.stopped = true
	a.cond.Broadcast()
}

// take gives the next entries, at most one batch, and the mark after them, if there is one.
func (a *applier) take() (entries []core.Entry, mark item, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.busy = false; len(a.queue) == 0 {
		a.idle = a.now()
	}
	a.cond.Broadcast()
	for !a.stopped && len(a.queue) == 0 {
		a.cond.Wait()
	}
	a.gather()
	if a.stopped {
		return nil, item{}, false
	}
	n, size := 0, 0
	for n < len(a.queue) && mark.mark == 0 && n < maxBatchItems && size < maxBatchBytes {
		it := a.queue[n]
		if it.mark != 0 {
			mark = it
		} else {
			entries = append(entries, it.entry)
			size += len(it.entry.Data)
		}
		n++
	}
	clear(a.queue[:n]) // so that the data can be garbage-collected
	if a.queue = a.queue[n:]; len(a.queue) == 0 {
		a.queue = nil
	}
	a.bytes -= size
	a.busy, a.since = true, a.now()
	return entries, mark, true
}

// gather waits until all proposals under way are in the queue, but at most gatherFor. The caller holds mu,
// and the queue is not empty.
func (a *applier) gather() {
	if len(a.queue) >= a.underWay() {
		return
	}
	over := false // guarded by mu
	timer := time.AfterFunc(gatherFor, func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		over = true
		a.cond.Broadcast()
	})
	defer timer.Stop()
	for !a.stopped && !over && len(a.queue) < min(a.underWay(), maxBatchItems) && a.bytes < maxBatchBytes {
		a.cond.Wait()
	}
}

// run applies until ctx ends or the machine says that it cannot go on.
func (a *applier) run(ctx context.Context) error {
	defer context.AfterFunc(ctx, a.stop)()
	defer a.stop()
	for {
		entries, mark, ok := a.take()
		if !ok {
			return nil
		}
		if err := a.apply(ctx, entries); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		if mark.mark == 0 {
			continue
		}
		// A machine that is further than the log of the leader that it belongs to would skip what is ordered next.
		if at := a.machine.Position(); at.Index > mark.at && a.lead.leadsIn(mark.mark) {
			return core.E(core.KindDiverged, "the log ends at %d, but the replica is at %s: the log is older than the database", mark.at, at)
		}
		a.lead.marked(mark.mark, unixNano(a.machine.LastAt()))
	}
}

// apply applies the entries that the machine does not have, adds them to the feed, and answers their
// waiters.
func (a *applier) apply(ctx context.Context, entries []core.Entry) error {
	entries = a.fresh(entries)
	if len(entries) == 0 {
		a.feed.wakeAll()
		return nil
	}
	if n := a.voids.heldAmong(entries); n > 0 { // only what comes before the entry is applied for now
		if err := a.apply(ctx, entries[:n:n]); err != nil {
			return err
		}
		entries = entries[n:]
	}
	receipts, err := a.persist(ctx, entries)
	if err != nil {
		return err
	}
	after, last := a.machine.Position(), entries[len(entries)-1].Index
	if after.Index != last || len(receipts) != len(entries) {
		return core.E(core.KindInternal, "the machine is at %d with %d receipts after %d entries up to %d",
			after.Index, len(receipts), len(entries), last)
	}
	a.feed.add(entries, after.Digest)
	a.lead.deliver(entries, receipts)
	return nil
}

// fresh leaves out the entries that the machine has from before a restart or from a restore.
func (a *applier) fresh(entries []core.Entry) []core.Entry {
	at := a.machine.Position().Index
	n := 0
	for n < len(entries) && entries[n].Index <= at {
		n++
	}
	a.lead.deliver(entries[:n], make([]core.Receipt, n))
	return entries[n:]
}

// persist gives entries to the machine until it accepts them: a committed entry is never skipped, except by an order in
// the log. Only an entry that is of a later version ends the attempts.
func (a *applier) persist(ctx context.Context, entries []core.Entry) ([]core.Receipt, error) {
	pauses := backoff.Backoff{Min: 20 * time.Millisecond, Max: time.Second}
	a.voids.once.Do(func() { a.voids.lookAhead(entries[0].Index) })
	for n := 0; ; n++ {
		a.voids.mark(entries)
		if a.voids.held(entries[0]) {
			a.voids.wait(ctx, entries[0].Index, n)
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			continue
		}
		receipts, err := a.machine.Apply(ctx, entries)
		a.voids.tried(err, a.machine.Position().Index)
		switch kind := core.KindOf(err); {
		case err == nil:
			return receipts, nil
		case kind == core.KindUpgrade:
			return nil, fmt.Errorf("upgrade this node: applying entries from %d: %w", entries[0].Index, err)
		case kind == core.KindDiverged:
			return nil, fmt.Errorf("applying entries from %d: %w", entries[0].Index, err)
		}
		a.logger.Warn("machine did not apply, trying again", "from", entries[0].Index, "entries", len(entries), "err", err)
		if !backoff.Pause(ctx, pauses.After(n)) {
			return nil, context.Cause(ctx)
		}
	}
}

// unixNano maps the zero time, which UnixNano does not define, to 0.
func unixNano(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}
