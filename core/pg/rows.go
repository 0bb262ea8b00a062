package pg

import (
	"slices"

	"github.com/jackc/pgx/v5/pgconn"
)

// rows is one table as apply sees it: the writes of the batch over the committed rows, of
// which some are cached.
type rows[K comparable, T any] struct {
	t       *Table[K, T]
	s       *Store
	cache   *lru[K, T]
	dirty   map[K]*write[T] // this batch's last write of each key
	order   []K             // keys in the order they were first written; some twice, some reverted
	missing map[K]struct{}  // known not to be committed; only for this batch
	watch   []func(was, now *T)
	ends    []func() // to call at the end of a batch
	drops   []func() // to call when the cache is dropped
}

// write is a row to be, or the absence of one.
type write[T any] struct {
	row  T
	gone bool
}

func newRows[K comparable, T any](s *Store, t *Table[K, T]) *rows[K, T] {
	r := &rows[K, T]{t: t, s: s}
	r.cache = newLRU[K](s.cacheBytes/1000*t.part, func(was, now *T) {
		for _, f := range r.watch {
			f(was, now)
		}
	})
	r.clear()
	s.tables = append(s.tables, r)
	return r
}

// Get implements apply.Table.
func (r *rows[K, T]) Get(key K) (T, bool) {
	var none T
	row, ok := r.find(r.stored(key))
	if !ok {
		return none, false
	}
	return *row, true
}

// stored is a key as the table holds it.
func (r *rows[K, T]) stored(key K) K {
	if !r.t.textKey {
		return key
	}
	row := r.t.with(key)
	row = r.t.canon(&row)
	return r.t.key(&row)
}

func (r *rows[K, T]) find(key K) (*T, bool) {
	if w, ok := r.dirty[key]; ok {
		return &w.row, !w.gone
	}
	if row, ok := r.cache.get(key); ok {
		return row, true
	}
	if _, ok := r.missing[key]; ok {
		return nil, false
	}
	var p pipe
	r.want(&p, []K{key})
	r.s.read(&p)
	return r.cache.get(key)
}

// Put implements apply.Table.
func (r *rows[K, T]) Put(row T) {
	row = r.t.canon(&row)
	r.write(r.t.key(&row), &write[T]{row: row})
}

// Delete implements apply.Table.
func (r *rows[K, T]) Delete(key K) { r.write(r.stored(key), &write[T]{gone: true}) }

func (r *rows[K, T]) write(key K, w *write[T]) {
	was, had := r.dirty[key]
	if !had {
		r.order = append(r.order, key)
	}
	r.dirty[key] = w
	r.s.undo = append(r.s.undo, func() {
		if had {
			r.dirty[key] = was
		} else {
			delete(r.dirty, key)
		}
	})
}

// want asks for those of the keys that nothing is known of.
func (r *rows[K, T]) want(p *pipe, keys []K) {
	var ask []K
	for _, k := range keys {
		k = r.stored(k)
		if _, known := r.missing[k]; known || r.cache.has(k) {
			continue
		}
		r.missing[k] = struct{}{} // until it comes
		ask = append(ask, k)
	}
	if len(ask) > 0 {
		p.add(r.t.byKeys, r.t.keyArrays(ask), r.loaded)
	}
}

// loaded takes committed rows into the cache.
func (r *rows[K, T]) loaded(res *pgconn.Result) error {
	for _, raw := range res.Rows {
		row, err := r.t.read(raw)
		if err != nil {
			return err
		}
		key := r.t.key(&row)
		delete(r.missing, key)
		if !r.cache.has(key) {
			r.cache.put(key, &row, r.t.size(&row))
		}
	}
	return nil
}

// scan gives the rows of a query as the batch has left them: match says which of the batch's
// own writes belong to it, and cmp puts all in order.
func (r *rows[K, T]) scan(sql string, params [][]byte, match func(*T) bool, cmp func(a, b T) int) []T {
	var out []T
	var p pipe
	p.add(sql, params, func(res *pgconn.Result) error {
		for _, raw := range res.Rows {
			row, err := r.t.read(raw)
			if err != nil {
				return err
			}
			if _, changed := r.dirty[r.t.key(&row)]; !changed {
				out = append(out, row)
			}
		}
		return nil
	})
	r.s.read(&p)
	for _, w := range r.dirty {
		if !w.gone && match(&w.row) {
			out = append(out, w.row)
		}
	}
	slices.SortFunc(out, cmp) // a total order, so the map's does not show
	return out
}

// flush adds the statements that write the batch's rows. Those that are known to be new are
// inserted as such, which costs PostgreSQL much less than asking it to find out.
func (r *rows[K, T]) flush(p *pipe) {
	var fresh, puts []*T
	var gone []K
	seen := make(map[K]bool, len(r.order))
	for _, key := range r.order {
		w, ok := r.dirty[key]
		_, isNew := r.missing[key]
		switch {
		case !ok || seen[key]:
			continue
		case w.gone:
			gone = append(gone, key)
		case isNew:
			fresh = append(fresh, &w.row)
		default:
			puts = append(puts, &w.row)
		}
		seen[key] = true
	}
	if len(fresh) > 0 {
		p.add(r.t.insert, r.t.arrays(fresh, len(r.t.cols)), nil)
	}
	if len(puts) > 0 {
		p.add(r.t.upsert, r.t.arrays(puts, len(r.t.cols)), nil)
	}
	if len(gone) > 0 {
		p.add(r.t.remove, r.t.keyArrays(gone), nil)
	}
}

// committed takes the batch's writes into the cache.
func (r *rows[K, T]) committed() {
	for _, key := range r.order {
		w, ok := r.dirty[key]
		switch {
		case !ok:
			continue
		case w.gone:
			r.cache.remove(key)
		default:
			r.cache.put(key, &w.row, r.t.size(&w.row))
		}
		delete(r.dirty, key)
	}
	r.forget()
}

// forget ends the batch.
func (r *rows[K, T]) forget() {
	r.order = r.order[:0]
	clear(r.dirty)
	clear(r.missing)
	for _, f := range r.ends {
		f()
	}
}

// clear ends the batch and drops the cache.
func (r *rows[K, T]) clear() {
	r.cache.clear()
	r.order, r.dirty, r.missing = nil, map[K]*write[T]{}, map[K]struct{}{}
	for _, f := range r.drops {
		f()
	}
}

func (r *rows[K, T]) cached() int { return r.cache.used }
