package schema

import (
	"fmt"
	"slices"
)

// IndexShape is a compiled index: it lists the rows that have the same values in some columns, in a
// total order and up to a limit.
type IndexShape struct {
	Of      *Shape
	Columns []int // that have the value
	Order   []int // the columns of the order, and then those of the key
	Down    bool  // the order's columns are from high to low
	Zero    []int // rows count only if these columns are zero
	Limit   int   // no list is longer
	Unique  bool  // at most one row has a value

	value keyer
}

// Matches reports whether a row is in the index.
func (x *IndexShape) Matches(row Row) bool {
	for _, i := range x.Zero {
		if c := &x.Of.Columns[i]; !c.codec.zero(c.at(row)) {
			return false
		}
	}
	return true
}

// AppendValue appends a row's value.
func (x *IndexShape) AppendValue(b []byte, row Row) []byte { return x.value.row(b, row) }

// Split gives the binary forms of the columns of a value.
func (x *IndexShape) Split(value []byte) [][]byte { return x.value.split(value) }

// Compare orders rows. The order is total, so that it is the same on every replica.
func (x *IndexShape) Compare(a, b Row) int {
	for n, i := range x.Order {
		c := &x.Of.Columns[i]
		got := c.Compare(c.Append(nil, a), c.Append(nil, b))
		if x.Down && n < len(x.Order)-len(x.Of.Keys) {
			got = -got
		}
		if got != 0 {
			return got
		}
	}
	return 0
}

// Option refines an index.
type Option func(*IndexShape) error

// OrderBy orders the rows of a value by columns, low to high; the key decides between equals.
func OrderBy(columns ...string) Option {
	return func(x *IndexShape) (err error) {
		x.Order, err = x.Of.positions(columns)
		return err
	}
}

// Down turns the order round.
func Down() Option { return func(x *IndexShape) error { x.Down = true; return nil } }

// WhereZero leaves out rows in which the column is not zero.
func WhereZero(column string) Option {
	return func(x *IndexShape) error {
		at, err := x.Of.positions([]string{column})
		x.Zero = append(x.Zero, at...)
		return err
	}
}

// AtMost bounds the list of a value. Further rows are left out.
func AtMost(n int) Option { return func(x *IndexShape) error { x.Limit = n; return nil } }

func (s *Shape) index(columns []string, unique bool, options []Option) (*IndexShape, error) {
	x := &IndexShape{Of: s, Unique: unique}
	var err error
	if x.Columns, err = s.positions(columns); err != nil {
		return nil, err
	}
	x.value = keyer{s, x.Columns}
	for _, o := range options {
		if err := o(x); err != nil {
			return nil, err
		}
	}
	if unique {
		x.Limit = 1
	}
	if x.Limit <= 0 {
		return nil, fmt.Errorf("table %s: the index over %v has no bound", s.Name, columns)
	}
	for _, k := range s.Keys {
		x.Order = append(slices.Clip(x.Order), k)
	}
	if err := s.IndexEntry(slices.Concat(x.Columns, x.Zero, x.Order)); err != nil {
		return nil, err
	}
	s.Indexes = append(s.Indexes, x)
	return x, nil
}
