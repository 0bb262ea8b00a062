// Package applytest has the second implementation of apply.Store, in memory: for tests of rules that
// need no database, and as the model that the implementation over PostgreSQL is compared with.
package applytest

import (
	"maps"
	"slices"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/apply"
	"github.com/nearside/nearside/core/schema"
)

// Store is apply.Store in maps. It is not safe for concurrent use.
type Store struct {
	tables map[*schema.Shape]map[string]schema.Row
	undo   []func()
}

// NewStore makes an empty store.
func NewStore() *Store { return &Store{tables: map[*schema.Shape]map[string]schema.Row{}} }

// Apply applies an entry to the store.
func (s *Store) Apply(e core.Entry) (apply.Effects, error) {
	p, err := apply.Prepare(e)
	if err != nil {
		return apply.Effects{}, err
	}
	return apply.NewMachine(s).Apply(p)
}

// Get implements apply.Store.
func (s *Store) Get(t *schema.Shape, key []byte) schema.Row { return s.tables[t][string(key)] }

// Put implements apply.Store.
func (s *Store) Put(t *schema.Shape, key []byte, row schema.Row) {
	k := string(key)
	s.keep(t, k)
	if s.tables[t] == nil {
		s.tables[t] = map[string]schema.Row{}
	}
	s.tables[t][k] = row
}

// Insert implements apply.Store.
func (s *Store) Insert(t *schema.Shape, key []byte, row schema.Row) { s.Put(t, key, row) }

// Delete implements apply.Store.
func (s *Store) Delete(t *schema.Shape, key []byte) {
	s.keep(t, string(key))
	delete(s.tables[t], string(key))
}

func (s *Store) keep(t *schema.Shape, key string) {
	was, had := s.tables[t][key]
	s.undo = append(s.undo, func() {
		if had {
			s.tables[t][key] = was
		} else {
			delete(s.tables[t], key)
		}
	})
}

// List implements apply.Store.
func (s *Store) List(x *schema.IndexShape, value []byte) []schema.Row {
	var out []schema.Row
	for _, row := range s.tables[x.Of] {
		if x.Matches(row) && string(x.AppendValue(nil, row)) == string(value) {
			out = append(out, row)
		}
	}
	slices.SortFunc(out, x.Compare)
	return out[:min(len(out), x.Limit)]
}

// Rows gives every row of a table, in the order of their keys.
func (s *Store) Rows(t *schema.Shape) []schema.Row {
	var out []schema.Row
	for _, key := range slices.Sorted(maps.Keys(s.tables[t])) {
		out = append(out, s.tables[t][key])
	}
	return out
}

// Mark implements apply.Store.
func (s *Store) Mark() { s.undo = s.undo[:0] }

// Revert implements apply.Store.
func (s *Store) Revert() {
	for _, f := range slices.Backward(s.undo) {
		f()
	}
	s.undo = s.undo[:0]
}
