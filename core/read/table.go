package read

import (
	"context"

	"github.com/nearside/nearside/core"
)

// metadata has one row for each thing that is read together with posts.
var metadata = []func(s *Store, ctx context.Context, posts []core.Post) error{
	(*Store).addMessages,
	(*Store).addReactions,
	(*Store).addFiles,
}
