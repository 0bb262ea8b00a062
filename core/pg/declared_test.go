package pg_test

import (
	"strings"
	"testing"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/pg"
	"github.com/nearside/nearside/core/pg/pgtest"
)

// A database that differs from the declarations stops the start with an error that names the column.
// What a newer program has added does not, if rows can be written without it.
func TestMigrate_Declared(t *testing.T) {
	for name, c := range map[string]struct{ change, says string }{
		"Missing":      {`ALTER TABLE posts DROP COLUMN hashtags`, "column posts.hashtags is missing"},
		"Type":         {`ALTER TABLE posts ALTER COLUMN reply_count TYPE integer`, "column posts.reply_count is of type integer, not bigint"},
		"Nullable":     {`ALTER TABLE users ALTER COLUMN nickname DROP NOT NULL`, "column users.nickname can be NULL"},
		"NotNullable":  {`ALTER TABLE users ALTER COLUMN props SET NOT NULL`, "column users.props cannot be NULL"},
		"Collation":    {`ALTER TABLE teams ALTER COLUMN description TYPE text COLLATE "POSIX"`, `column teams.description has the collation "POSIX"`},
		"Table":        {`DROP TABLE reactions`, "table reactions is missing"},
		"NewWithout":   {`ALTER TABLE teams ADD COLUMN motto text NOT NULL DEFAULT ''; ALTER TABLE teams ALTER COLUMN motto DROP DEFAULT`, "column teams.motto is not known"},
		"NewTable":     {`CREATE TABLE novelties (id uuid PRIMARY KEY)`, ""},
		"NewNullable":  {`ALTER TABLE teams ADD COLUMN motto bytea`, ""},
		"NewDefaulted": {`ALTER TABLE teams ADD COLUMN motto text NOT NULL DEFAULT ''`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			db := pgtest.Open(t)
			mustExec(t, db, c.change)
			err := pg.Migrate(t.Context(), db, pg.Schema)
			switch {
			case c.says == "" && err != nil:
				t.Errorf("got %v", err)
			case c.says != "" && (core.KindOf(err) != core.KindUpgrade || !strings.Contains(err.Error(), c.says)):
				t.Errorf("got %v, want %q", err, c.says)
			}
		})
	}
}
