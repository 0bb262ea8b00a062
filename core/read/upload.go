package read

import (
	"context"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/apply"
)

// Upload gives an upload under way, with its parts.
func (s *Store) Upload(ctx context.Context, id core.UploadID) (core.Upload, bool, error) {
	return get(ctx, s.db, apply.Uploads, id, notDeleted)
}

// UploadsOfUser gives a user's uploads under way, the oldest first.
func (s *Store) UploadsOfUser(ctx context.Context, user core.UserID) ([]core.Upload, error) {
	return many(ctx, s.db, apply.Uploads, `FROM uploads t WHERE user_id = $1 AND delete_at = 0 ORDER BY create_at, id LIMIT $2`, [16]byte(user), core.MaxUploads)
}
