package replica

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/pg"
)

// nextSchema is the schema in which a restored state is built before it is put into use.
const nextSchema = "nearside_next"

// Restore replaces the whole state with a snapshot made at a position. The old state is used, and
// entries may be applied to it, until the new one is complete. Then readers see the new state, and
// subscribers learn that history was replaced. A snapshot that is cut short, damaged, of another
// position or of a later version changes nothing.
func (r *Replica) Restore(ctx context.Context, at core.Position, from io.Reader) (err error) {
	began := time.Now()
	defer func() { r.metrics.snapshotDone(actionRestore, began, err) }()
	select {
	case r.restoring <- struct{}{}:
		defer func() { <-r.restoring }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	h, err := pg.Import(ctx, r.cfg.DB, nextSchema, at, from)
	if err != nil {
		return err
	}
	if err := r.take(ctx); err != nil {
		return err
	}
	defer r.release()
	r.spool.drop() // its exports lock the old tables, and its snapshots are of the old history
	r.store.Drop()
	r.stale = true
	if err := pg.Switch(ctx, r.cfg.DB, nextSchema); err != nil {
		return fmt.Errorf("switch to snapshot: %w", err)
	}
	if err := r.begin(ctx, place{h.Position, h.LastAt()}); err != nil {
		return err
	}
	r.tail.Reset() // a reader that sees it finds the new position
	r.log.Info("restored from a snapshot", "position", h.Position.String())
	return nil
}
