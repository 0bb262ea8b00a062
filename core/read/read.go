package read

import (
	"context"
	"fmt"
	"strings"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/apply"
	"github.com/nearside/nearside/core/pg"
)

// MaxIDs bounds how many ids a query may have.
const MaxIDs = 1000

// none is the zero id in SQL.
const none = "'00000000-0000-0000-0000-000000000000'"

// Store answers questions. Its pool should take the role that can only read.
type Store struct {
	db      *pg.DB
	message func(*core.Post) string
}

// New makes a Store. message gives the text of a system post; if it is nil, a post keeps its own text.
func New(db *pg.DB, message func(*core.Post) string) *Store { return &Store{db, message} }

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

// one gives the first row of t that the rest of a query selects; the table's alias is t.
func one[K comparable, T any](ctx context.Context, q pg.Queryer, t apply.Table[K, T], rest string, args ...any) (T, bool, error) {
	v, ok, err := pg.QueryOne(ctx, q, "SELECT "+pg.Columns(t.Shape, "t")+" "+rest, pg.Scan[T](t.Shape), args...)
	return v, ok, wrap("read one", err)
}

// many gives every row of t that the rest of a query selects, never nil.
func many[K comparable, T any](ctx context.Context, q pg.Queryer, t apply.Table[K, T], rest string, args ...any) ([]T, error) {
	v, err := pg.Query(ctx, q, "SELECT "+pg.Columns(t.Shape, "t")+" "+rest, pg.Scan[T](t.Shape), args...)
	if v == nil {
		v = []T{}
	}
	return v, wrap("read many", err)
}

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

// prefix gives the LIKE pattern for texts that begin with a term, in lower case.
func prefix(term string) string {
	return strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(strings.ToLower(term)) + "%"
}
