package read

import (
	"context"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/apply"
	"github.com/nearside/nearside/core/pg"
	"github.com/nearside/nearside/core/schema"
)

// MaxIDs bounds how many ids a query may have.
const MaxIDs = 1000

// none is the zero id in SQL.
const none = "'00000000-0000-0000-0000-000000000000'"

// notDeleted leaves out deleted rows of a table t.
const notDeleted = ` AND t.delete_at = 0`

// Store answers questions. Its pool should take the role that can only read.
type Store struct {
	db      *pg.DB
	message func(*core.Post) string

	collations collations
}

// New makes a Store. message gives the text of a system post; if it is nil, a post keeps its own text.
func New(db *pg.DB, message func(*core.Post) string) *Store { return &Store{db: db, message: message} }

// Page is a part of a list: Size rows after Number pages of that size.
type Page struct{ Number, Size int }

// everything is the page for lists that are always short.
var everything = Page{Size: 100_000}

func (p Page) offset() int { return p.Number * p.Size }

// Ping fails when the replica cannot be read.
func (s *Store) Ping(ctx context.Context) error {
	_, err := s.Position(ctx)
	return err
}

// Position gives the position of the state that queries see now.
func (s *Store) Position(ctx context.Context) (core.Position, error) { return position(ctx, s.db) }

func position(ctx context.Context, q pg.Queryer) (core.Position, error) {
	p, _, err := pg.QueryOne(ctx, q, `SELECT epoch, index, digest FROM applied`, func(r pg.Row) (core.Position, error) {
		var epoch, index int64
		var digest [16]byte
		err := r.Scan(&epoch, &index, &digest)
		return core.Position{Epoch: core.Epoch(epoch), Index: core.Index(index), Digest: digest}, err
	})
	return p, wrap("read position", err)
}

// get gives the row with a key, if further conditions, each of which begins with " AND ", are true for it;
// the table's alias is t.
func get[K comparable, T any](ctx context.Context, q pg.Queryer, t apply.Table[K, T], key K, conditions ...string) (T, bool, error) {
	return one[T](ctx, q, t.Shape, t.Keys, &key, conditions...)
}

// find gives the row that has a value which no other row has.
func find[V comparable, T any](ctx context.Context, q pg.Queryer, u apply.Unique[V, T], value V) (T, bool, error) {
	return one[T](ctx, q, u.Of, u.Columns, &value)
}

func one[T, V any](ctx context.Context, q pg.Queryer, s *schema.Shape, columns []int, value *V, conditions ...string) (T, bool, error) {
	sql := "SELECT " + pg.Columns(s, "t") + " FROM " + s.Name + " t WHERE true"
	for i, c := range columns {
		sql += " AND t." + s.Columns[c].Name + " = $" + strconv.Itoa(i+1)
	}
	v, ok, err := pg.QueryOne(ctx, q, sql+strings.Join(conditions, ""), pg.Scan[T](s), values(reflect.ValueOf(value).Elem())...)
	return v, ok, wrap("read "+s.Name, err)
}

// values gives what a key or the value of an index consists of, in the types that the driver needs.
func values(v reflect.Value) (out []any) {
	switch {
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			out = append(out, values(v.Field(i))...)
		}
		return out
	case v.Kind() == reflect.Array && v.Len() == 16:
		return []any{v.Convert(reflect.TypeFor[[16]byte]()).Interface()}
	case v.Kind() == reflect.Array:
		return []any{v.Bytes()}
	}
	return []any{v.Interface()}
}

// first gives the first row of a list that has one row or none.
func first[T any](list []T, err error) (v T, ok bool, _ error) {
	if ok = err == nil && len(list) > 0; ok {
		v = list[0]
	}
	return v, ok, err
}

// many gives every row of t that the rest of a query selects, never nil. Their bytes are taken from the
// request's budget while they are read.
func many[K comparable, T any](ctx context.Context, q pg.Queryer, t apply.Table[K, T], rest string, args ...any) ([]T, error) {
	v, _, err := manyWithin(ctx, q, t, math.MaxInt, rest, args...)
	return v, err
}

// manyWithin is many, but ends with the row that fills up a number of bytes, and reports whether one did.
func manyWithin[K comparable, T any](ctx context.Context, q pg.Queryer, t apply.Table[K, T], max int, rest string, args ...any) (_ []T, full bool, _ error) {
	spent, scan, bytes := meterOf(ctx), pg.Scan[T](t.Shape), 0
	v, err := pg.Query(ctx, q, "SELECT "+pg.Columns(t.Shape, "t")+" "+rest, func(r pg.Row) (T, error) {
		row, err := scan(r)
		if err != nil {
			return row, err
		}
		size := t.Size(schema.Row(&row))
		if err = spent.add(size); err == nil {
			if bytes += size; bytes >= max {
				full, err = true, pg.ErrEnough
			}
		}
		return row, err
	}, args...)
	if v == nil {
		v = []T{}
	}
	return v, full, wrap("read many", err)
}

// joined adds to each row of a list the rows of t whose ids it names, in the order in which it names them.
func joined[T, F any](ctx context.Context, q pg.Queryer, list []T, t apply.Table[core.ID[F], F], named func(*T) []core.ID[F], add func(*T, F)) error {
	var ids []core.ID[F]
	for i := range list {
		ids = append(ids, named(&list[i])...)
	}
	byID := make(map[core.ID[F]]F, len(ids))
	for part := range slices.Chunk(ids, MaxIDs) {
		rows, err := many(ctx, q, t, "FROM "+t.Name+" t WHERE id = ANY($1)", raw(part))
		if err != nil {
			return err
		}
		for _, row := range rows {
			byID[core.ID[F](t.AppendKey(nil, schema.Row(&row)))] = row
		}
	}
	for i := range list {
		for _, id := range named(&list[i]) {
			if row, ok := byID[id]; ok {
				add(&list[i], row)
			}
		}
	}
	return nil
}

// pieceRows is how many rows of a long list are read at once.
const pieceRows = 500

// inPieces reads the rows with some ids, a piece at a time, and passes them on in the order of the ids. A row that
// has gone in the meantime is left out.
func inPieces[T, I any](ids []core.ID[I], id func(*T) core.ID[I], rows func([]core.ID[I]) ([]T, error), each func([]T) error) error {
	for part := range slices.Chunk(ids, pieceRows) {
		list, err := rows(part)
		if err != nil {
			return err
		}
		place := make(map[core.ID[I]]int, len(part))
		for i, v := range part {
			place[v] = i
		}
		slices.SortFunc(list, func(a, b T) int { return place[id(&a)] - place[id(&b)] })
		if err := each(list); err != nil {
			return err
		}
	}
	return nil
}

func scanID[T any](r pg.Row) (id core.ID[T], err error) { return id, r.Scan((*[16]byte)(&id)) }

// count gives one number.
func count(ctx context.Context, q pg.Queryer, sql string, args ...any) (int64, error) {
	n, _, err := pg.QueryOne(ctx, q, sql, pg.Scalar[int64], args...)
	return n, wrap("count", err)
}

// databaseAway says that the database of this edge does not answer.
var databaseAway = core.Refusal{Kind: core.KindUnavailable, ID: "api.nearside.unavailable.app_error"}.With("reason", "database")

func wrap(what string, err error) error {
	switch {
	case err == nil:
		return nil
	case pg.IsUnavailable(err):
		return databaseAway.WithCause(err)
	}
	return fmt.Errorf("%s: %w", what, err)
}

// raw gives ids in the type that the driver needs.
func raw[T any](ids []core.ID[T]) [][16]byte {
	out := make([][16]byte, len(ids))
	for i, id := range ids {
		out[i] = id
	}
	return out
}
