package pg

import (
	"context"
	"fmt"

	"github.com/nearside/nearside/core"
)

// A commit waits for the disk only if it wrote something, hence local.flushed. The position is
// read without its lock: whoever writes a batch must not wait for the disk.
const flushSQL = `UPDATE local.flushed SET epoch = a.epoch, index = a.index FROM applied a
	RETURNING a.epoch, a.index, a.digest`

// Flush makes everything that was committed before it durable, and gives a position that is. Batches
// are written meanwhile.
//
// What it sees has been committed, so it is in PostgreSQL's log before Flush's own commit, which
// returns when that log is on the disk up to itself. After a crash in between it sees what is left.
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
