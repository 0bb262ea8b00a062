package pg_test

import (
	"context"
	"strings"
	"testing"

	"github.com/nearside/nearside/core/pg"
	"github.com/nearside/nearside/core/pg/pgtest"
)

// A pool as the reader can select from the replicated schema and can write nothing.
func TestOpen_Reader(t *testing.T) {
	cfg := pgtest.Database(t)
	db := pgtest.Connect(t, cfg)
	if err := pg.Migrate(t.Context(), db, pg.Schema); err != nil {
		t.Fatal(err)
	}
	mustExec(t, db, `CREATE TABLE probe (n int)`)
	mustExec(t, db, `INSERT INTO probe VALUES (7)`)
	cfg.Role = pg.ReaderRole
	reader := pgtest.Connect(t, cfg)
	got, err := pg.Query(t.Context(), reader, `SELECT n FROM probe`, pg.Scalar[int])
	if err != nil || len(got) != 1 || got[0] != 7 {
		t.Fatalf("read %v, %v", got, err)
	}
	for _, sql := range []string{
		`INSERT INTO probe VALUES (8)`, `DELETE FROM probe`, `CREATE TABLE mine (n int)`, `CREATE TEMP TABLE mine (n int)`,
		`CREATE TABLE public.mine (n int)`, `SELECT * FROM local.migrations`,
	} {
		if _, err := reader.Exec(t.Context(), sql); err == nil {
			t.Errorf("the reader could %s", sql)
		}
		err := reader.WriteTx(t.Context(), func(ctx context.Context, tx pg.Tx) error {
			if _, err := tx.Exec(ctx, `SET TRANSACTION READ WRITE`); err != nil {
				t.Error(err)
			}
			_, err := tx.Exec(ctx, sql)
			return err
		})
		if err == nil && !strings.Contains(sql, "TEMP") {
			t.Errorf("the reader could %s in a read-write transaction", sql)
		}
	}
}

func mustExec(t *testing.T, q pg.Queryer, sql string, args ...any) {
	t.Helper()
	if _, err := q.Exec(context.WithoutCancel(t.Context()), sql, args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}
