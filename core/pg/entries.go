package pg

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/schema"
)

// Record is what is kept of an applied entry.
type Record struct {
	Index    core.Index      `cbor:"1,keyasint" db:"index"`
	At       int64           `cbor:"2,keyasint" db:"at"` // Unix milliseconds
	Proposal core.ProposalID `cbor:"3,keyasint" db:"proposal"`
	Digest   core.Digest     `cbor:"4,keyasint" db:"digest"`                // of the position after it
	Outcome  []byte          `cbor:"5,keyasint" db:"outcome" max:"1048576"` // nil of a repeated proposal
	Accepted bool            `cbor:"6,keyasint" db:"accepted"`              // the proposal was not refused; if it is repeated it gets this outcome
}

// The table of recently applied entries (core.DedupeWindow).
var (
	recordShape      = schema.Of[core.Index, Record]("entries", "index").Shape
	recordStatements = statementsOf(recordShape)
)

func readRecord(raw [][]byte) (Record, error) {
	var r Record
	return r, recordShape.Read(schema.Row(&r), raw)
}

var (
	positionSQL = "SELECT epoch, index, digest, at FROM applied"
	// The position is moved only from where the batch began, and only if none of its proposals was accepted
	// before. Otherwise index would be null, which it may not be, and the transaction fails: see isGuard.
	advanceSQL = `UPDATE applied SET epoch = $1, digest = $3, at = $4, index = CASE WHEN epoch = $5 AND index = $6 AND digest = $7
		AND NOT EXISTS (SELECT FROM entries e WHERE e.proposal = ANY($8::uuid[]) AND e.accepted) THEN $2::bigint END`
	firstsSQL = "SELECT " + Columns(recordShape, "") + " FROM entries WHERE proposal = ANY($1::uuid[]) AND accepted"
	purgeSQL  = "DELETE FROM entries WHERE at < $1"
)

// isGuard reports whether advanceSQL has failed, and with it everything that was sent together.
func isGuard(err error) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && e.Code == "23502" && e.TableName == "applied"
}

// readPosition reads the row of applied.
func readPosition(res *pgconn.Result) (core.Position, time.Time, error) {
	if len(res.Rows) != 1 || len(res.Rows[0]) != 4 {
		return core.Position{}, time.Time{}, fmt.Errorf("read position: no row")
	}
	raw := res.Rows[0]
	n := func(i int) uint64 { return binary.BigEndian.Uint64(raw[i]) }
	pos := core.Position{Epoch: core.Epoch(n(0)), Index: core.Index(n(1)), Digest: core.Digest(raw[2])}
	if n(3) == 0 {
		return pos, time.Time{}, nil
	}
	return pos, time.Unix(0, int64(n(3))), nil
}

func positionParams(pos core.Position, at time.Time) [][]byte {
	var ns uint64
	if !at.IsZero() {
		ns = uint64(at.UnixNano())
	}
	return [][]byte{bigint(uint64(pos.Epoch)), bigint(uint64(pos.Index)), pos.Digest[:], bigint(ns)}
}

func bigint(v uint64) []byte { return binary.BigEndian.AppendUint64(nil, v) }

// RecordOf gives what is kept of the entry at an index.
func RecordOf(ctx context.Context, q Queryer, i core.Index) (Record, bool, error) {
	return QueryOne(ctx, q, "SELECT "+Columns(recordShape, "")+" FROM entries WHERE index = $1", Scan[Record](recordShape), int64(i))
}

// ReceiptsOf gives the receipts of the remembered entries from one index to another. A
// repeated proposal's is that of the first.
func ReceiptsOf(ctx context.Context, q Queryer, from, to core.Index) (map[core.Index]core.Receipt, error) {
	type row struct {
		index core.Index
		core.Receipt
	}
	list, err := Query(ctx, q, `SELECT e.index, coalesce(f.index, e.index), coalesce(f.outcome, e.outcome) FROM entries e
		LEFT JOIN entries f ON e.outcome IS NULL AND f.proposal = e.proposal AND f.accepted WHERE e.index BETWEEN $1 AND $2`,
		func(r Row) (row, error) {
			var v row
			err := r.Scan(&v.index, &v.Index, &v.Outcome)
			return v, err
		}, int64(from), int64(to))
	out := make(map[core.Index]core.Receipt, len(list))
	for _, v := range list {
		out[v.index] = v.Receipt
	}
	return out, err
}
