package read

import (
	"context"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/apply"
)

// Tasks gives the tasks that are not finished, the oldest first.
func (s *Store) Tasks(ctx context.Context, limit int) ([]core.Task, error) {
	return many(ctx, s.db, apply.Tasks, `FROM tasks t ORDER BY create_at, id LIMIT $1`, limit)
}
