package replica

import (
	"context"

	"github.com/nearside/nearside/core/pg"
)

// Digests sums up each of the replica's tables at one moment.
func (r *Replica) Digests(ctx context.Context) ([]pg.TableDigest, error) {
	return pg.Digests(ctx, r.cfg.DB)
}
