package pg

import (
	"encoding/binary"
	"fmt"
	"strings"
	"unsafe"

	"github.com/jackc/pgx/v5"
)

// Table describes one replicated table: its columns, how a row's key is found, and the
// statements made of that. A new noun is a struct, a migration and one of these.
type Table[K comparable, T any] struct {
	name string
	cols []column[T]
	keys int // the first so many columns are the primary key
	key  func(*T) K
	with func(K) T // a row of which only the key is set
	part int       // thousandths of the cache

	textKey                        bool   // a key may be stored otherwise than it was given
	byKeys, insert, upsert, remove string // statements over arrays, one element for each row
}

// column is one column of a table; see codec for its functions.
type column[T any] struct {
	name, typ string
	oid       uint32
	put       func(b []byte, row *T) []byte
	get       func(row *T, raw []byte) error
	null      func(row *T) bool
	copy      func(dst, src *T) // canonical
	extra     func(row *T) int
}

// col makes a column of the field that at points to.
func col[T, V any](name string, c codec[V], at func(*T) *V) column[T] {
	out := column[T]{
		name: name, typ: c.typ, oid: c.oid,
		put: func(b []byte, row *T) []byte { return c.put(b, *at(row)) },
		get: func(row *T, raw []byte) (err error) {
			if raw == nil {
				if c.null == nil {
					return fmt.Errorf("column %s is NULL", name)
				}
				return nil
			}
			*at(row), err = c.get(raw)
			return err
		},
		copy: func(dst, src *T) { *at(dst) = *at(src) },
	}
	if c.null != nil {
		out.null = func(row *T) bool { return c.null(*at(row)) }
	}
	if c.canon != nil {
		out.copy = func(dst, src *T) { *at(dst) = c.canon(*at(src)) }
	}
	if c.extra != nil {
		out.extra = func(row *T) int { return c.extra(*at(row)) }
	}
	return out
}

// table completes a description.
func table[K comparable, T any](t Table[K, T]) *Table[K, T] {
	all := t.Columns("")
	var keys, marks, pairs, sets []string
	for i, c := range t.cols {
		marks = append(marks, fmt.Sprintf("$%d::%s[]", i+1, c.typ))
		if i < t.keys {
			t.textKey = t.textKey || c.typ == "text"
			keys = append(keys, c.name)
			pairs = append(pairs, fmt.Sprintf("t.%s = k.%s", c.name, c.name))
		} else {
			sets = append(sets, c.name+" = EXCLUDED."+c.name)
		}
	}
	list := strings.Join(keys, ", ")
	from := fmt.Sprintf("unnest(%s) AS k(%s)", strings.Join(marks[:t.keys], ", "), list)
	where := strings.Join(pairs, " AND ")
	t.byKeys = fmt.Sprintf("SELECT %s FROM %s JOIN %s t ON %s", t.Columns("t"), from, t.name, where)
	t.remove = fmt.Sprintf("DELETE FROM %s t USING %s WHERE %s", t.name, from, where)
	do := "NOTHING"
	if len(sets) > 0 {
		do = "UPDATE SET " + strings.Join(sets, ", ")
	}
	t.insert = fmt.Sprintf("INSERT INTO %s (%s) SELECT * FROM unnest(%s)", t.name, all, strings.Join(marks, ", "))
	t.upsert = fmt.Sprintf("%s ON CONFLICT (%s) DO %s", t.insert, list, do)
	return &t
}

// Name is the table's name, without a schema.
func (t *Table[K, T]) Name() string { return t.name }

// Columns gives the columns in the order that Scan expects, each with the alias (unless it is
// "") and a dot before it.
func (t *Table[K, T]) Columns(alias string) string {
	if alias != "" {
		alias += "."
	}
	names := make([]string, len(t.cols))
	for i, c := range t.cols {
		names[i] = alias + c.name
	}
	return strings.Join(names, ", ")
}

// Scan reads a row of a query for Columns.
func (t *Table[K, T]) Scan(r Row) (T, error) { return t.ScanWith(r) }

// ScanWith reads a row of a query for Columns and something after them, which goes to more.
func (t *Table[K, T]) ScanWith(r Row, more ...any) (T, error) {
	s := rowScan[K, T]{t: t, more: more}
	err := r.Scan(&s)
	return s.row, err
}

// rowScan is how a row of ours goes through the driver without its reflection.
type rowScan[K comparable, T any] struct {
	t    *Table[K, T]
	row  T
	more []any
}

// ScanRow implements pgx.RowScanner.
func (s *rowScan[K, T]) ScanRow(rows pgx.Rows) error {
	raw, n := rows.RawValues(), len(s.t.cols)
	if len(raw) != n+len(s.more) {
		return fmt.Errorf("scan %s: %d columns, not %d", s.t.name, len(raw), n+len(s.more))
	}
	fields := rows.FieldDescriptions()
	for i, c := range s.t.cols {
		if f := fields[i]; f.DataTypeOID != c.oid || f.Format != pgx.BinaryFormatCode && c.oid != oidText {
			return fmt.Errorf("scan %s: column %d is not a binary %s", s.t.name, i+1, c.name)
		}
	}
	row, err := s.t.read(raw[:n])
	if err != nil {
		return err
	}
	s.row = row
	for i, dst := range s.more {
		f := fields[n+i]
		if err := rows.Conn().TypeMap().Scan(f.DataTypeOID, f.Format, raw[n+i], dst); err != nil {
			return fmt.Errorf("scan %s: %w", f.Name, err)
		}
	}
	return nil
}

// read makes a row of binary values.
func (t *Table[K, T]) read(raw [][]byte) (T, error) {
	var row T
	for i := range t.cols {
		if err := t.cols[i].get(&row, raw[i]); err != nil {
			return row, fmt.Errorf("read %s.%s: %w", t.name, t.cols[i].name, err)
		}
	}
	return row, nil
}

// canon is row as it will be read back: without fields that have no column, and with values
// that a column can hold.
func (t *Table[K, T]) canon(row *T) T {
	var out T
	for i := range t.cols {
		t.cols[i].copy(&out, row)
	}
	return out
}

// size is about how much memory a cached row takes.
func (t *Table[K, T]) size(row *T) int {
	const overhead = 160 // list node and map entry
	n := overhead + int(unsafe.Sizeof(*row))
	for i := range t.cols {
		if f := t.cols[i].extra; f != nil {
			n += f(row)
		}
	}
	return n
}

// arrays gives the rows as one binary array for each of the first n columns.
func (t *Table[K, T]) arrays(rows []*T, n int) [][]byte {
	out := make([][]byte, n)
	for i := range n {
		out[i] = t.cols[i].array(rows)
	}
	return out
}

func (c *column[T]) array(rows []*T) []byte {
	b := make([]byte, 20, 20+len(rows)*24)
	binary.BigEndian.PutUint32(b[0:], 1)                  // dimensions
	binary.BigEndian.PutUint32(b[4:], 0)                  // has nulls
	binary.BigEndian.PutUint32(b[8:], c.oid)              // of what
	binary.BigEndian.PutUint32(b[12:], uint32(len(rows))) // how many
	binary.BigEndian.PutUint32(b[16:], 1)                 // numbered from
	for _, row := range rows {
		at := len(b)
		b = append(b, 0xff, 0xff, 0xff, 0xff) // NULL
		if c.null != nil && c.null(row) {
			b[7] = 1
			continue
		}
		b = c.put(b, row)
		binary.BigEndian.PutUint32(b[at:], uint32(len(b)-at-4))
	}
	return b
}

// keyArrays is arrays for the keys alone.
func (t *Table[K, T]) keyArrays(keys []K) [][]byte {
	rows := make([]*T, len(keys))
	for i, k := range keys {
		row := t.with(k)
		rows[i] = &row
	}
	return t.arrays(rows, t.keys)
}
