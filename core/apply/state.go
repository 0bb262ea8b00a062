package apply

import (
	"github.com/nearside/nearside/core/schema"
)

// Store is the replicated tables by encoded keys. core/pg implements it over PostgreSQL, applytest
// over maps. A row belongs to the store once it is put, and the caller of Get must not change it.
//
// A store that cannot answer from memory may answer "not there" and note the key. It then reads all
// noted keys of a batch at once and has the batch applied again from its start. What the first run
// decided is thrown away. So handlers just read, and no round trip is written by hand.
type Store interface {
	Get(t *schema.Shape, key []byte) schema.Row // nil when there is none
	Put(t *schema.Shape, key []byte, row schema.Row)
	// Insert is Put for a key that no row has had: one that was derived from the entry.
	Insert(t *schema.Shape, key []byte, row schema.Row)
	Delete(t *schema.Shape, key []byte)
	// List gives the rows that have a value, in the order of the index and at most its limit.
	List(x *schema.IndexShape, value []byte) []schema.Row
	// Mark begins an entry; Revert undoes every write since Mark.
	Mark()
	Revert()
}

// access is how the methods of tables reach a store: through an entry, which counts and checks, or
// directly.
type access interface {
	get(t *schema.Shape, key []byte) schema.Row
	put(t *schema.Shape, key []byte, row schema.Row, fresh bool)
	remove(t *schema.Shape, key []byte)
	list(x *schema.IndexShape, value []byte) []schema.Row
	scratch() []byte
}

// Table is a replicated table as handlers use it. Values are copied in and out; the slices and
// maps in them are shared and must not be changed in place.
type Table[K comparable, T any] struct{ schema.Table[K, T] }

// Index lists the rows of a table that share a value.
type Index[V comparable, T any] struct{ schema.Index[V, T] }

// Unique finds the row of a table that has a value.
type Unique[V comparable, T any] struct{ schema.Unique[V, T] }

// Shapes has every replicated table but the two that record the position and the applied entries.
var Shapes []*schema.Shape

// table declares a table of rows T by their key.
func table[K comparable, T any](name string, key ...string) Table[K, T] {
	t := schema.Of[K, T](name, key...)
	Shapes = append(Shapes, t.Shape)
	return Table[K, T]{t}
}

// index declares a list of the rows of a table that share the values of some columns.
func index[V comparable, K comparable, T any](t Table[K, T], columns []string, options ...schema.Option) Index[V, T] {
	return Index[V, T]{schema.IndexOf[V](t.Table, columns, options...)}
}

// unique declares that no two rows of a table share the values of some columns.
func unique[V comparable, K comparable, T any](t Table[K, T], columns ...string) Unique[V, T] {
	return Unique[V, T]{schema.UniqueOf[V](t.Table, columns...)}
}

// Get gives the row with a key.
func (t Table[K, T]) Get(x access, key K) (T, bool) {
	var none T
	k, ok := t.Key(x.scratch(), key)
	if !ok {
		return none, false
	}
	row := x.get(t.Shape, k)
	if row == nil {
		return none, false
	}
	return *(*T)(row), true
}

// Live gives the row with a key, if there is one that is not deleted.
func (t Table[K, T]) Live(x access, key K) (T, bool) {
	row, ok := t.Get(x, key)
	return row, ok && *t.DeleteAt(schema.Row(&row)) == 0
}

// Save writes a changed row with a later time of change, and gives it.
func (t Table[K, T]) Save(x *exec, row T) T {
	at := t.UpdateAt(schema.Row(&row))
	*at = max(x.now, *at+1)
	t.Put(x, row)
	return row
}

// Archive writes a row as deleted and gives it.
func (t Table[K, T]) Archive(x *exec, row T) T {
	*t.DeleteAt(schema.Row(&row)) = max(x.now, *t.UpdateAt(schema.Row(&row))+1)
	return t.Save(x, row)
}

// Put writes a row.
func (t Table[K, T]) Put(x access, row T) { t.write(x, &row, false) }

// Insert writes a row with a key that was derived from the entry, so that no row has it.
func (t Table[K, T]) Insert(x access, row T) { t.write(x, &row, true) }

func (t Table[K, T]) write(x access, row *T, fresh bool) {
	p := schema.Row(row)
	t.Normalize(p)
	x.put(t.Shape, t.AppendKey(x.scratch(), p), p, fresh)
}

// Delete removes the row with a key, if there is one.
func (t Table[K, T]) Delete(x access, key K) {
	if k, ok := t.Key(x.scratch(), key); ok {
		x.remove(t.Shape, k)
	}
}

// List gives the rows that have a value, in the index's order and at most as many as its limit.
func (i Index[V, T]) List(x access, value V) []T {
	v, ok := i.Value(x.scratch(), value)
	if !ok {
		return nil
	}
	rows := x.list(i.IndexShape, v)
	if len(rows) == 0 {
		return nil
	}
	out := make([]T, len(rows))
	for n, row := range rows {
		out[n] = *(*T)(row)
	}
	return out
}

// Find gives the row that has a value.
func (u Unique[V, T]) Find(x access, value V) (T, bool) {
	var none T
	v, ok := u.Value(x.scratch(), value)
	if !ok {
		return none, false
	}
	rows := x.list(u.IndexShape, v)
	if len(rows) == 0 {
		return none, false
	}
	return *(*T)(rows[0]), true
}

// Direct reaches the rows of a store without an entry, for tests: nothing is counted or checked.
type Direct struct{ Store Store }

func (d Direct) get(t *schema.Shape, key []byte) schema.Row              { return d.Store.Get(t, key) }
func (d Direct) put(t *schema.Shape, key []byte, row schema.Row, _ bool) { d.Store.Put(t, key, row) }
func (d Direct) remove(t *schema.Shape, key []byte)                      { d.Store.Delete(t, key) }
func (d Direct) list(x *schema.IndexShape, value []byte) []schema.Row    { return d.Store.List(x, value) }
func (d Direct) scratch() []byte                                         { return nil }
