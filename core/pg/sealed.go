package pg

import (
	"context"
	"time"

	"github.com/nearside/nearside/core"
)

// sealedTable has the sealed values. It is not declared by a noun: apply neither reads nor writes it, and
// no digest covers it.
const sealedTable = "sealed"

func isSealedTable(t TableShape) bool { return t.Name == sealedTable }

// sealSQL keeps values. One that is there already becomes as new as this entry, so that a sweep that runs at the
// same time leaves it.
const sealSQL = `INSERT INTO sealed (seal, value, at) SELECT seal, value, $3::bigint FROM unnest($1::bytea[], $2::bytea[]) AS v(seal, value)
	ON CONFLICT (seal) DO UPDATE SET at = EXCLUDED.at`

func sealParams(values [][]byte, at time.Time) [][]byte {
	seen := map[core.Seal]bool{} // a row may be written only once by a statement
	var seals, once [][]byte
	for _, v := range values {
		if s := core.SealOf(v); !seen[s] {
			seen[s] = true
			seals, once = append(seals, s[:]), append(once, v)
		}
	}
	all := func(list [][]byte) []byte {
		return array(oidBytea, len(list), func(b []byte, i int) ([]byte, bool) { return append(b, list[i]...), true })
	}
	return [][]byte{all(seals), all(once), bigint(uint64(at.UnixMilli()))}
}

// sweptAtOnce is how many sealed values a sweep looks at.
const sweptAtOnce = 1000

// sweepSQL looks at the next values and removes those that no row names. A value that is as new as the last entries
// stays: the row that names it may be in a transaction that this statement does not see.
const sweepSQL = `WITH page AS (SELECT seal FROM sealed WHERE seal > $1 ORDER BY seal LIMIT $3),
	gone AS (DELETE FROM sealed v USING page p WHERE v.seal = p.seal AND v.at < $2
		AND NOT EXISTS (SELECT FROM users u WHERE u.password_seal = v.seal) AND NOT EXISTS (SELECT FROM sessions s WHERE s.token = v.seal))
	SELECT seal FROM page ORDER BY seal DESC LIMIT 1`

// SweepSealed removes, of the next sealed values after a seal, those that are older than a time and that no row
// names. It gives the last seal that it has looked at; the zero seal at the end.
func SweepSealed(ctx context.Context, db *DB, after core.Seal, before time.Time) (last core.Seal, err error) {
	err = db.WriteTx(ctx, func(ctx context.Context, tx Tx) error {
		raw, ok, err := QueryOne(ctx, tx, sweepSQL, Scalar[[]byte], after[:], before.UnixMilli(), sweptAtOnce)
		if ok && len(raw) == len(last) {
			last = core.Seal(raw)
		}
		return err
	})
	return last, err
}

// TokenOf gives the hash of the token of a session that has not been ended. Only a home node has it.
func TokenOf(ctx context.Context, q Queryer, session core.SessionID) (core.TokenHash, bool, error) {
	raw, ok, err := QueryOne(ctx, q, "SELECT v.value FROM sessions s JOIN sealed v ON v.seal = s.token WHERE s.id = $1", Scalar[[]byte], [16]byte(session))
	if err != nil || !ok || len(raw) != len(core.TokenHash{}) {
		return core.TokenHash{}, false, err
	}
	return core.TokenHash(raw), true, nil
}

// Unseal gives the value of a seal. Only a home node has it.
func Unseal(ctx context.Context, q Queryer, seal core.Seal) ([]byte, bool, error) {
	return QueryOne(ctx, q, "SELECT value FROM sealed WHERE seal = $1", Scalar[[]byte], seal[:])
}
