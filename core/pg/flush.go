package pg

import (
	"context"
	"fmt"

	"github.com/nearside/nearside/core"
)

// A commit waits for the disk only if it wrote something; that is why there is local.flushed. The position is
// read without a lock, because writing a batch must not wait for the disk.
const flushSQL = `UPDATE local.flushed SET epoch = a.epoch, index = a.index FROM applied a
	RETURNING a.epoch, a.index, a.digest`

// Flush makes everything durable that was committed before, and gives a durable position. Batches can be
// written meanwhile.
//
// The position that it reads was committed before its own transaction, so it comes earlier in PostgreSQL's
// log, which is on the disk up to Flush's commit when that returns. If PostgreSQL has crashed and lost
// commits, the position is one from before them.
func Flush(ctx context.Context, db *DB) (pos core.Position, err error) {
	err = db.WriteTx(ctx, func(ctx context.Context, tx Tx) error {
		if err := execAll(ctx, tx, "SET LOCAL synchronous_commit = on"); err != nil {
			return err
		}
		var epoch, index int64
		var digest [16]byte
		err := tx.QueryRow(ctx, flushSQL).Scan(&epoch, &index, &digest)
		pos = core.Position{Epoch: core.Epoch(epoch), Index: core.Index(index), Digest: digest}
		return err
	})
	if err != nil {
		return core.Position{}, fmt.Errorf("flush: %w", err)
	}
	return pos, nil
}
