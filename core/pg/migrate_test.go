package pg_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/pg"
	"github.com/nearside/nearside/core/pg/pgtest"
)

func files(sql map[string]string) fstest.MapFS {
	fsys := fstest.MapFS{}
	for name, text := range sql {
		fsys[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return fsys
}

var twoFiles = map[string]string{
	"local/0001_mark.sql":       `CREATE TABLE mark (n int)`,
	"replicated/0001_thing.sql": `CREATE TABLE thing (n int PRIMARY KEY); INSERT INTO thing VALUES (1);`,
	"replicated/0002_more.sql":  `ALTER TABLE thing ADD COLUMN more int NOT NULL DEFAULT 5;`,
}

// The embedded migrations create the schema, and a second run changes nothing.
func TestMigrate_Twice(t *testing.T) {
	db := pgtest.Open(t)
	before := applied(t, db)
	if err := pg.Migrate(t.Context(), db, pg.Schema); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, applied(t, db)); diff != "" {
		t.Errorf("the second run changed the record: %s", diff)
	}
}

// Files run in order, each once, in the schema of their folder; later ones are added later.
func TestMigrate_InOrder(t *testing.T) {
	db := pgtest.Connect(t, pgtest.Database(t))
	fsys := files(twoFiles)
	more := fsys["replicated/0002_more.sql"]
	delete(fsys, "replicated/0002_more.sql")
	migrateFiles(t, db, fsys)
	fsys["replicated/0002_more.sql"] = more
	migrateFiles(t, db, fsys)
	migrateFiles(t, db, fsys)
	want := []string{"local/0001_mark.sql", "nearside/0001_thing.sql", "nearside/0002_more.sql"}
	if diff := cmp.Diff(want, applied(t, db)); diff != "" {
		t.Error(diff)
	}
	mustExec(t, db, `SELECT more FROM nearside.thing, local.mark`)
}

// If nodes migrate one database at the same time, each file runs once.
func TestMigrate_AtOnce(t *testing.T) {
	db := pgtest.Connect(t, pgtest.Database(t))
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if err := pg.MigrateFiles(t.Context(), db, files(twoFiles), pg.Schema); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

// A migration that fails changes nothing, and those before it stay.
func TestMigrate_Fails(t *testing.T) {
	db := pgtest.Connect(t, pgtest.Database(t))
	fsys := files(twoFiles)
	fsys["replicated/0003_bad.sql"] = &fstest.MapFile{Data: []byte(`CREATE TABLE half (n int); SELECT 1/0;`)}
	if err := pg.MigrateFiles(t.Context(), db, fsys, pg.Schema); err == nil {
		t.Fatal("a division by zero was no error")
	}
	if got := applied(t, db); len(got) != 3 {
		t.Errorf("applied are %v", got)
	}
	if _, err := db.Exec(t.Context(), `SELECT 1 FROM half`); err == nil {
		t.Error("half a migration is there")
	}
}

// A database that a newer program has migrated is used, until its log is of a version that this
// program does not understand.
func TestMigrate_ByNewerProgram(t *testing.T) {
	for _, name := range []string{"local/0001_mark.sql", "replicated/0002_more.sql"} {
		db := pgtest.Connect(t, pgtest.Database(t))
		migrateFiles(t, db, files(twoFiles))
		fsys := files(twoFiles)
		delete(fsys, name)
		if err := pg.MigrateFiles(t.Context(), db, fsys, pg.Schema); err != nil {
			t.Errorf("without %s: %v", name, err)
		}
	}
	db := pgtest.Connect(t, pgtest.Database(t))
	if err := pg.Migrate(t.Context(), db, pg.Schema); err != nil {
		t.Fatal(err)
	}
	for version, want := range map[int64]core.Kind{core.LogVersion: 0, core.LogVersion + 1: core.KindUpgrade} {
		mustExec(t, db, fmt.Sprintf(`INSERT INTO nearside.counters (name, value) VALUES ('log_version', %d) ON CONFLICT (name) DO UPDATE SET value = excluded.value`, version))
		if got, err := pg.LogVersion(t.Context(), db, pg.Schema); err != nil || got != version {
			t.Errorf("log version %d is read as %d, %v", version, got, err)
		}
		if err := pg.Migrate(t.Context(), db, pg.Schema); (err == nil) != (want == 0) || err != nil && core.KindOf(err) != want {
			t.Errorf("log version %d: %v", version, err)
		}
	}
}

// A schema built beside the one in use replaces it, with its record, and the reader can read it.
func TestSwapSchema(t *testing.T) {
	cfg := pgtest.Database(t)
	db := pgtest.Connect(t, cfg)
	fsys := files(twoFiles)
	migrateFiles(t, db, fsys)
	mustExec(t, db, `INSERT INTO thing VALUES (2)`)
	cfg.Role = pg.ReaderRole
	reader := pgtest.Connect(t, cfg)
	count := func() int {
		n, _, err := pg.QueryOne(t.Context(), reader, `SELECT count(*) FROM thing`, pg.Scalar[int])
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if n := count(); n != 2 {
		t.Fatalf("%d rows before", n)
	}
	if err := pg.MigrateFiles(t.Context(), db, fsys, "nearside_next"); err != nil {
		t.Fatal(err)
	}
	err := db.WriteTx(t.Context(), func(ctx context.Context, tx pg.Tx) error {
		return pg.SwapSchema(ctx, tx, pg.Schema, "nearside_next")
	})
	if err != nil {
		t.Fatal(err)
	}
	if n := count(); n != 1 { // with the same prepared statement
		t.Errorf("%d rows after", n)
	}
	want := []string{"local/0001_mark.sql", "nearside/0001_thing.sql", "nearside/0002_more.sql"}
	if diff := cmp.Diff(want, applied(t, db)); diff != "" {
		t.Error(diff)
	}
	migrateFiles(t, db, fsys)
}

func migrateFiles(t *testing.T, db *pg.DB, fsys fstest.MapFS) {
	t.Helper()
	if err := pg.MigrateFiles(t.Context(), db, fsys, pg.Schema); err != nil {
		t.Fatal(err)
	}
}

// applied gives the record of migrations as schema/name.
func applied(t *testing.T, db *pg.DB) []string {
	t.Helper()
	got, err := pg.Query(t.Context(), db, `SELECT schema || '/' || name FROM local.migrations ORDER BY schema, name`, pg.Scalar[string])
	if err != nil {
		t.Fatal(err)
	}
	return got
}
