package schema

import (
	"fmt"
	"reflect"
	"unsafe"
)

// Table is a table of rows T by their primary key K: the type of the key's column, or a struct
// of such types, each with the name of its column in a db tag.
type Table[K comparable, T any] struct {
	*Shape
	key encoder[K]
}

// Index lists rows T by a value V that several of them may share.
type Index[V comparable, T any] struct {
	*IndexShape
	value encoder[V]
}

// Unique finds a row T by a value V that no other row has.
type Unique[V comparable, T any] struct {
	*IndexShape
	value encoder[V]
}

// Of compiles a table. key names the column of the primary key; it is left out if K is a struct, whose
// tags name the columns. Of panics if the declaration is wrong, which stops the program at its start.
func Of[K comparable, T any](name string, key ...string) Table[K, T] {
	columns := columnsOf(reflect.TypeFor[K]())
	if (columns == nil) != (len(key) == 1) || len(key) > 1 {
		panic(fmt.Sprintf("table %s: its key is one named column or the columns of a struct, not both", name))
	}
	columns = append(columns, key...)
	s, err := CompileShape(name, reflect.TypeFor[T](), columns)
	if err != nil {
		panic(err)
	}
	return Table[K, T]{s, newEncoder[K](s, s.Keys)}
}

// IndexOf compiles an index over columns of a table; V has their types.
func IndexOf[V comparable, K comparable, T any](t Table[K, T], columns []string, options ...Option) Index[V, T] {
	x, err := t.index(columns, false, options)
	if err != nil {
		panic(err)
	}
	return Index[V, T]{x, newEncoder[V](t.Shape, x.Columns)}
}

// UniqueOf compiles a unique index over columns of a table; V has their types.
func UniqueOf[V comparable, K comparable, T any](t Table[K, T], columns ...string) Unique[V, T] {
	x, err := t.index(columns, true, nil)
	if err != nil {
		panic(err)
	}
	return Unique[V, T]{x, newEncoder[V](t.Shape, x.Columns)}
}

// Key appends the encoded form of a key. It reports false for a key that no row can have.
func (t Table[K, T]) Key(b []byte, k K) ([]byte, bool) { return t.key.append(b, k) }

// Value appends the encoded form of a value. It reports false for a value that finds nothing: one that no row can
// have, or one with the zero id, which stands for no object. PostgreSQL's indexes leave rows with it out, so a store
// in memory must not find them either.
func (x Index[V, T]) Value(b []byte, v V) ([]byte, bool) { return x.value.find(b, v) }

// Value is Index.Value for a unique index.
func (x Unique[V, T]) Value(b []byte, v V) ([]byte, bool) { return x.value.find(b, v) }

// columnsOf gives the columns that a struct of values names, or nil for a single value.
func columnsOf(t reflect.Type) (out []string) {
	if t.Kind() != reflect.Struct {
		return nil
	}
	for f := range t.Fields() {
		out = append(out, f.Tag.Get("db"))
	}
	return out
}

// encoder encodes a value V of some columns as keyer does the same values of a row.
type encoder[V comparable] struct {
	flat  bool // V is an array of bytes, and these are its encoded form
	parts []part
	ids   []uintptr // where the ids are in V
}

type part struct {
	offset uintptr
	column *Column
}

func newEncoder[V comparable](s *Shape, columns []int) encoder[V] {
	t := reflect.TypeFor[V]()
	var e encoder[V]
	fields := []reflect.StructField{{Type: t}}
	if t.Kind() == reflect.Struct {
		fields = nil
		for f := range t.Fields() {
			fields = append(fields, f)
		}
	}
	if len(fields) != len(columns) {
		panic(fmt.Sprintf("table %s: %v has %d values for %d columns", s.Name, t, len(fields), len(columns)))
	}
	e.flat = true
	for i, f := range fields {
		c := &s.Columns[columns[i]]
		got, err := codecOfType(f.Type)
		if err != nil || got.typ != c.Type || got.width != c.codec.width {
			panic(fmt.Sprintf("table %s: a %v is no value of column %s", s.Name, f.Type, c.Name))
		}
		if t.Kind() == reflect.Struct && f.Tag.Get("db") != c.Name {
			panic(fmt.Sprintf("table %s: %v names column %q where %s is meant", s.Name, t, f.Tag.Get("db"), c.Name))
		}
		e.parts = append(e.parts, part{f.Offset, c})
		if c.OID == oidUUID {
			e.ids = append(e.ids, f.Offset)
		}
		e.flat = e.flat && f.Type.Kind() == reflect.Array
	}
	return e
}

func (e encoder[V]) append(b []byte, v V) ([]byte, bool) {
	if e.flat { // no pointer leaves this function, so v stays on the stack
		return append(b, unsafe.Slice((*byte)(unsafe.Pointer(&v)), unsafe.Sizeof(v))...), true
	}
	return e.slow(b, v)
}

// find is append for a value to look up in an index.
func (e encoder[V]) find(b []byte, v V) ([]byte, bool) {
	for _, at := range e.ids {
		if *(*[16]byte)(unsafe.Add(unsafe.Pointer(&v), at)) == [16]byte{} {
			return b, false
		}
	}
	return e.append(b, v)
}

func (e encoder[V]) slow(b []byte, v V) ([]byte, bool) {
	for _, p := range e.parts {
		at := unsafe.Add(unsafe.Pointer(&v), p.offset)
		if !p.column.codec.fits(at, p.column.limit) {
			return b, false
		}
		b = p.column.appendPart(b, at)
	}
	return b, true
}
