package replica

import (
	"context"
	"errors"
	"fmt"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/apply"
	"github.com/nearside/nearside/core/command"
	"github.com/nearside/nearside/core/event"
	"github.com/nearside/nearside/core/pg"
)

// committed is a batch that is being committed.
type committed struct {
	place
	entries  []core.Entry
	receipts []core.Receipt
	events   []event.Batch
	faults   []fault
	version  int64 // of the log, if the batch raised it; else 0
	full     bool  // it has not all entries, because it would be too large
}

// Apply applies entries of the replica's own epoch, in order. Those at or below the position
// are skipped; their receipts are zero if they are no longer remembered. Together with an error it
// gives the receipts of the entries that were applied before it. An error of KindUpgrade means that an
// entry cannot be understood; after any other error the same call may be repeated.
func (r *Replica) Apply(ctx context.Context, entries []core.Entry) ([]core.Receipt, error) {
	if err := r.take(ctx); err != nil {
		return nil, err
	}
	defer r.release()
	if err := r.settle(ctx); err != nil {
		return nil, err
	}
	epoch := max(r.Position().Epoch, r.cfg.Epoch)
	return r.applyAll(ctx, entries, epoch, nil)
}

// applyAll applies the entries that are new, in parts, and compares the digest after the last part with
// want, unless that is nil.
func (r *Replica) applyAll(ctx context.Context, entries []core.Entry, epoch core.Epoch, want *core.Digest) ([]core.Receipt, error) {
	receipts, err := r.known(ctx, entries)
	if err != nil {
		return nil, err
	}
	for rest := entries[len(receipts):]; len(rest) > 0; {
		part := firstPart(rest)
		check := want
		if len(part) < len(rest) {
			check = nil
		}
		got, err := r.applyPart(ctx, part, epoch, check)
		receipts = append(receipts, got...)
		if err != nil {
			return receipts, err
		}
		rest = rest[len(got):]
	}
	return receipts, nil
}

// known gives receipts for the entries that have been applied already.
func (r *Replica) known(ctx context.Context, entries []core.Entry) ([]core.Receipt, error) {
	pos, n := r.Position(), 0
	for n < len(entries) && entries[n].Index <= pos.Index {
		n++
	}
	receipts := make([]core.Receipt, n, len(entries))
	if n == 0 {
		return receipts, nil
	}
	got, err := pg.ReceiptsOf(ctx, r.cfg.DB, entries[0].Index, entries[n-1].Index)
	if err != nil {
		return nil, fmt.Errorf("read receipts: %w", err)
	}
	for i := range receipts {
		receipts[i] = got[entries[i].Index]
	}
	return receipts, nil
}

// firstPart gives as many entries as fit into one transaction, at least one.
func firstPart(entries []core.Entry) []core.Entry {
	size := 0
	for i := range entries {
		size += len(entries[i].Data) // sealed parts are small beside it
		if i > 0 && (i == maxBatchEntries || size > maxBatchBytes) {
			return entries[:i]
		}
	}
	return entries
}

// applyPart applies entries in one transaction. If the database refuses it, each entry gets its own, so that all before the
// one at fault are applied.
func (r *Replica) applyPart(ctx context.Context, part []core.Entry, epoch core.Epoch, want *core.Digest) ([]core.Receipt, error) {
	receipts, err := r.applyOnce(ctx, part, epoch, want)
	switch why := faultOf(err); {
	case why == nil:
		r.free(len(receipts) > 0)
		return receipts, err
	case len(part) == 1:
		return receipts, r.noteStuck(part[0], why)
	}
	for i := range part {
		if err := r.settle(ctx); err != nil {
			return receipts, err
		}
		check := want
		if i < len(part)-1 {
			check = nil
		}
		got, err := r.applyPart(ctx, part[i:i+1], epoch, check)
		receipts = append(receipts, got...)
		if err != nil {
			return receipts, err
		}
	}
	return receipts, nil
}

func (r *Replica) applyOnce(ctx context.Context, part []core.Entry, epoch core.Epoch, want *core.Digest) ([]core.Receipt, error) {
	ctx, cancel := context.WithTimeout(ctx, batchLimit)
	defer cancel()
	watch := r.metrics.begin(r.store)
	receipts, err := r.withoutPanic(func() ([]core.Receipt, error) { return r.applyWatched(ctx, part, epoch, want, watch) })
	watch.end(part, len(receipts), err)
	return receipts, err
}

func (r *Replica) applyWatched(ctx context.Context, part []core.Entry, epoch core.Epoch, want *core.Digest, watch *watch) ([]core.Receipt, error) {
	if r.kept.full() {
		pos, err := pg.Flush(ctx, r.cfg.DB)
		if err := r.endFlush(r.goal.pos, pos, err); err != nil {
			return nil, err
		}
		watch.step("making the database durable")
	}
	c, stop, err := r.decide(ctx, r.goal, part, epoch)
	if err != nil {
		return nil, err
	}
	watch.step("reading and deciding")
	if want != nil && stop == nil && len(c.entries) == len(part) && c.pos.Digest != *want {
		r.store.Drop()
		return nil, fmt.Errorf("entry %d: digest %v, not %v: %w", c.pos.Index, c.pos.Digest, *want, core.ErrDiverged)
	}
	if len(c.entries) == 0 {
		r.store.Drop()
		return nil, stop
	}
	err = r.store.Commit(ctx, c.pos, c.at)
	if errors.Is(err, pg.ErrRepeated) { // not again, because the next run reads which proposals these are
		return r.applyWatched(ctx, part, epoch, want, watch)
	}
	if err != nil {
		r.stale, r.doubt = true, c
		return nil, fmt.Errorf("apply entries %d to %d: %w", c.entries[0].Index, c.pos.Index, err)
	}
	watch.step("the commit")
	r.publish(c)
	return c.receipts, stop
}

// decide runs the state machine over entries that follow after a place. It ends early before an entry that
// cannot be understood, and stop says why; and when so much has been written that it should be committed first.
func (r *Replica) decide(ctx context.Context, from place, part []core.Entry, epoch core.Epoch) (c *committed, stop, err error) {
	prepared := make([]apply.Prepared, 0, len(part))
	at := from.pos.Index
	for _, e := range part {
		if e.Index <= at {
			return nil, nil, core.E(core.KindInvalid, "entry %d does not follow entry %d", e.Index, at)
		}
		p, err := apply.Prepare(e)
		if err != nil {
			stop = err
			break
		}
		prepared, at = append(prepared, p), e.Index
	}
	part = part[:len(prepared)]
	err = r.store.Run(ctx, from.pos, part, func() error {
		c = &committed{place: from}
		c.pos.Epoch = epoch
		for _, p := range prepared {
			if r.store.Full() {
				c.full = true
				break
			}
			if err := r.decideOne(c, p); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		r.stale = true
		return nil, nil, fmt.Errorf("apply batch: %w", err)
	}
	if c.full {
		stop = nil // the entry that cannot be understood comes after the rest
	}
	for _, f := range c.faults {
		r.log.Error("a command's handler panicked; its entry is refused at every replica", "index", f.index, "panic", f.Value, "stack", string(f.Stack))
	}
	return c, stop, nil
}

func (r *Replica) decideOne(c *committed, p apply.Prepared) error {
	e := p.Entry
	receipt := core.Receipt{Index: e.Index}
	rec := pg.Record{Index: e.Index, At: e.At.UnixMilli(), Proposal: e.ID}
	var decision []byte // empty for a repeated proposal
	if first, ok := r.store.Enter(e); ok && e.Void == nil {
		receipt = core.Receipt{Index: first.Index, Outcome: first.Outcome}
	} else {
		fx, err := r.machine.Apply(p)
		if err != nil {
			return err
		}
		decision, receipt.Outcome = fx.Decision, fx.Outcome
		rec.Outcome, rec.Accepted = fx.Outcome, fx.Accepted
		if fx.Accepted {
			r.store.Seal(p.Sealed())
		}
		if v, ok := p.Command.(*command.RaiseVersion); ok && fx.Accepted {
			c.version = v.To
		}
		if len(fx.Events) > 0 {
			c.events = append(c.events, event.Batch{Index: e.Index, Proposal: e.ID, At: e.At, Session: p.By.Session, Connection: p.By.Connection, Events: fx.Events})
		}
		if fx.Fault != nil {
			c.faults = append(c.faults, fault{fx.Fault, e.Index})
		}
	}
	c.pos.Index, c.pos.Digest, c.at = e.Index, c.pos.Digest.Next(e, decision), e.At
	rec.Digest = c.pos.Digest
	r.store.Leave(rec)
	c.entries = append(c.entries, e)
	c.receipts = append(c.receipts, receipt)
	return nil
}

// fault is a panic in the handler of an entry.
type fault struct {
	*apply.Fault
	index core.Index
}

// publish lets readers see a committed batch. Events are published first: a reader that has waited for
// an index then takes in the events to update its caches, and must find them.
func (r *Replica) publish(c *committed) {
	r.goal, r.doubt = c.place, nil
	r.kept.add(c.entries)
	if c.version > 0 {
		r.version.Store(c.version)
	}
	r.tail.Publish(c.events)
	r.move(c.place)
}
