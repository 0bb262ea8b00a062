package pg

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// writer is the only connection that applies entries. It is opened when first needed and again after
// every failure, because only the database knows what a failed connection has done.
type writer struct {
	db    *DB
	conn  *pgx.Conn
	stmts map[string]*pgconn.StatementDescription // by their text; prepared on this connection
	trips int                                     // round trips so far
}

// Plans must not depend on statistics: the tables are empty at first, a plan made then would be kept,
// and every statement of a batch should use an index.
const writerSettings = `SET synchronous_commit = off; SET plan_cache_mode = force_generic_plan;
	SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off; SET jit = off`

func (w *writer) open(ctx context.Context) error {
	if w.conn != nil && !w.conn.IsClosed() {
		return nil
	}
	c, err := w.db.pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("open writer: %w", err)
	}
	w.conn = c.Hijack()
	w.stmts = map[string]*pgconn.StatementDescription{}
	if _, err := w.conn.PgConn().Exec(ctx, writerSettings).ReadAll(); err != nil {
		w.close()
		return fmt.Errorf("set up writer: %w", err)
	}
	return nil
}

// close closes the connection.
func (w *writer) close() {
	if w.conn != nil {
		_ = w.conn.PgConn().Conn().Close() // the connection is of no use any more
		w.conn = nil
	}
}

// pgResult is the result of a statement.
type pgResult = pgconn.Result

// pipe collects statements that are sent to the server together. It is a transaction: the server commits
// when it has run all of them, and after an error it keeps nothing.
type pipe struct{ steps []step }

type step struct {
	sql    string
	params [][]byte
	then   func(*pgconn.Result) error // nil: nothing to read
}

func (p *pipe) add(sql string, params [][]byte, then func(*pgconn.Result) error) {
	p.steps = append(p.steps, step{sql, params, then})
}

var binary1 = []int16{pgx.BinaryFormatCode}

// run sends a pipe in one round trip (and one more for each statement that is new to the
// connection). After an error the connection is closed, except if the batch's own guard has failed.
func (w *writer) run(ctx context.Context, p *pipe) error {
	err := w.send(ctx, p)
	if err != nil && !isGuard(err) {
		w.close()
	}
	return err
}

func (w *writer) send(ctx context.Context, p *pipe) error {
	if err := w.open(ctx); err != nil {
		return err
	}
	var b pgconn.Batch
	for _, s := range p.steps {
		sd, err := w.prepared(ctx, s.sql)
		if err != nil {
			return err
		}
		b.ExecStatement(sd, s.params, binary1, binary1)
	}
	w.trips++
	results, err := w.conn.PgConn().ExecBatch(ctx, &b).ReadAll()
	if err != nil {
		return fmt.Errorf("run batch: %w", err)
	}
	for i, s := range p.steps {
		if s.then == nil {
			continue
		}
		if err := s.then(results[i]); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) prepared(ctx context.Context, sql string) (*pgconn.StatementDescription, error) {
	if sd := w.stmts[sql]; sd != nil {
		return sd, nil
	}
	sd, err := w.conn.PgConn().Prepare(ctx, fmt.Sprintf("apply_%d", len(w.stmts)+1), sql, nil)
	if err != nil {
		return nil, fmt.Errorf("prepare %.60q: %w", sql, err)
	}
	w.stmts[sql] = sd
	return sd, nil
}
