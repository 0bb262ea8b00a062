package pg

import (
	"context"
	"fmt"
	"strings"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/apply"
	"github.com/nearside/nearside/core/schema"
)

// stored is a column in the catalogue of the database.
type stored struct {
	table, name, typ, collation string
	notNull, filled             bool // filled: it has a default
}

// checkDeclared compares the tables of a schema with the declarations of the nouns. With a difference
// this replica would decide differently from the others, or stop at its first write. So the node does
// not start, and the error names the column. Columns and tables that a newer program has added are
// accepted if rows can be written without them.
func checkDeclared(ctx context.Context, db *DB, in string) error {
	list, err := Query(ctx, db, `SELECT c.relname::text, a.attname::text, format_type(a.atttypid, a.atttypmod), coalesce(l.collname::text, ''), a.attnotnull, a.atthasdef
		FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
		LEFT JOIN pg_collation l ON l.oid = a.attcollation
		WHERE n.nspname = $1 AND c.relkind = 'r' ORDER BY 1, a.attnum`,
		func(r Row) (s stored, err error) {
			return s, r.Scan(&s.table, &s.name, &s.typ, &s.collation, &s.notNull, &s.filled)
		}, in)
	if err != nil {
		return fmt.Errorf("read catalogue: %w", err)
	}
	tables := map[string]map[string]stored{}
	for _, s := range list {
		if tables[s.table] == nil {
			tables[s.table] = map[string]stored{}
		}
		tables[s.table][s.name] = s
	}
	wrong, err := tooLarge(ctx, db, in)
	if err != nil {
		return err
	}
	for _, shape := range append([]*schema.Shape{recordShape}, apply.Shapes...) {
		wrong = append(wrong, differences(shape, tables[shape.Name])...)
	}
	if len(wrong) > 0 {
		return core.E(core.KindUpgrade, "The tables of the database differ from what this program needs: %s.", strings.Join(wrong, "; "))
	}
	return nil
}

// tooLarge names the indexes whose entries can be larger than PostgreSQL accepts: a row with such an entry would be
// refused by every replica, again and again. Only a B-tree has such a limit: the index of a text's words (GIN) leaves out
// words that are too long for it. A column that a newer program has added has its default in every row of this one.
func tooLarge(ctx context.Context, db *DB, in string) (out []string, err error) {
	type index struct {
		name, table string
		columns     []string
	}
	list, err := Query(ctx, db, `SELECT i.relname::text, t.relname::text, array_agg(a.attname::text ORDER BY k.place)
		FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_am m ON m.oid = i.relam
		JOIN pg_class t ON t.oid = x.indrelid JOIN pg_namespace n ON n.oid = t.relnamespace
		CROSS JOIN LATERAL unnest(x.indkey::int2[]) WITH ORDINALITY AS k(number, place)
		JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = k.number
		WHERE n.nspname = $1 AND m.amname = 'btree' GROUP BY 1, 2 ORDER BY 1`,
		func(r Row) (x index, err error) { return x, r.Scan(&x.name, &x.table, &x.columns) }, in)
	if err != nil {
		return nil, fmt.Errorf("read catalogue: %w", err)
	}
	shapes := map[string]*schema.Shape{recordShape.Name: recordShape}
	for _, s := range apply.Shapes {
		shapes[s.Name] = s
	}
	for _, x := range list {
		s := shapes[x.table]
		if s == nil {
			continue // apply writes no rows into it
		}
		var columns []int
		for _, name := range x.columns {
			if at := s.Position(name); at >= 0 {
				columns = append(columns, at)
			}
		}
		if err := s.IndexEntry(columns); err != nil {
			out = append(out, fmt.Sprintf("index %s: %v", x.name, err))
		}
	}
	return out, nil
}

// differences says how a table differs from its declaration.
func differences(shape *schema.Shape, have map[string]stored) (out []string) {
	bad := func(column, format string, args ...any) {
		out = append(out, fmt.Sprintf("column %s.%s %s", shape.Name, column, fmt.Sprintf(format, args...)))
	}
	if len(have) == 0 {
		return []string{fmt.Sprintf("table %s is missing", shape.Name)}
	}
	declared := map[string]bool{}
	for _, c := range shape.Columns {
		declared[c.Name] = true
		s, ok := have[c.Name]
		switch {
		case !ok:
			bad(c.Name, "is missing")
		case s.typ != c.Type:
			bad(c.Name, "is of type %s, not %s", s.typ, c.Type)
		case s.notNull == c.Nullable && c.Nullable:
			bad(c.Name, "cannot be NULL, as it has to be where there is no value")
		case s.notNull == c.Nullable:
			bad(c.Name, "can be NULL")
		case c.Type == "text" && s.collation != "C":
			bad(c.Name, `has the collation %q, not "C", which is the same on every machine`, s.collation)
		}
	}
	for name, s := range have {
		if !declared[name] && s.notNull && !s.filled {
			bad(name, "is not known to this program and has no default")
		}
	}
	return out
}
