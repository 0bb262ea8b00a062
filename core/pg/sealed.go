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
	var seals [][]byte
	var once [][]byte
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

// Unseal gives the value of a seal. Only a home node has it.
func Unseal(ctx context.Context, q Queryer, seal core.Seal) ([]byte, bool, error) {
	return QueryOne(ctx, q, "SELECT value FROM sealed WHERE seal = $1", Scalar[[]byte], seal[:])
}
