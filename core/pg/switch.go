package pg

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/nearside/nearside/core/backoff"
)

// How long one attempt to switch waits for the readers of the old tables, and all attempts together.
// New readers wait during an attempt, so it is short.
const (
	switchPatience = "300ms"
	switchLimit    = time.Minute
)

// Switch replaces the schema in use by the schema next, durably. Readers see the whole old state or the
// whole new one.
func Switch(ctx context.Context, db *DB, next string) error {
	ctx, cancel := context.WithTimeout(ctx, switchLimit)
	defer cancel()
	for {
		err := db.WriteTx(ctx, func(ctx context.Context, tx Tx) error { return switchOnce(ctx, tx, db.schema, next) })
		var pe *pgconn.PgError
		if !errors.As(err, &pe) || pe.Code != "55P03" && pe.Code != "40P01" { // lock timeout, deadlock
			return err
		}
		if !backoff.Pause(ctx, 50*time.Millisecond) {
			return fmt.Errorf("switch schema: %w", err)
		}
	}
}

// switchOnce locks every old table before it renames anything. Otherwise a reader in the middle of a
// transaction would find the rest of its tables in the new schema.
func switchOnce(ctx context.Context, tx Tx, schema, next string) error {
	tables, err := shapes(ctx, tx, schema)
	if err != nil {
		return err
	}
	if err := execAll(ctx, tx, "SET LOCAL synchronous_commit = on", "SET LOCAL lock_timeout = '"+switchPatience+"'"); err != nil {
		return err
	}
	for _, t := range tables {
		if _, err := tx.Exec(ctx, "LOCK TABLE "+quoteName(schema)+"."+quoteName(t.Name)+" IN ACCESS EXCLUSIVE MODE"); err != nil {
			return err
		}
	}
	return SwapSchema(ctx, tx, schema, next)
}

// TableDigest is a checksum of a table's rows in any order.
type TableDigest struct {
	Name string `json:"name"`
	Rows int64  `json:"rows"`
	Sum  string `json:"sum"`
}

// Digests gives a checksum of every replicated table at one moment, without the sealed values, which only home
// has. Two replicas at one position have the same ones. Columns named as TABLE.COLUMN are left out: another version of the program may not
// have them.
func Digests(ctx context.Context, db *DB, without ...string) (out []TableDigest, err error) {
	err = db.ReadTx(ctx, func(ctx context.Context, tx Tx) error {
		h, err := exportHeader(ctx, tx, db.schema)
		if err != nil {
			return err
		}
		for _, t := range slices.DeleteFunc(h.Tables, isSealedTable) {
			d := TableDigest{Name: t.Name}
			t.Columns = slices.DeleteFunc(t.Columns, func(c string) bool { return slices.Contains(without, t.Name+"."+c) })
			sql := fmt.Sprintf(`SELECT count(*), coalesce(sum(('x' || md5(ROW(%s)::text))::bit(64)::bigint), 0)::text FROM %s t`, t.quoted(), quoteName(t.Name))
			if err := tx.QueryRow(ctx, sql).Scan(&d.Rows, &d.Sum); err != nil {
				return fmt.Errorf("digest %s: %w", t.Name, err)
			}
			out = append(out, d)
		}
		return nil
	})
	return out, err
}
