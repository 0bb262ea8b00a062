package pg_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/pg"
	"github.com/nearside/nearside/core/pg/pgtest"
)

// A pool with the role of the reader can select from the replicated schema and cannot write.
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

// A slow query does not count as an unavailable server; a server that does not exist does.
func TestIsUnavailable(t *testing.T) {
	cfg := pgtest.Database(t)
	db := pgtest.Connect(t, cfg)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := db.Exec(ctx, `SELECT pg_sleep(30)`); err == nil || pg.IsUnavailable(err) {
		t.Errorf("a slow query: %v", err)
	}
	if _, err := db.Exec(t.Context(), `SELECT 1/0`); err == nil || pg.IsUnavailable(err) {
		t.Errorf("a wrong query: %v", err)
	}
	if _, err := db.Exec(t.Context(), `SELECT pg_terminate_backend(pg_backend_pid())`); !pg.IsUnavailable(err) {
		t.Errorf("a terminated session: %v", err)
	}
	if _, err := pg.Open(t.Context(), pg.Config{ConnString: "host=" + t.TempDir()}); !pg.IsUnavailable(err) {
		t.Errorf("no server: %v", err)
	}
	if _, err := pg.Open(t.Context(), pg.Config{ConnString: "no such thing"}); core.KindOf(err) != core.KindInvalid {
		t.Errorf("no connection string: %v", err)
	}
}

// A read transaction sees one state, whatever others write meanwhile, and cannot write.
func TestReadTx_OneState(t *testing.T) {
	db := pgtest.Open(t)
	mustExec(t, db, `CREATE TABLE counted (n int)`)
	err := db.ReadTx(t.Context(), func(ctx context.Context, tx pg.Tx) error {
		for want := range 2 { // the second look is after a write
			n, _, err := pg.QueryOne(ctx, tx, `SELECT count(*) FROM counted`, pg.Scalar[int])
			if n != 0 || err != nil {
				t.Errorf("look %d sees %d rows, %v", want, n, err)
			}
			mustExec(t, db, `INSERT INTO counted VALUES (1)`)
		}
		_, err := tx.Exec(ctx, `INSERT INTO counted VALUES (2)`)
		return err
	})
	if err == nil {
		t.Error("a read transaction could write")
	}
	if tag, err := db.Exec(t.Context(), `DELETE FROM counted`); tag.RowsAffected() != 2 || err != nil {
		t.Errorf("deleted %v, %v", tag, err)
	}
	if _, ok, err := pg.QueryOne(t.Context(), db, `SELECT n FROM counted`, pg.Scalar[int]); ok || err != nil {
		t.Errorf("no row: %v, %v", ok, err)
	}
}

func mustExec(t *testing.T, q pg.Queryer, sql string, args ...any) {
	t.Helper()
	if _, err := q.Exec(context.WithoutCancel(t.Context()), sql, args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}
