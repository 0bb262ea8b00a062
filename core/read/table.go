package read

import (
	"context"

	"github.com/nearside/nearside/core"
)

// metadata is the table of what readers get with posts: each row adds one thing to a list.
var metadata = []func(s *Store, ctx context.Context, posts []core.Post) error{
	(*Store).addMessages,
	(*Store).addReactions,
	(*Store).addFiles,
}
