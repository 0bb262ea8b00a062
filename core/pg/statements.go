package pg

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/nearside/nearside/core/schema"
)

// readBytes is about how much of one table a statement reads. A row can have half a megabyte, so a batch could
// ask for any amount. The rest is read in later round trips.
const readBytes = 8 << 20

// bounded reports whether a statement that gives up to so many rows for each key or value must leave out rows
// over readBytes. Other statements do not need that, and would be slower.
func bounded(s *schema.Shape, rows int) bool { return rows*s.Most > 64<<10 }

// upTo gives the query for the rows t of some keys or values k, in their order, until they take readBytes. For
// each key or value it gives either all rows or none.
func upTo(s *schema.Shape, names, marks []string, rows string) string {
	size := []string{fmt.Sprint(s.Fixed())}
	for i := range s.Columns {
		if c := &s.Columns[i]; c.Grows() {
			size = append(size, fmt.Sprintf("coalesce(octet_length(t.%s), 0)", c.Name)) // which reads no value that is kept apart
		}
	}
	return fmt.Sprintf(`SELECT %s FROM (SELECT t.*, sum(%s) OVER (ORDER BY k.place GROUPS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before
		FROM unnest(%s) WITH ORDINALITY AS k(%s, place) %s) t WHERE coalesce(before, 0) < %d`,
		Columns(s, "t"), strings.Join(size, " + "), strings.Join(marks, ", "), strings.Join(names, ", "), rows, readBytes)
}

// statements has the statements of one table. Their parameters are arrays with one element for each
// row.
type statements struct {
	byKeys, insert, upsert, remove string
	lists                          map[*schema.IndexShape]string
}

func statementsOf(s *schema.Shape) statements {
	isKey := map[int]bool{}
	var keys, marks, pairs, names, sets []string
	for _, i := range s.Keys {
		c := s.Columns[i]
		isKey[i] = true
		keys = append(keys, c.Name)
		marks = append(marks, fmt.Sprintf("$%d::%s[]", len(keys), c.Type))
		pairs = append(pairs, fmt.Sprintf("t.%s = k.%s", c.Name, c.Name))
	}
	list := strings.Join(keys, ", ")
	from := fmt.Sprintf("unnest(%s) AS k(%s)", strings.Join(marks, ", "), list)
	where := strings.Join(pairs, " AND ")
	byKeys := fmt.Sprintf("SELECT %s FROM %s JOIN %s t ON %s", Columns(s, "t"), from, s.Name, where)
	if bounded(s, 1) {
		byKeys = upTo(s, keys, marks, fmt.Sprintf("JOIN %s t ON %s", s.Name, where))
	}
	marks = marks[:0]
	for i, c := range s.Columns {
		names = append(names, c.Name)
		marks = append(marks, fmt.Sprintf("$%d::%s[]", i+1, c.Type))
		if !isKey[i] {
			sets = append(sets, c.Name+" = EXCLUDED."+c.Name)
		}
	}
	do := "NOTHING"
	if len(sets) > 0 {
		do = "UPDATE SET " + strings.Join(sets, ", ")
	}
	out := statements{
		byKeys: byKeys,
		remove: fmt.Sprintf("DELETE FROM %s t USING %s WHERE %s", s.Name, from, where),
		insert: fmt.Sprintf("INSERT INTO %s (%s) SELECT * FROM unnest(%s)", s.Name, strings.Join(names, ", "), strings.Join(marks, ", ")),
		lists:  map[*schema.IndexShape]string{},
	}
	out.upsert = fmt.Sprintf("%s ON CONFLICT (%s) DO %s", out.insert, list, do)
	for _, x := range s.Indexes {
		out.lists[x] = listOf(x)
	}
	return out
}

// listOf gives the query for the first rows of several values of an index. How many for each value is
// the last parameter.
func listOf(x *schema.IndexShape) string {
	s := x.Of
	var names, marks, where, order []string
	for n, i := range x.Columns {
		c := s.Columns[i]
		names = append(names, c.Name)
		marks = append(marks, fmt.Sprintf("$%d::%s[]", n+1, c.Type))
		where = append(where, fmt.Sprintf("r.%s = k.%s", c.Name, c.Name))
		if c.Type == "uuid" { // the zero id is never looked up, and indexes leave it out
			where = append(where, fmt.Sprintf("r.%s <> %s", c.Name, zeroOf(c.Type)))
		}
	}
	for _, i := range x.Zero {
		c := s.Columns[i]
		where = append(where, fmt.Sprintf("r.%s = %s", c.Name, zeroOf(c.Type)))
	}
	for n, i := range x.Order {
		dir := ""
		if x.Down && n < len(x.Order)-len(s.Keys) {
			dir = " DESC"
		}
		order = append(order, "r."+s.Columns[i].Name+dir)
	}
	filter := ""
	if len(where) > 0 {
		filter = " WHERE " + strings.Join(where, " AND ")
	}
	rows := fmt.Sprintf("SELECT %s FROM %s r%s ORDER BY %s LIMIT $%d::bigint", Columns(s, "r"), s.Name, filter, strings.Join(order, ", "), len(names)+1)
	if len(names) == 0 {
		return rows
	}
	if bounded(s, x.Limit) {
		return upTo(s, names, marks, fmt.Sprintf("CROSS JOIN LATERAL (%s) t", rows))
	}
	return fmt.Sprintf("SELECT t.* FROM unnest(%s) AS k(%s) CROSS JOIN LATERAL (%s) t", strings.Join(marks, ", "), strings.Join(names, ", "), rows)
}

func zeroOf(typ string) string {
	switch typ {
	case "bigint":
		return "0"
	case "boolean":
		return "false"
	case "uuid":
		return "'00000000-0000-0000-0000-000000000000'"
	}
	return "''"
}

// Columns gives the columns of a table in the order that Scan expects, each with the alias
// (unless it is "") and a dot before it.
func Columns(s *schema.Shape, alias string) string {
	if alias != "" {
		alias += "."
	}
	names := make([]string, len(s.Columns))
	for i, c := range s.Columns {
		names[i] = alias + c.Name
	}
	return strings.Join(names, ", ")
}

// array gives n values as a binary array; each appends one, or nothing and false for NULL.
func array(oid uint32, n int, each func(b []byte, i int) ([]byte, bool)) []byte {
	b := make([]byte, 20, 20+n*24)
	binary.BigEndian.PutUint32(b[0:], 1)          // dimensions
	binary.BigEndian.PutUint32(b[4:], 0)          // has nulls
	binary.BigEndian.PutUint32(b[8:], oid)        // of what
	binary.BigEndian.PutUint32(b[12:], uint32(n)) // how many
	binary.BigEndian.PutUint32(b[16:], 1)         // numbered from
	for i := range n {
		at := len(b)
		b = append(b, 0xff, 0xff, 0xff, 0xff) // NULL
		var some bool
		if b, some = each(b, i); !some {
			b[7] = 1
			continue
		}
		binary.BigEndian.PutUint32(b[at:], uint32(len(b)-at-4))
	}
	return b
}

// rowArrays gives the rows as one array for each column.
func rowArrays(s *schema.Shape, list []schema.Row) [][]byte {
	out := make([][]byte, len(s.Columns))
	for i := range s.Columns {
		c := &s.Columns[i]
		out[i] = array(c.OID, len(list), func(b []byte, n int) ([]byte, bool) {
			if c.Null(list[n]) {
				return b, false
			}
			return c.Append(b, list[n]), true
		})
	}
	return out
}

// valueArrays gives encoded keys or values as one array for each of their columns.
func valueArrays(s *schema.Shape, columns []int, split func([]byte) [][]byte, values []string) [][]byte {
	parts := make([][][]byte, len(values))
	for i, v := range values {
		parts[i] = split([]byte(v))
	}
	out := make([][]byte, len(columns))
	for n, i := range columns {
		out[n] = array(s.Columns[i].OID, len(values), func(b []byte, k int) ([]byte, bool) { return append(b, parts[k][n]...), true })
	}
	return out
}
