package schema

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"unsafe"
)

// MaxIndexEntry is the largest entry of a B-tree: PostgreSQL refuses a row whose entry would take more than a third
// of a page of 8 KiB, whenever it is written and by every replica. All columns of an index together must be smaller.
const MaxIndexEntry = 2704

// Row points to a row: a *T of the table's struct.
type Row = unsafe.Pointer

// Column is one column of a table.
type Column struct {
	Name     string
	Type     string // PostgreSQL's name
	OID      uint32
	Nullable bool
	Number   uint16 // stands for the column in the digest; never changes

	offset uintptr
	codec  codec
	limit  limit
}

// Shape is a compiled table.
type Shape struct {
	Name    string
	Columns []Column // in the struct's order
	Keys    []int    // the columns of the primary key, in the key's order
	Indexes []*IndexShape

	ID   int // numbers the shapes of this process
	Most int // about the most bytes that a row can take

	typ    reflect.Type
	size   int
	key    keyer
	times  [2]int                // the columns update_at and delete_at; -1: there is none
	loose  []reflect.StructField // without a column
	normal []int                 // columns whose values may have to be made normal
	digest []int                 // all columns, by their numbers
}

// shapes counts the shapes of this process.
var shapes atomic.Int64

// CompileShape compiles a struct type. keys names the columns of the primary key.
func CompileShape(name string, t reflect.Type, keys []string) (*Shape, error) {
	s := &Shape{Name: name, ID: int(shapes.Add(1)), typ: t, size: int(t.Size()), Most: int(t.Size())}
	if err := s.fields(t, 0, "", 0); err != nil {
		return nil, err
	}
	if len(s.Columns) == 0 || len(keys) == 0 {
		return nil, fmt.Errorf("table %s: a table has columns and a key", name)
	}
	seen := map[uint16]string{}
	for _, c := range s.Columns {
		if other, taken := seen[c.Number]; taken {
			return nil, fmt.Errorf("table %s: %s and %s have one number", name, other, c.Name)
		}
		seen[c.Number] = c.Name
	}
	for i := range s.Columns {
		s.digest = append(s.digest, i)
	}
	slices.SortFunc(s.digest, func(a, b int) int { return cmp.Compare(s.Columns[a].Number, s.Columns[b].Number) })
	var err error
	if s.Keys, err = s.positions(keys); err == nil {
		err = s.IndexEntry(s.Keys)
	}
	s.key = keyer{s, s.Keys}
	for i, name := range [...]string{"update_at", "delete_at"} {
		s.times[i] = slices.IndexFunc(s.Columns, func(c Column) bool { return c.Name == name && c.Type == "bigint" })
	}
	return s, err
}

// UpdateAt points to the time of the last change in a row of a table with a column update_at.
func (s *Shape) UpdateAt(row Row) *int64 { return (*int64)(s.Columns[s.times[0]].at(row)) }

// DeleteAt points to the time of deletion, or 0, in a row of a table with a column delete_at.
func (s *Shape) DeleteAt(row Row) *int64 { return (*int64)(s.Columns[s.times[1]].at(row)) }

// fields adds the columns of a struct that begins at an offset.
func (s *Shape) fields(t reflect.Type, offset uintptr, prefix string, number uint16) error {
	for f := range t.Fields() {
		tag, tagged := f.Tag.Lookup("db")
		name, options, _ := strings.Cut(tag, ",")
		nested := f.Type.Kind() == reflect.Struct && (tagged || f.Anonymous)
		if !tagged && !nested {
			loose := f
			loose.Offset += offset
			s.loose = append(s.loose, loose)
			continue
		}
		name = join(prefix, name)
		n, err := numberOf(f)
		if err != nil && !f.Anonymous {
			return fmt.Errorf("table %s: column %s: %w", s.Name, name, err)
		}
		if number != 0 {
			n = number<<8 | n
		}
		if nested {
			first := len(s.Columns)
			if err := s.fields(f.Type, offset+f.Offset, name, n); err != nil {
				return err
			}
			if options == "null" {
				s.Columns[first].nullable()
			}
			continue
		}
		if err := s.column(f, offset+f.Offset, name, options, n); err != nil {
			return fmt.Errorf("table %s: column %s: %w", s.Name, name, err)
		}
	}
	return nil
}

// join puts the name of the outer field before that of an inner one.
func join(outer, inner string) string {
	switch {
	case outer == "":
		return inner
	case inner == "id" || inner == "":
		return outer
	}
	return outer + "_" + inner
}

func numberOf(f reflect.StructField) (uint16, error) {
	text, _, _ := strings.Cut(f.Tag.Get("cbor"), ",")
	n, err := strconv.ParseUint(text, 10, 8)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("its cbor tag gives no number from 1 to 255")
	}
	return uint16(n), nil
}

func (s *Shape) column(f reflect.StructField, offset uintptr, name, options string, number uint16) error {
	c := Column{Name: name, Number: number, offset: offset}
	var err error
	if options != "" && options != "null" {
		return fmt.Errorf("no option is called %q", options)
	}
	if c.codec, err = codecOf(f.Type, options == "null"); err != nil {
		return err
	}
	c.Type, c.OID, c.Nullable = c.codec.typ, c.codec.oid, c.codec.nullable
	if c.limit, err = limitOf(f, c.codec); err != nil {
		return err
	}
	if c.codec.normal != nil {
		s.normal = append(s.normal, len(s.Columns))
	}
	s.Most += max(c.limit.max, 4*c.limit.runes) * max(c.codec.each, 1)
	s.Columns = append(s.Columns, c)
	return nil
}

// nullable stores the zero value as NULL.
func (c *Column) nullable() {
	c.codec.nullable, c.codec.null = true, c.codec.zero
	c.Nullable = true
}

func limitOf(f reflect.StructField, c codec) (limit, error) {
	var l limit
	for _, at := range []struct {
		tag string
		to  *int
	}{{"max", &l.max}, {"runes", &l.runes}} {
		text, ok := f.Tag.Lookup(at.tag)
		if !ok {
			continue
		}
		n, err := strconv.Atoi(text)
		if err != nil || n <= 0 {
			return l, fmt.Errorf("its %s is no number above zero", at.tag)
		}
		*at.to = n
	}
	needs := c.width == 0
	switch {
	case needs && l.max == 0 && l.runes == 0:
		return l, fmt.Errorf("it has no limit: say max or runes")
	case !needs && (l.max > 0 || l.runes > 0):
		return l, fmt.Errorf("it has a limit and cannot grow")
	case l.runes > 0 && c.typ != "text":
		return l, fmt.Errorf("only a text has runes")
	}
	return l, nil
}

// most gives the most bytes that a value takes in its binary form, and false if the limit says nothing about them.
func (c *Column) most() (int, bool) {
	switch {
	case c.codec.width > 0:
		return c.codec.width, true
	case c.limit.max > 0:
		return c.limit.max, c.Type == "text"
	}
	return 4 * c.limit.runes, true
}

// IndexEntry fails if an entry of an index over some columns could be larger than PostgreSQL accepts.
func (s *Shape) IndexEntry(columns []int) error {
	const head, eachHead, align = 16, 4, 7 // of an entry with its bitmap of NULLs; of a value of varying length; lost to alignment
	total := head
	for _, i := range columns {
		c := &s.Columns[i]
		n, known := c.most()
		if !known {
			return fmt.Errorf("table %s: column %s is a list or a map and cannot be in an index", s.Name, c.Name)
		}
		total += n + eachHead + align
	}
	if total > MaxIndexEntry {
		return fmt.Errorf("table %s: an index entry over %s can have %d bytes, and PostgreSQL takes %d", s.Name, s.names(columns), total, MaxIndexEntry)
	}
	return nil
}

func (s *Shape) names(columns []int) string {
	var out []string
	for _, i := range columns {
		out = append(out, s.Columns[i].Name)
	}
	return strings.Join(out, ", ")
}

// Position gives the place of a column, or -1.
func (s *Shape) Position(name string) int {
	return slices.IndexFunc(s.Columns, func(c Column) bool { return c.Name == name })
}

func (s *Shape) positions(names []string) ([]int, error) {
	out := make([]int, len(names))
	for i, name := range names {
		if out[i] = s.Position(name); out[i] < 0 {
			return nil, fmt.Errorf("table %s has no column %s", s.Name, name)
		}
	}
	return out, nil
}

func (c *Column) at(row Row) unsafe.Pointer { return unsafe.Add(row, c.offset) }

// Null reports whether a row's value is stored as NULL.
func (c *Column) Null(row Row) bool { return c.codec.null != nil && c.codec.null(c.at(row)) }

// Grows reports whether a value takes memory outside the row: about the size of its binary form.
func (c *Column) Grows() bool { return c.codec.width == 0 }

// Append appends the binary form of a row's value. The value must not be NULL.
func (c *Column) Append(b []byte, row Row) []byte { return c.codec.put(b, c.at(row)) }

// Compare orders binary forms as the database does.
func (c *Column) Compare(a, b []byte) int { return c.codec.cmp(a, b) }

// New makes an empty row.
func (s *Shape) New() Row { return reflect.New(s.typ).UnsafePointer() }

// Read fills a row from binary values, one for each column; nil is NULL.
func (s *Shape) Read(row Row, raw [][]byte) error {
	for i := range s.Columns {
		c := &s.Columns[i]
		if raw[i] == nil {
			if !c.codec.nullable {
				return fmt.Errorf("%s.%s is NULL", s.Name, c.Name)
			}
			continue
		}
		if err := c.codec.get(c.at(row), raw[i]); err != nil {
			return fmt.Errorf("%s.%s: %w", s.Name, c.Name, err)
		}
	}
	return nil
}

// Normalize makes a row what the table will give back: it clears fields that have no column, and
// changes free-form values to the types that they are read as.
func (s *Shape) Normalize(row Row) {
	for _, f := range s.loose {
		reflect.NewAt(f.Type, unsafe.Add(row, f.Offset)).Elem().SetZero()
	}
	for _, i := range s.normal {
		c := &s.Columns[i]
		c.codec.normal(c.at(row))
	}
}

// Fixed gives how much memory every row takes, whatever its values are.
func (s *Shape) Fixed() int { return s.size }

// Size gives about how much memory a row takes.
func (s *Shape) Size(row Row) int {
	n := s.size
	for i := range s.Columns {
		n += s.Columns[i].codec.extra(s.Columns[i].at(row))
	}
	return n
}

// Check names the first column whose value is over its limit or cannot be stored, or "".
func (s *Shape) Check(row Row) string {
	for i := range s.Columns {
		c := &s.Columns[i]
		if !c.codec.fits(c.at(row), c.limit) {
			return c.Name
		}
	}
	return ""
}

// AppendDigest appends what the digest of the log covers of a row: the number and the binary form of
// each value that is not zero, in the order of the numbers. A column that is added later is zero in
// the rows of older entries, so it changes no digest.
func (s *Shape) AppendDigest(b []byte, row Row) []byte {
	for _, i := range s.digest {
		c := &s.Columns[i]
		p := c.at(row)
		if c.codec.zero(p) {
			continue
		}
		b = binary.BigEndian.AppendUint16(b, c.Number)
		at := len(b)
		b = append(b, 0, 0, 0, 0)
		b = c.codec.put(b, p)
		binary.BigEndian.PutUint32(b[at:], uint32(len(b)-at-4))
	}
	return binary.BigEndian.AppendUint16(b, 0)
}

// AppendKey appends a row's key.
func (s *Shape) AppendKey(b []byte, row Row) []byte { return s.key.row(b, row) }

// keyer encodes the values of some columns one after the other: those of a fixed width as they
// are, texts with their length before them.
type keyer struct {
	s    *Shape
	cols []int
}

func (k keyer) row(b []byte, row Row) []byte {
	for _, i := range k.cols {
		c := &k.s.Columns[i]
		b = c.appendPart(b, c.at(row))
	}
	return b
}

func (c *Column) appendPart(b []byte, p unsafe.Pointer) []byte {
	if c.codec.width > 0 {
		return c.codec.put(b, p)
	}
	return append(binary.AppendUvarint(b, uint64(c.codec.extra(p))), *(*string)(p)...)
}

// Split gives the binary forms of the columns of an encoded key.
func (s *Shape) Split(key []byte) [][]byte { return s.key.split(key) }

func (k keyer) split(key []byte) [][]byte {
	out := make([][]byte, len(k.cols))
	for i, col := range k.cols {
		n := k.s.Columns[col].codec.width
		if n == 0 {
			size, used := binary.Uvarint(key)
			key, n = key[used:], int(size)
		}
		out[i], key = key[:n], key[n:]
	}
	return out
}
