package pg

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// banned has the calls and types that can give different results on different replicas.
var banned = []struct {
	pattern *regexp.Regexp
	why     string
}{
	{regexp.MustCompile(`(?i)\b(now|transaction_timestamp|statement_timestamp|clock_timestamp|timeofday)\s*\(`), "reads the clock: take the entry's time"},
	{regexp.MustCompile(`(?i)\b(current_timestamp|current_date|current_time|localtimestamp|localtime)\b`), "reads the clock: take the entry's time"},
	{regexp.MustCompile(`(?i)'(now|today|tomorrow|yesterday)'`), "reads the clock: take the entry's time"},
	{regexp.MustCompile(`(?i)\b(random|random_normal|setseed|gen_random_uuid|gen_random_bytes|uuidv4|uuidv7|uuid_generate_\w+)\s*\(`), "is random: ids come with the command"},
	{regexp.MustCompile(`(?i)\b(small|big)?serial[248]?\b`), "is a sequence: it skips numbers where a transaction failed"},
	{regexp.MustCompile(`(?i)\b(create|alter)\s+sequence\b|\b(nextval|setval|currval|lastval)\s*\(`), "is a sequence: it skips numbers where a transaction failed"},
	{regexp.MustCompile(`(?i)\bgenerated\s+(always|by\s+default)\s+as\s+identity\b`), "is a sequence: it skips numbers where a transaction failed"},
	{regexp.MustCompile(`(?i)\btablesample\b`), "is random: replicas would pick other rows"},
}

// clocks gives what in a statement can give different results on different replicas.
func clocks(sql string) []string {
	var out []string
	for _, b := range banned {
		if m := b.pattern.FindString(sql); m != "" {
			out = append(out, fmt.Sprintf("%s %s", m, b.why))
		}
	}
	return out
}

var (
	lineComment  = regexp.MustCompile(`--[^\n]*`)
	blockComment = regexp.MustCompile(`(?s)/\*.*?\*/`)
	createTable  = regexp.MustCompile(`(?is)\bcreate\s+(?:unlogged\s+)?table\s+(?:if\s+not\s+exists\s+)?"?([\w.]+)"?\s*\(`)
	addColumn    = regexp.MustCompile(`(?is)\balter\s+table\s+(?:if\s+exists\s+)?(?:only\s+)?"?([\w.]+)"?\s+add\s+(?:column\s+)?(?:if\s+not\s+exists\s+)?("?\w+"?\s[^;]*)`)
	addKey       = regexp.MustCompile(`(?is)\balter\s+table\s+(?:only\s+)?"?([\w.]+)"?\s+add\s+(?:constraint\s+\w+\s+)?(?:primary\s+key|unique)\s*\(`)
	createIndex  = regexp.MustCompile(`(?is)\bcreate\s+(?:unique\s+)?index\s+(?:concurrently\s+)?(?:if\s+not\s+exists\s+)?(?:\w+\s+)?on\s+(?:only\s+)?"?([\w.]+)"?\s*(?:using\s+(\w+)\s*)?\(`)
	tableKey     = regexp.MustCompile(`(?is)^(?:constraint\s+\w+\s+)?(?:primary\s+key|unique(?:\s+nulls\s+(?:not\s+)?distinct)?|exclude\s+using\s+\w+)\s*\(`)
	otherClause  = regexp.MustCompile(`(?is)^(?:constraint|check|foreign|like)\b`)
	textColumn   = regexp.MustCompile(`(?is)^"?(\w+)"?\s+(?:text|character\s+varying|varchar|char|character|bpchar|citext|name)\b`)
	columnKey    = regexp.MustCompile(`(?i)\b(?:primary\s+key|unique)\b`)
	collateC     = regexp.MustCompile(`(?i)\bcollate\s+"C"`)
	word         = regexp.MustCompile(`\w+`)
)

// collations gives the text columns that a key or an ordered index of the statements orders by
// in the collation of the database, which differs between machines.
func collations(sql string) []string {
	sql = withoutComments(sql)
	loose := map[string]bool{} // table.column: text without COLLATE "C"
	keyed := map[string]bool{} // table.column: orders a key or an index
	column := func(table, def string) {
		m := textColumn.FindStringSubmatch(def)
		if m == nil || collateC.MatchString(def) {
			return
		}
		loose[table+"."+m[1]] = true
		if columnKey.MatchString(def) {
			keyed[table+"."+m[1]] = true
		}
	}
	key := func(table, list string) {
		for _, part := range splitTop(list) {
			if collateC.MatchString(part) {
				continue
			}
			for _, w := range word.FindAllString(part, -1) { // for an expression, every column in it
				keyed[table+"."+w] = true
			}
		}
	}
	for _, m := range createTable.FindAllStringSubmatchIndex(sql, -1) {
		table := sql[m[2]:m[3]]
		for _, def := range splitTop(inner(sql[m[1]:])) {
			if k := tableKey.FindStringIndex(def); k != nil {
				key(table, inner(def[k[1]:]))
			} else if !otherClause.MatchString(def) {
				column(table, def)
			}
		}
	}
	for _, m := range addColumn.FindAllStringSubmatch(sql, -1) {
		column(m[1], m[2])
	}
	for _, m := range addKey.FindAllStringSubmatchIndex(sql, -1) {
		key(sql[m[2]:m[3]], inner(sql[m[1]:]))
	}
	for _, m := range createIndex.FindAllStringSubmatchIndex(sql, -1) {
		if m[4] >= 0 && !strings.EqualFold(sql[m[4]:m[5]], "btree") {
			continue // a gin or hash index orders nothing
		}
		key(sql[m[2]:m[3]], inner(sql[m[1]:]))
	}
	var out []string
	for c := range loose {
		if keyed[c] {
			out = append(out, c+` orders a key or an index without COLLATE "C"`)
		}
	}
	slices.Sort(out)
	return out
}

// inner gives the text up to the parenthesis that closes an open one.
func inner(s string) string {
	depth := 1
	for i, c := range s {
		switch c {
		case '(':
			depth++
		case ')':
			depth--
		}
		if depth == 0 {
			return s[:i]
		}
	}
	return s
}

// splitTop splits at the commas outside parentheses.
func splitTop(s string) []string {
	var out []string
	depth, from := 0, 0
	for i, c := range s {
		switch {
		case c == '(':
			depth++
		case c == ')':
			depth--
		case c == ',' && depth == 0:
			out = append(out, strings.TrimSpace(s[from:i]))
			from = i + 1
		}
	}
	return append(out, strings.TrimSpace(s[from:]))
}

// withoutComments leaves what PostgreSQL executes.
func withoutComments(sql string) string {
	return blockComment.ReplaceAllString(lineComment.ReplaceAllString(sql, ""), "")
}

// The replicated migrations and the statements of this package give the same result on every replica.
func TestSQLLaw(t *testing.T) {
	files, err := fs.Glob(migrationFiles, "migrations/replicated/*.sql")
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder // a key may be added by a later file than its column
	for _, f := range files {
		b, err := migrationFiles.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, broken := range clocks(withoutComments(string(b))) {
			t.Errorf("%s: %s", f, broken)
		}
		all.Write(b)
		all.WriteString(";\n")
	}
	for _, broken := range collations(all.String()) {
		t.Errorf("migrations/replicated: %s", broken)
	}
	sources, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range sources {
		if strings.HasSuffix(f, "_test.go") {
			continue
		}
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, broken := range literals(t, f, b) {
			t.Error(broken)
		}
	}
}

// literals gives the string literals of a Go file that break the law.
func literals(t *testing.T, name string, src []byte) []string {
	t.Helper()
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, name, src, 0)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	ast.Inspect(file, func(n ast.Node) bool {
		lit, ok := n.(*ast.BasicLit)
		if !ok || lit.Kind != token.STRING {
			return true
		}
		text, err := strconv.Unquote(lit.Value)
		if err != nil {
			t.Fatal(err)
		}
		for _, broken := range clocks(withoutComments(text)) {
			out = append(out, fmt.Sprintf("%s: %s", fset.Position(lit.Pos()), broken))
		}
		return true
	})
	return out
}

// Each bad sample is found, and each good one is not.
func TestSQLLaw_FindsWhatItMust(t *testing.T) {
	for _, bad := range []string{
		`SELECT now()`, `SELECT NOW ()`, `VALUES (current_timestamp)`, `DEFAULT CURRENT_DATE`, `a timestamp DEFAULT 'now'`,
		`clock_timestamp()`, `ORDER BY random()`, `DEFAULT gen_random_uuid()`, `uuid_generate_v4()`, `uuidv7()`,
		`id serial PRIMARY KEY`, `id bigserial`, `id SERIAL8`, `CREATE SEQUENCE s`, `nextval('s')`,
		`id bigint GENERATED ALWAYS AS IDENTITY`, `id int GENERATED BY DEFAULT AS IDENTITY`, `FROM t TABLESAMPLE system (1)`,
	} {
		if len(clocks(bad)) == 0 {
			t.Errorf("not found: %s", bad)
		}
	}
	for _, bad := range []string{
		`CREATE TABLE t (a text PRIMARY KEY)`,
		`CREATE TABLE t (a uuid, b varchar(3) NOT NULL, PRIMARY KEY (a, b))`,
		`CREATE TABLE t (a text UNIQUE)`,
		`CREATE TABLE t (a text, CONSTRAINT k UNIQUE (a))`,
		`CREATE TABLE t (a text); CREATE INDEX ON t (a)`,
		`CREATE TABLE t (a text); CREATE UNIQUE INDEX i ON t USING btree (lower(a))`,
		`CREATE TABLE IF NOT EXISTS t (n int); ALTER TABLE t ADD COLUMN a text; CREATE INDEX i ON t (n, a DESC)`,
		`CREATE TABLE t (a text); ALTER TABLE t ADD CONSTRAINT k UNIQUE (a)`,
	} {
		if len(collations(bad)) == 0 {
			t.Errorf("not found: %s", bad)
		}
	}
	for _, good := range []string{
		`CREATE TABLE t (a text COLLATE "C" PRIMARY KEY, b text NOT NULL DEFAULT '')`,
		`CREATE TABLE t (a text, n bigint PRIMARY KEY, CHECK (a <> ''))`,
		`CREATE TABLE t (a text); CREATE INDEX i ON t (a COLLATE "C")`,
		`CREATE TABLE t (a text); CREATE INDEX i ON t USING gin (to_tsvector('simple', a))`,
		`CREATE TABLE t (a text, serialized bytea, known bool, randomness int) -- now() is banned`,
		`/* random() */ SELECT 1`,
	} {
		if broken := append(clocks(withoutComments(good)), collations(good)...); len(broken) > 0 {
			t.Errorf("%s: found %v", good, broken)
		}
	}
	if got := literals(t, "bad.go", []byte("package p\nconst q = `SELECT now()`\n")); len(got) != 1 {
		t.Errorf("in Go: found %v", got)
	}
}
