package read

import (
	"context"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/apply"
)

// Nodes gives the nodes that were admitted, and those that were revoked since.
func (s *Store) Nodes(ctx context.Context) ([]core.Node, error) {
	return many(ctx, s.db, apply.Nodes, `FROM nodes t ORDER BY name LIMIT $1`, core.MaxNodes)
}
