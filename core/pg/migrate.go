package pg

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"path"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/apply"
)

//go:embed migrations
var migrationFiles embed.FS

// migrateLock is an advisory lock, so that nodes that share a database by mistake, and tests, migrate
// one after another. The number has no meaning.
const migrateLock = 0x6e656172

// Migrate brings this node's own schema and the replicated tables in the given schema up to
// date, and lets ReaderRole read the latter. It may be repeated. It fails with KindUpgrade when the
// log of the database is of a later version, or its columns differ from the declarations.
//
// Restoring a snapshot builds another schema beside the one in use; SwapSchema then replaces that one.
func Migrate(ctx context.Context, db *DB, schema string) error {
	if err := migrate(ctx, db, migrationFolder(), schema); err != nil {
		return err
	}
	return checkDeclared(ctx, db, schema)
}

func migrationFolder() fs.FS {
	files, err := fs.Sub(migrationFiles, "migrations")
	if err != nil {
		panic(err) // only an invalid constant fails
	}
	return files
}

func migrate(ctx context.Context, db *DB, files fs.FS, schema string) error {
	conn, err := db.pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	// The connection is closed, not given back to the pool: that frees the lock in every case.
	defer func() { conn.Hijack().Close(context.WithoutCancel(ctx)) }()
	// In a transaction of its own, so that the following ones see what the last holder of the lock did.
	if _, err := conn.Exec(ctx, "SELECT pg_advisory_lock($1)", migrateLock); err != nil {
		return fmt.Errorf("lock migrations: %w", err)
	}
	if err := checkVersion(ctx, conn, schema); err != nil {
		return err
	}
	m := migrator{conn: conn.Conn(), files: files}
	if err := m.prepareRecord(ctx); err != nil {
		return fmt.Errorf("prepare migrations: %w", err)
	}
	if err := m.folder(ctx, "local", LocalSchema); err != nil {
		return err
	}
	if err := m.prepareReader(ctx, schema); err != nil {
		return fmt.Errorf("prepare schema %s: %w", schema, err)
	}
	return m.folder(ctx, "replicated", schema)
}

// LogVersion gives the version of the log that a schema holds: 1 if none is stored, as in an empty
// database.
func LogVersion(ctx context.Context, q Queryer, schema string) (int64, error) {
	name := quoteName(schema) + ".counters"
	there, _, err := QueryOne(ctx, q, "SELECT to_regclass($1) IS NOT NULL", Scalar[bool], name)
	if err != nil || !there {
		return 1, err
	}
	v, ok, err := QueryOne(ctx, q, "SELECT value FROM "+name+" WHERE name = $1", Scalar[int64], apply.VersionCounter)
	if err != nil || !ok {
		return 1, err
	}
	return v, nil
}

func checkVersion(ctx context.Context, q Queryer, schema string) error {
	v, err := LogVersion(ctx, q, schema)
	if err != nil {
		return fmt.Errorf("read log version: %w", err)
	}
	return understood("database", v)
}

// understood refuses data of a later version of the log.
func understood(what string, version int64) error {
	if version > core.LogVersion {
		return core.E(core.KindUpgrade, "The %s is of log version %d, and this program understands %d: upgrade this node.", what, version, core.LogVersion)
	}
	return nil
}

// A migrator has a connection that holds the lock of migrations.
type migrator struct {
	conn  *pgx.Conn
	files fs.FS
}

func (m *migrator) prepareRecord(ctx context.Context) error {
	return m.all(ctx,
		"CREATE SCHEMA IF NOT EXISTS local",
		`CREATE TABLE IF NOT EXISTS local.migrations (
			schema text COLLATE "C" NOT NULL,
			name   text COLLATE "C" NOT NULL,
			PRIMARY KEY (schema, name))`)
}

// prepareReader makes the schema and the role that may read it. Roles belong to the whole
// server, so the migration of another database may create it at the same time. Then the second of the
// two goes on without an error.
func (m *migrator) prepareReader(ctx context.Context, schema string) error {
	name := quoteName(schema)
	return m.all(ctx,
		"CREATE SCHEMA IF NOT EXISTS "+name,
		`DO $$ BEGIN
			IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '`+ReaderRole+`') THEN
				CREATE ROLE `+ReaderRole+` NOLOGIN;
			END IF;
		EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
		END $$`,
		`DO $$ BEGIN
			IF NOT pg_has_role(current_user, '`+ReaderRole+`', 'MEMBER') THEN
				GRANT `+ReaderRole+` TO CURRENT_USER;
			END IF;
		EXCEPTION WHEN unique_violation THEN NULL;
		END $$`,
		"GRANT USAGE ON SCHEMA "+name+" TO "+ReaderRole,
		"GRANT SELECT ON ALL TABLES IN SCHEMA "+name+" TO "+ReaderRole,
		"ALTER DEFAULT PRIVILEGES IN SCHEMA "+name+" GRANT SELECT ON TABLES TO "+ReaderRole)
}

func (m *migrator) all(ctx context.Context, statements ...string) error {
	return pgx.BeginFunc(ctx, m.conn, func(tx pgx.Tx) error { return execAll(ctx, tx, statements...) })
}

// folder runs the files of a folder that the schema has not run yet.
func (m *migrator) folder(ctx context.Context, folder, schema string) error {
	names, err := migrationNames(m.files, folder)
	if err != nil {
		return err
	}
	had, err := Query(ctx, m.conn, `SELECT name FROM local.migrations WHERE schema = $1 ORDER BY name`, Scalar[string], schema)
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	for _, name := range names {
		if slices.Contains(had, name) {
			continue
		}
		if err := m.file(ctx, path.Join(folder, name), schema); err != nil {
			return fmt.Errorf("migration %s/%s: %w", folder, name, err)
		}
	}
	return nil
}

// file runs one migration, and records it in the same transaction.
func (m *migrator) file(ctx context.Context, name, schema string) error {
	sql, err := fs.ReadFile(m.files, name)
	if err != nil {
		return err
	}
	return pgx.BeginFunc(ctx, m.conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SET LOCAL search_path = "+quoteName(schema)); err != nil {
			return err
		}
		// The simple protocol takes many statements at once.
		if _, err := m.conn.PgConn().Exec(ctx, string(sql)).ReadAll(); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `INSERT INTO local.migrations (schema, name) VALUES ($1, $2)`, schema, path.Base(name))
		return err
	})
}

// migrationNames gives the files of a folder in order; a folder may be missing.
func migrationNames(files fs.FS, folder string) ([]string, error) {
	names, err := fs.Glob(files, folder+"/[0-9][0-9][0-9][0-9]_*.sql")
	if err != nil {
		return nil, fmt.Errorf("list migrations: %w", err)
	}
	for i := range names {
		names[i] = path.Base(names[i])
	}
	slices.Sort(names)
	for i := 1; i < len(names); i++ {
		if names[i][:4] == names[i-1][:4] {
			return nil, fmt.Errorf("migrations %s and %s have one number", names[i-1], names[i])
		}
	}
	return names, nil
}

// SwapSchema drops schema and renames schema next to its name, together with the record of its
// migrations.
func SwapSchema(ctx context.Context, tx Tx, schema, next string) error {
	err := execAll(ctx, tx,
		"DROP SCHEMA IF EXISTS "+quoteName(schema)+" CASCADE",
		"ALTER SCHEMA "+quoteName(next)+" RENAME TO "+quoteName(schema))
	if err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, "DELETE FROM local.migrations WHERE schema = $1", schema); err != nil {
		return err
	}
	_, err = tx.Exec(ctx, "UPDATE local.migrations SET schema = $1 WHERE schema = $2", schema, next)
	return err
}

// DropSchema removes a schema, for instance that of an unfinished restore, and the record of its
// migrations. It is no error if there is none.
func DropSchema(ctx context.Context, tx Tx, schema string) error {
	if _, err := tx.Exec(ctx, "DELETE FROM local.migrations WHERE schema = $1", schema); err != nil {
		return err
	}
	return execAll(ctx, tx, "DROP SCHEMA IF EXISTS "+quoteName(schema)+" CASCADE")
}

func execAll(ctx context.Context, tx Tx, statements ...string) error {
	for _, sql := range statements {
		if _, err := tx.Exec(ctx, sql); err != nil {
			return err
		}
	}
	return nil
}
