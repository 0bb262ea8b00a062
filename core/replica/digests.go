package replica

import (
	"context"

	"github.com/nearside/nearside/core/pg"
)

// Digests gives a checksum of each of the replica's tables at one moment, without the columns named as
// TABLE.COLUMN.
func (r *Replica) Digests(ctx context.Context, without ...string) ([]pg.TableDigest, error) {
	return pg.Digests(ctx, r.cfg.DB, without...)
}
