package region

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/nearside/nearside/core"
)

// errRetry says that an attempt to order a proposal failed, or that its effect is not known, and that it
// should be repeated with the same id.
var errRetry = errors.New("leadership moved")

// waiter is a proposal whose caller waits for its receipt.
type waiter struct {
	id   core.ProposalID
	data []byte
	done chan result // holds one
	next *waiter     // another caller with the same id
}

type result struct {
	receipt core.Receipt
	err     error
}

// lead has what this node knows about leadership, and the callers that wait for receipts. One mutex
// guards both registering a waiter and losing leadership, so that no waiter is forgotten.
type lead struct {
	mu      sync.Mutex // guards all below
	term    uint64     // in which this node leads; 0 when it does not
	ready   bool       // everything before our mark is applied, so we may stamp
	paused  bool       // we are giving leadership away
	last    int64      // newest time given or applied, Unix nanoseconds
	waiters map[core.ProposalID]*waiter

	node    string    // the known leader, "" when there is none
	since   time.Time // since when there is none
	base    context.Context
	ctx     context.Context         // of base, while node is the known leader
	cancel  context.CancelCauseFunc // of ctx
	changed chan struct{}           // closed and replaced on every change
}

// view is a copy of lead at one moment.
type view struct {
	leads   bool // elected, perhaps not ready
	ready   bool // may order now
	node    string
	ctx     context.Context // ends when node no longer is the known leader
	changed <-chan struct{}
}

func newLead() *lead {
	return &lead{waiters: map[core.ProposalID]*waiter{}, changed: make(chan struct{}), cancel: func(error) {}, since: time.Now()}
}

func (l *lead) view() view {
	l.mu.Lock()
	defer l.mu.Unlock()
	return view{leads: l.term != 0, ready: l.ready && !l.paused, node: l.node, ctx: l.ctx, changed: l.changed}
}

func (l *lead) announce() {
	close(l.changed)
	l.changed = make(chan struct{})
}

// leaderless gives for how long no leader has been known.
func (l *lead) leaderless() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.node != "" {
		return 0
	}
	return time.Since(l.since)
}

// begin sets the parent of the contexts of leadership, and the newest time of the log.
func (l *lead) begin(base context.Context, last int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.base, l.last = base, last
	l.ctx, l.cancel = context.WithCancelCause(base)
}

// elected notes that this node leads in a term; it may stamp once its mark is applied.
func (l *lead) elected(term uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.term, l.ready, l.paused = term, false, false
	l.announce()
}

// deposed notes that this node no longer leads, and makes every waiter try again.
func (l *lead) deposed() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.term, l.ready, l.paused = 0, false, false
	l.sweep(errRetry)
	l.announce()
}

// marked notes that the mark of a term was applied, and the time of the entry before it.
func (l *lead) marked(term uint64, last int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if term == 0 || term != l.term {
		return
	}
	l.last = max(l.last, last)
	l.ready = true
	l.announce()
}

// ledTerm gives the term in which this node leads; 0 if it does not.
func (l *lead) ledTerm() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.term
}

// leadsIn reports whether this node leads in a term.
func (l *lead) leadsIn(term uint64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return term == l.term
}

// pause stops or resumes stamping. While Raft hands leadership over it drops what it is given and does not
// report that, so after the attempt all waiters must try again.
func (l *lead) pause(on bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.paused = on; !on {
		l.sweep(errRetry)
	}
	l.announce()
}

// follow notes which node leads, "" for none.
func (l *lead) follow(node string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if node == l.node {
		return
	}
	if l.node = node; node == "" {
		l.since = time.Now()
	}
	l.cancel(errRetry)
	l.ctx, l.cancel = context.WithCancelCause(l.base)
	l.announce()
}

// close fails every waiter for good.
func (l *lead) close(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.term, l.ready, l.node = 0, false, ""
	l.sweep(err)
	l.cancel(err)
	l.announce()
}

func (l *lead) sweep(err error) {
	for _, w := range l.waiters {
		for ; w != nil; w = w.next {
			w.done <- result{err: err}
		}
	}
	clear(l.waiters)
}

// waiting gives how many proposals have a waiter.
func (l *lead) waiting() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.waiters)
}

// electedTerm gives the term whose mark is not ordered yet, or 0.
func (l *lead) electedTerm() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ready {
		return 0
	}
	return l.term
}

// stamp registers a waiter and gives its proposal the next time. It reports false when this
// node may not order.
func (l *lead) stamp(w *waiter, now int64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.ready || l.paused {
		return false
	}
	l.last = max(l.last+1, now)
	stampEntry(w.data, l.term, l.last)
	w.next = l.waiters[w.id]
	l.waiters[w.id] = w
	return true
}

// deliver gives receipts to the waiters of these entries.
func (l *lead) deliver(entries []core.Entry, receipts []core.Receipt) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.waiters) == 0 {
		return
	}
	for i, e := range entries {
		for w := l.waiters[e.ID]; w != nil; w = w.next {
			w.done <- resultOf(receipts[i])
		}
		delete(l.waiters, e.ID)
	}
}

// resultOf gives the result for a receipt. A machine that had the entry already may not know its receipt;
// then repeating the proposal with the same id gives it.
func resultOf(r core.Receipt) result {
	if r.Index == 0 {
		return result{err: errRetry}
	}
	return result{receipt: r}
}

// forget removes a waiter whose caller went away.
func (l *lead) forget(w *waiter) {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := l.waiters[w.id]
	if at == w {
		l.waiters[w.id] = w.next
		if w.next == nil {
			delete(l.waiters, w.id)
		}
		return
	}
	for ; at != nil; at = at.next {
		if at.next == w {
			at.next = w.next
			return
		}
	}
}
