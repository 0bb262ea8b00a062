package replica

import (
	"context"

	"github.com/nearside/nearside/core/pg"
)

// Digests sums up each of the replica's tables at one moment, but for the columns named as
// TABLE.COLUMN.
func (r *Replica) Digests(ctx context.Context, without ...string) ([]pg.TableDigest, error) {
	return pg.Digests(ctx, r.cfg.DB, without...)
}
