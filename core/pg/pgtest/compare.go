package pgtest

import (
	"context"
	"fmt"

	"github.com/nearside/nearside/core/pg"
)

// Compare compares two databases table by table and gives a line for each difference. Nothing may be
// applied meanwhile, and both must be at the same position.
func Compare(ctx context.Context, a, b *pg.DB) ([]string, error) {
	da, err := pg.Digests(ctx, a)
	if err != nil {
		return nil, fmt.Errorf("first database: %w", err)
	}
	db, err := pg.Digests(ctx, b)
	if err != nil {
		return nil, fmt.Errorf("second database: %w", err)
	}
	second := map[string]pg.TableDigest{}
	for _, d := range db {
		second[d.Name] = d
	}
	var out []string
	for _, d := range da {
		other, ok := second[d.Name]
		delete(second, d.Name)
		if !ok || other != d {
			out = append(out, fmt.Sprintf("%s: %d rows summing to %s, and %d summing to %s", d.Name, d.Rows, d.Sum, other.Rows, other.Sum))
		}
	}
	for _, d := range db {
		if _, left := second[d.Name]; left {
			out = append(out, d.Name+": only in the second database")
		}
	}
	return out, nil
}
