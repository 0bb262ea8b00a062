package pg

import (
	"slices"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/nearside/nearside/core/schema"
)

// rows is one table as apply sees it: the committed rows, some of them cached, with the writes of the
// batch over them.
type rows struct {
	shape  *schema.Shape
	sql    statements
	cached map[string]*cached
	unique map[*schema.IndexShape]map[string]*cached // exactly the cached rows, by their values

	// State of the batch. What was read from the database stays known in later runs of the batch.
	dirty   map[string]*write   // the last write of each key
	order   []string            // the keys of dirty, in the order they were first written
	missing map[string]struct{} // known not to be committed
	lists   map[*schema.IndexShape]map[string]list
	need    map[string]struct{}                        // keys that were read and are not known
	needs   map[*schema.IndexShape]map[string]struct{} // the same for values of an index
}

// write is a row that the batch writes, or a deletion.
type write struct {
	row   schema.Row // nil: deleted
	size  int
	fresh bool // no row with the key is committed
}

// list is committed rows of one value of an index: the first ones, up to the number asked for.
type list struct {
	rows  []schema.Row
	asked int
}

func newRows(s *schema.Shape) *rows {
	r := &rows{shape: s, sql: statementsOf(s)}
	r.clear()
	return r
}

// clear forgets everything.
func (r *rows) clear() {
	r.cached, r.unique = map[string]*cached{}, map[*schema.IndexShape]map[string]*cached{}
	for _, x := range r.shape.Indexes {
		if x.Unique {
			r.unique[x] = map[string]*cached{}
		}
	}
	r.dirty, r.order, r.missing = map[string]*write{}, nil, map[string]struct{}{}
	r.need, r.needs, r.lists = map[string]struct{}{}, map[*schema.IndexShape]map[string]struct{}{}, map[*schema.IndexShape]map[string]list{}
}

// rewind undoes the writes of the batch, to run it again.
func (r *rows) rewind() {
	r.order = r.order[:0]
	wipe(r.dirty)
}

// end forgets the batch.
func (r *rows) end() {
	r.rewind()
	wipe(r.missing)
	wipe(r.lists)
	wipe(r.need)
	wipe(r.needs)
}

// wipe clears a map. That takes time by what the map once held, and most are empty already.
func wipe[K comparable, V any](m map[K]V) {
	if len(m) > 0 {
		clear(m)
	}
}

func (r *rows) index(it *cached) {
	for x, by := range r.unique {
		by[string(x.AppendValue(nil, it.row))] = it
	}
}

func (r *rows) unindex(it *cached) {
	for x, by := range r.unique {
		if v := string(x.AppendValue(nil, it.row)); by[v] == it {
			delete(by, v)
		}
	}
}

// get gives a row; known is false if the row must be read from the database.
func (r *rows) get(c *cache, key []byte) (row schema.Row, known bool) {
	if w, ok := r.dirty[string(key)]; ok {
		return w.row, true
	}
	if it, ok := r.cached[string(key)]; ok {
		c.touch(it)
		return it.row, true
	}
	if _, ok := r.missing[string(key)]; ok {
		return nil, true
	}
	return nil, false
}

// find gives the row with a unique value.
func (r *rows) find(c *cache, x *schema.IndexShape, value []byte) (row schema.Row, known bool) {
	for _, w := range r.dirty { // at most one matches, so the order of the map does not matter
		if w.row != nil && string(x.AppendValue(nil, w.row)) == string(value) {
			return w.row, true
		}
	}
	if it, ok := r.unique[x][string(value)]; ok {
		if _, changed := r.dirty[it.key]; changed {
			return nil, true
		}
		c.touch(it)
		return it.row, true
	}
	got, ok := r.lists[x][string(value)]
	if !ok {
		return nil, false
	}
	for _, row := range got.rows { // it was read, and the cache has dropped it since
		if _, changed := r.dirty[string(r.shape.AppendKey(nil, row))]; !changed {
			return row, true
		}
	}
	return nil, true
}

// list gives the rows with a value, with the writes of the batch.
func (r *rows) list(x *schema.IndexShape, value []byte) (out []schema.Row, known bool) {
	got, ok := r.lists[x][string(value)]
	if !ok {
		return nil, false
	}
	for _, row := range got.rows {
		if _, changed := r.dirty[string(r.shape.AppendKey(nil, row))]; !changed {
			out = append(out, row)
		}
	}
	// Further rows could take the place of rows that the batch has changed or deleted. Whether they
	// are seen must not depend on what else is in the batch, so more rows must be read.
	if len(out) < x.Limit && len(got.rows) == got.asked {
		return nil, false
	}
	for _, w := range r.dirty {
		if w.row != nil && x.Matches(w.row) && string(x.AppendValue(nil, w.row)) == string(value) {
			out = append(out, w.row)
		}
	}
	slices.SortFunc(out, x.Compare) // a total order, so the order of the map does not matter
	return out[:min(len(out), x.Limit)], true
}

// want notes a value of an index for the next read.
func (r *rows) want(x *schema.IndexShape, value []byte) {
	if r.needs[x] == nil {
		r.needs[x] = map[string]struct{}{}
	}
	r.needs[x][string(value)] = struct{}{}
}

// fetch adds the queries for what was noted.
func (r *rows) fetch(p *pipe, c *cache) {
	if len(r.need) > 0 {
		keys := sorted(r.need)
		for _, k := range keys {
			r.missing[k] = struct{}{} // until the row comes
		}
		p.add(r.sql.byKeys, valueArrays(r.shape, r.shape.Keys, r.shape.Split, keys), func(res *pgconn.Result) error {
			_, err := r.loaded(res, c)
			if cutShort(r.shape, 1, res) {
				for _, k := range keys {
					delete(r.missing, k) // it may be among what was left out
				}
			}
			return err
		})
		clear(r.need)
	}
	for _, x := range r.shape.Indexes {
		if values := sorted(r.needs[x]); len(values) > 0 {
			r.fetchLists(p, c, x, values)
		}
	}
	clear(r.needs)
}

// cutShort reports whether rows may have been left out because the others take readBytes.
func cutShort(s *schema.Shape, each int, res *pgconn.Result) bool {
	if !bounded(s, each) {
		return false
	}
	total := s.Fixed() * len(res.Rows)
	for i := range s.Columns {
		if s.Columns[i].Grows() {
			for _, raw := range res.Rows {
				total += len(raw[i])
			}
		}
	}
	return total >= readBytes
}

// firstAsked is how many rows of a value are read at first: one more than the index lists, because an
// entry often reads the list after it has deleted one of the rows.
func firstAsked(x *schema.IndexShape) int {
	if x.Unique {
		return 1
	}
	return x.Limit + 1
}

func (r *rows) fetchLists(p *pipe, c *cache, x *schema.IndexShape, values []string) {
	if r.lists[x] == nil {
		r.lists[x] = map[string]list{}
	}
	asked := firstAsked(x)
	for _, v := range values {
		if !x.Unique {
			asked = max(asked, 2*r.lists[x][v].asked)
		}
	}
	for _, v := range values {
		r.lists[x][v] = list{asked: asked}
	}
	params := append(valueArrays(r.shape, x.Columns, x.Split, values), bigint(uint64(asked)))
	p.add(r.sql.lists[x], params, func(res *pgconn.Result) error {
		got, err := r.loaded(res, c)
		for _, row := range got {
			v := string(x.AppendValue(nil, row))
			l := r.lists[x][v]
			l.rows = append(l.rows, row)
			r.lists[x][v] = l
		}
		if cutShort(r.shape, x.Limit, res) {
			for _, v := range values {
				if len(r.lists[x][v].rows) == 0 {
					delete(r.lists[x], v) // it may be among what was left out
				}
			}
		}
		return err
	})
}

func sorted(set map[string]struct{}) []string {
	out := make([]string, 0, len(set))
	for k := range set {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// loaded adds committed rows to the cache.
func (r *rows) loaded(res *pgconn.Result, c *cache) ([]schema.Row, error) {
	out := make([]schema.Row, 0, len(res.Rows))
	for _, raw := range res.Rows {
		row := r.shape.New()
		if err := r.shape.Read(row, raw); err != nil {
			return nil, err
		}
		key := string(r.shape.AppendKey(nil, row))
		delete(r.missing, key)
		if it := r.cached[key]; it != nil {
			row = it.row
		} else {
			c.put(r, key, row, r.shape.Size(row))
		}
		out = append(out, row)
	}
	return out, nil
}

// flush adds the statements that write the batch's rows. Rows that are known to be new are inserted
// without ON CONFLICT, which costs PostgreSQL much less.
func (r *rows) flush(p *pipe) {
	var fresh, puts []schema.Row
	var gone []string
	for _, key := range r.order {
		w := r.dirty[key]
		switch _, missing := r.missing[key]; {
		case w.row == nil:
			gone = append(gone, key)
		case missing || w.fresh:
			fresh = append(fresh, w.row)
		default:
			puts = append(puts, w.row)
		}
	}
	if len(fresh) > 0 {
		p.add(r.sql.insert, rowArrays(r.shape, fresh), nil)
	}
	if len(puts) > 0 {
		p.add(r.sql.upsert, rowArrays(r.shape, puts), nil)
	}
	if len(gone) > 0 {
		p.add(r.sql.remove, valueArrays(r.shape, r.shape.Keys, r.shape.Split, gone), nil)
	}
}

// committed adds the batch's writes to the cache.
func (r *rows) committed(c *cache) {
	for _, key := range r.order {
		if w := r.dirty[key]; w.row != nil {
			c.put(r, key, w.row, w.size)
		} else if it := r.cached[key]; it != nil {
			c.remove(it)
		}
	}
	r.end()
}
