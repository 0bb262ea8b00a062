package pg

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/nearside/nearside/core"
)

// The schemas and the role of clients' reads.
const (
	Schema      = "nearside" // replicated: the same on every replica
	LocalSchema = "local"    // this node's own
	ReaderRole  = "nearside_reader"
)

// Limits of a pool.
const (
	defaultMaxConns = 8
	openTimeout     = 30 * time.Second
	closeTimeout    = 10 * time.Second
)

// Config says how to reach a database. The zero value of each optional field means its
// documented default.
type Config struct {
	ConnString string                                                            // required: DSN or URL
	Dial       func(ctx context.Context, network, addr string) (net.Conn, error) // default: the driver's
	Schema     string                                                            // search_path; default Schema
	Role       string                                                            // role to set, with read-only transactions; default: that of the login
	MaxConns   int                                                               // default 8
	Logger     *slog.Logger                                                      // default: discard
}

// DB is a pool of connections.
type DB struct {
	pool   *pgxpool.Pool
	schema string
	log    *slog.Logger
}

// Row is a row that a scan function reads.
type Row interface {
	Scan(dest ...any) error
}

// Tx is a transaction.
type Tx = pgx.Tx

// Queryer is a DB or a Tx.
type Queryer interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

var (
	_ Queryer = (*DB)(nil)
	_ Queryer = Tx(nil)
)

// Open connects. It fails when no connection can be made before ctx ends or half a minute
// has passed.
func Open(ctx context.Context, cfg Config) (*DB, error) {
	pc, schema, err := poolConfig(cfg)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	pool, err := pgxpool.NewWithConfig(ctx, pc)
	if err != nil {
		return nil, fmt.Errorf("open pool: %w", err)
	}
	if err := pool.Ping(ctx); err != nil {
		pool.Close()
		return nil, fmt.Errorf("open pool: %w", err)
	}
	return &DB{pool: pool, schema: schema, log: logger(cfg.Logger)}, nil
}

func poolConfig(cfg Config) (*pgxpool.Config, string, error) {
	pc, err := pgxpool.ParseConfig(cfg.ConnString)
	if err != nil {
		return nil, "", core.E(core.KindInvalid, "That is not a PostgreSQL connection string.").WithCause(err)
	}
	schema := cfg.Schema
	if schema == "" {
		schema = Schema
	}
	pc.MaxConns = int32(cfg.MaxConns)
	if cfg.MaxConns <= 0 {
		pc.MaxConns = defaultMaxConns
	}
	cc := pc.ConnConfig
	if cfg.Dial != nil {
		cc.DialFunc = cfg.Dial
	}
	// Prepared once per connection and kept: parsing costs more than most of our statements.
	cc.DefaultQueryExecMode = pgx.QueryExecModeCacheStatement
	if cc.ConnectTimeout == 0 {
		cc.ConnectTimeout = 5 * time.Second
	}
	params := cc.RuntimeParams
	params["application_name"] = "nearside"
	params["search_path"] = quoteName(schema)
	params["timezone"] = "UTC"
	if cfg.Role != "" {
		params["role"] = cfg.Role
		params["default_transaction_read_only"] = "on"
	}
	return pc, schema, nil
}

// Close ends the pool. It waits for running queries, ten seconds at most: cancel them first.
func (db *DB) Close() {
	done := make(chan struct{})
	go func() { db.pool.Close(); close(done) }()
	select {
	case <-done:
	case <-time.After(closeTimeout):
		db.log.Warn("pool closed with queries still running")
	}
}

// Ping asks the server for an answer.
func (db *DB) Ping(ctx context.Context) error { return db.pool.Ping(ctx) }

// Exec implements Queryer.
func (db *DB) Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	return db.pool.Exec(ctx, sql, args...)
}

// Query implements Queryer.
func (db *DB) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	return db.pool.Query(ctx, sql, args...)
}

// QueryRow implements Queryer.
func (db *DB) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	return db.pool.QueryRow(ctx, sql, args...)
}

// ReadTx runs fn in a read-only transaction that sees one state throughout.
func (db *DB) ReadTx(ctx context.Context, fn func(ctx context.Context, tx Tx) error) error {
	opt := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
	return pgx.BeginTxFunc(ctx, db.pool, opt, func(tx pgx.Tx) error { return fn(ctx, tx) })
}

// WriteTx runs fn in a transaction and commits it when fn returns nil.
func (db *DB) WriteTx(ctx context.Context, fn func(ctx context.Context, tx Tx) error) error {
	return pgx.BeginFunc(ctx, db.pool, func(tx pgx.Tx) error { return fn(ctx, tx) })
}

// ErrEnough is the error of a scan whose row is the last one that is wanted.
var ErrEnough = errors.New("enough rows")

// Query gives the result of scan for each row.
func Query[T any](ctx context.Context, q Queryer, sql string, scan func(Row) (T, error), args ...any) ([]T, error) {
	rows, err := q.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []T
	for rows.Next() {
		v, err := scan(rows)
		switch {
		case errors.Is(err, ErrEnough):
			return append(out, v), nil
		case err != nil:
			return nil, err
		}
		out = append(out, v)
	}
	return out, rows.Err()
}

// QueryOne gives the result of scan for the first row, or false when there is none.
func QueryOne[T any](ctx context.Context, q Queryer, sql string, scan func(Row) (T, error), args ...any) (T, bool, error) {
	var zero T
	v, err := scan(q.QueryRow(ctx, sql, args...))
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return zero, false, nil
	case err != nil:
		return zero, false, err
	}
	return v, true, nil
}

// Scalar is a scan function for one column.
func Scalar[T any](r Row) (T, error) {
	var v T
	err := r.Scan(&v)
	return v, err
}

// IsUnavailable reports whether err says that the server is gone, starting, stopping or full
// of connections, so that the same statement may succeed later. A deadline that passed is not
// such an error: the server may be well and the query slow.
func IsUnavailable(err error) bool {
	var pe *pgconn.PgError
	if errors.As(err, &pe) {
		return strings.HasPrefix(pe.Code, "57P0") || strings.HasPrefix(pe.Code, "08") || pe.Code == "53300"
	}
	var ce *pgconn.ConnectError
	if errors.As(err, &ce) {
		return true
	}
	if pgconn.Timeout(err) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return false
	}
	var ne *net.OpError
	return errors.As(err, &ne) || pgconn.SafeToRetry(err) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed)
}

func quoteName(name string) string { return pgx.Identifier{name}.Sanitize() }

func logger(l *slog.Logger) *slog.Logger {
	if l == nil {
		return slog.New(slog.DiscardHandler)
	}
	return l
}
