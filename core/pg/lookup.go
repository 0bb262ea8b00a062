package pg

import (
	"fmt"
	"strings"
)

// lookup finds rows by a value, other than their key, that no two of them share. Its index
// covers exactly the cached rows.
type lookup[V, K comparable, T any] struct {
	r       *rows[K, T]
	value   func(*T) V
	with    func(V) T // a row of which only the value is set
	cols    []column[T]
	sql     string
	index   map[V]K
	missing map[V]struct{} // known not to be committed; only for this batch
}

func newLookup[V, K comparable, T any](r *rows[K, T], value func(*T) V, with func(V) T, columns ...string) *lookup[V, K, T] {
	l := &lookup[V, K, T]{r: r, value: value, with: with, index: map[V]K{}, missing: map[V]struct{}{}}
	var marks, pairs []string
	for _, c := range r.t.cols {
		for _, name := range columns {
			if c.name == name {
				l.cols = append(l.cols, c)
				marks = append(marks, fmt.Sprintf("$%d::%s[]", len(l.cols), c.typ))
				pairs = append(pairs, fmt.Sprintf("t.%s = k.%s", name, name))
			}
		}
	}
	l.sql = fmt.Sprintf("SELECT %s FROM unnest(%s) AS k(%s) JOIN %s t ON %s", r.t.Columns("t"),
		strings.Join(marks, ", "), strings.Join(columns, ", "), r.t.name, strings.Join(pairs, " AND "))
	r.watch = append(r.watch, l.changed)
	r.ends = append(r.ends, func() { clear(l.missing) })
	r.drops = append(r.drops, l.clear)
	return l
}

// Find implements apply.Lookup.
func (l *lookup[V, K, T]) Find(v V) (K, bool) {
	var none K
	v = l.stored(v)
	for key, w := range l.r.dirty { // at most one matches, so the map's order does not show
		if !w.gone && l.value(&w.row) == v {
			return key, true
		}
	}
	var p pipe
	if l.want(&p, []V{v}); len(p.steps) > 0 {
		l.r.s.read(&p)
	}
	key, ok := l.index[v]
	if _, changed := l.r.dirty[key]; !ok || changed {
		return none, false
	}
	return key, true
}

// stored is a value as the table holds it.
func (l *lookup[V, K, T]) stored(v V) V {
	row := l.with(v)
	row = l.r.t.canon(&row)
	return l.value(&row)
}

// want asks for those of the values that nothing is known of.
func (l *lookup[V, K, T]) want(p *pipe, values []V) {
	var ask []*T
	for _, v := range values {
		v = l.stored(v)
		_, known := l.missing[v]
		if _, cached := l.index[v]; cached || known {
			continue
		}
		l.missing[v] = struct{}{}
		row := l.with(v)
		ask = append(ask, &row)
	}
	if len(ask) == 0 {
		return
	}
	params := make([][]byte, len(l.cols))
	for i := range l.cols {
		params[i] = l.cols[i].array(ask)
	}
	p.add(l.sql, params, l.r.loaded)
}

func (l *lookup[V, K, T]) changed(was, now *T) {
	if was != nil {
		if v := l.value(was); l.index[v] == l.r.t.key(was) {
			delete(l.index, v)
		}
	}
	if now != nil {
		v := l.value(now)
		l.index[v] = l.r.t.key(now)
		delete(l.missing, v)
	}
}

func (l *lookup[V, K, T]) clear() {
	clear(l.index)
	clear(l.missing)
}
