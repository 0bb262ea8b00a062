package pg_test

import (
	"regexp"
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
		"LargeIndex":   {`CREATE INDEX posts_text ON posts (channel_id, message)`, "index posts_text: table posts: an index entry over channel_id, message can have 65"},
		"MapIndex":     {`CREATE INDEX posts_props ON posts (props)`, "column props is a list or a map"},
		"NewIndex":     {`ALTER TABLE teams ADD COLUMN motto text NOT NULL DEFAULT ''; CREATE INDEX teams_motto ON teams (motto, name)`, ""},
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

// Every index of the replicated tables is of a kind whose entries are known to be small enough: a B-tree or BRIN over whole
// columns, which every start checks, a B-tree over the beginning of a search form, or a GIN over the words of a text, which
// are cut. A B-tree over another expression would need a limit of its own.
func TestIndexes_OfKnownSize(t *testing.T) {
	type index struct{ name, kind, definition string }
	list, err := pg.Query(t.Context(), pgtest.Open(t), `SELECT i.relname::text, m.amname::text, pg_get_indexdef(i.oid)
		FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_am m ON m.oid = i.relam JOIN pg_namespace n ON n.oid = i.relnamespace
		WHERE n.nspname = $1 AND (x.indexprs IS NOT NULL OR m.amname NOT IN ('btree', 'brin'))`,
		func(r pg.Row) (x index, err error) { return x, r.Scan(&x.name, &x.kind, &x.definition) }, pg.Schema)
	if err != nil || len(list) == 0 {
		t.Fatal("no index was found", err)
	}
	known := regexp.MustCompile(`USING (btree \("left"\(search_form\(\w+\), 64\)\)|gin \(search_words\(\w+\)\)( WHERE .*)?)$`)
	for _, x := range list {
		if !known.MatchString(x.definition) {
			t.Errorf("nobody knows how large an entry can be: %s", x.definition)
		}
	}
}
