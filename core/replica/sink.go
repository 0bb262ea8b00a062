package replica

import (
	"context"
	"fmt"
	"io"

	"github.com/nearside/nearside/core"
)

// Sink is the replica as a follower uses it: batches come from a source, with the digest that they must
// come to.
type Sink struct{ r *Replica }

// Sink gives the follower's view.
func (r *Replica) Sink() Sink { return Sink{r} }

// Position gives the position of the replica.
func (s Sink) Position() core.Position { return s.r.Position() }

// Apply applies a batch; entries that were applied before are skipped. It fails with core.ErrDiverged,
// and changes nothing, if the batch belongs to another history or its digest is not that of the source.
func (s Sink) Apply(ctx context.Context, b core.Batch) error {
	if n := len(b.Entries); n > 0 && b.Entries[n-1].Index != b.After.Index {
		return core.E(core.KindInvalid, "A batch up to entry %d says that it ends at %d.", b.Entries[n-1].Index, b.After.Index)
	}
	r := s.r
	if err := r.take(ctx); err != nil {
		return err
	}
	defer r.release()
	if err := r.settle(ctx); err != nil {
		return err
	}
	pos := r.goal.pos
	if pos.Index > 0 && pos.Epoch != b.After.Epoch || pos.Index == b.After.Index && pos.Digest != b.After.Digest {
		return fmt.Errorf("at %v, batch comes to %v: %w", pos, b.After, core.ErrDiverged)
	}
	fresh := b.Entries
	for len(fresh) > 0 && fresh[0].Index <= pos.Index {
		fresh = fresh[1:]
	}
	_, err := r.applyAll(ctx, fresh, b.After.Epoch, &b.After.Digest)
	return err
}

// Restore replaces the state of the replica with a snapshot.
func (s Sink) Restore(ctx context.Context, at core.Position, from io.Reader) error {
	return s.r.Restore(ctx, at, from)
}
