package replica

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/pg"
)

// settle finds out how far the database is after something failed, and brings it back to the position
// that readers know.
func (r *Replica) settle(ctx context.Context) error {
	if !r.stale {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, batchLimit)
	defer cancel()
	r.store.Drop()
	pos, at, err := r.store.Position(ctx)
	if err != nil {
		return fmt.Errorf("read position: %w", err)
	}
	switch d := r.doubt; {
	case d != nil && d.pos == pos: // it was committed; only the answer was lost
		r.publish(d)
	case pos != r.goal.pos:
		if err := r.replay(ctx, place{pos, at}); err != nil {
			return err
		}
	}
	r.stale, r.doubt = false, nil
	return nil
}

// replay applies again what the database has lost: it acknowledges commits before they are durable, and
// can lose the last ones in a crash. Their events were published already. If more is lost than was
// kept, only a snapshot helps: the error wraps core.ErrDiverged.
func (r *Replica) replay(ctx context.Context, have place) error {
	lost := r.kept.after(have.pos.Index)
	if have.pos.Epoch > r.goal.pos.Epoch || have.pos.Index > r.goal.pos.Index || have.pos.Index < r.kept.flushed || len(lost) == 0 {
		return core.E(core.KindDiverged, "The database is at %v, but this node left it at %v.", have.pos, r.goal.pos).WithCause(core.ErrDiverged)
	}
	r.log.Warn("the database lost its last commits; applying them again", "from", have.pos.String(), "to", r.goal.pos.String())
	r.move(have)
	for len(lost) > 0 {
		part := firstPart(lost)
		c, stop, err := r.decide(ctx, have, part, r.goal.pos.Epoch)
		if err == nil {
			err = stop
		}
		if err == nil {
			err = r.store.Commit(ctx, c.pos, c.at)
		}
		if errors.Is(err, pg.ErrRepeated) {
			continue
		}
		if err != nil {
			return fmt.Errorf("apply again: %w", err)
		}
		have = c.place
		r.move(have)
		lost = lost[len(c.entries):]
	}
	if have.pos != r.goal.pos {
		return core.E(core.KindDiverged, "Applying again came to %v, not to %v.", have.pos, r.goal.pos).WithCause(core.ErrDiverged)
	}
	return nil
}

// kept has the entries applied since the last flush, because the database may still lose them.
type kept struct {
	entries []core.Entry
	bytes   int
	flushed core.Index
}

func (k *kept) full() bool { return k.bytes >= maxKeptBytes }

func (k *kept) add(entries []core.Entry) {
	const overhead = 96
	for i := range entries {
		k.bytes += len(entries[i].Data) + overhead
	}
	k.entries = append(k.entries, entries...)
}

// after gives the entries after an index.
func (k *kept) after(i core.Index) []core.Entry {
	for n := range k.entries {
		if k.entries[n].Index > i {
			return k.entries[n:]
		}
	}
	return nil
}

// trim forgets the entries up to an index: they are durable.
func (k *kept) trim(i core.Index) {
	if i <= k.flushed {
		return // another flush has a later position
	}
	rest := k.after(i)
	*k = kept{flushed: i}
	k.add(rest)
}

// Flush makes everything applied so far durable and gives a durable position. It takes the turn only at its
// beginning and end: batches are applied while it waits for the disk.
func (r *Replica) Flush(ctx context.Context) (core.Position, error) {
	if err := r.take(ctx); err != nil {
		return core.Position{}, err
	}
	err := r.settle(ctx)
	of, reached := r.kept, r.goal.pos
	r.release()
	if err != nil {
		return core.Position{}, err
	}
	pos, err := r.flushDatabase(ctx)
	if err := r.take(ctx); err != nil {
		return core.Position{}, err
	}
	defer r.release()
	if r.kept != of {
		return core.Position{}, errors.Join(errReplaced, err)
	}
	return pos, r.endFlush(reached, pos, err)
}

var errReplaced = errors.New("flush: another state was restored meanwhile")

func (r *Replica) flushDatabase(ctx context.Context) (core.Position, error) {
	ctx, cancel := context.WithTimeout(ctx, batchLimit)
	defer cancel()
	return pg.Flush(ctx, r.cfg.DB)
}

// endFlush ends a flush that gave pos or an error; reached is the position of the replica when it began. A pos
// before reached means that the database has crashed and lost commits. It may have lost later ones too, so
// only pos counts.
func (r *Replica) endFlush(reached, pos core.Position, err error) error {
	if err == nil && pos != reached && (pos.Index <= reached.Index || pos.Epoch < reached.Epoch) {
		err = fmt.Errorf("flush: the database is at %v, not at %v", pos, reached)
	}
	if err != nil {
		r.stale = true
		return err
	}
	r.kept.trim(pos.Index)
	return nil
}

// sweepAfter is how long a sealed value that no row names stays, in time of the log.
const sweepAfter = time.Hour

// flushLoop flushes what was applied, and removes sealed values that no row names any more, until ctx ends. So the replica finds out that the database has
// lost commits also when nothing new is applied.
func (r *Replica) flushLoop(ctx context.Context) {
	tick, sweep := time.NewTicker(r.cfg.FlushEvery), time.NewTicker(r.cfg.SweepEvery)
	defer tick.Stop()
	defer sweep.Stop()
	var swept core.Seal
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-sweep.C:
			var err error
			if swept, err = pg.SweepSealed(ctx, r.cfg.DB, swept, r.LastAt().Add(-sweepAfter)); err != nil && ctx.Err() == nil {
				r.log.Warn("sweep sealed values", "error", err)
			}
			continue
		}
		if err := r.flushKept(ctx); err != nil && ctx.Err() == nil {
			r.log.Warn("flush", "error", err)
		}
	}
}

func (r *Replica) flushKept(ctx context.Context) error {
	if err := r.take(ctx); err != nil {
		return err
	}
	durable := len(r.kept.entries) == 0 && !r.stale
	r.release()
	if durable {
		return nil
	}
	_, err := r.Flush(ctx)
	return err
}
