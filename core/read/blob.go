package read

import (
	"context"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/apply"
)

// Blobs gives blobs that rows refer to, in the order of their ids, after a given id.
func (s *Store) Blobs(ctx context.Context, after core.BlobID, limit int) ([]core.Blob, error) {
	return many(ctx, s.db, apply.Blobs, `FROM blobs t WHERE id > $1 AND refs > 0 ORDER BY id LIMIT $2`, after[:], limit)
}

// BlobRefs gives how many rows refer to a blob, and when the last reference was released. known is
// false for a blob that no row has ever named.
func (s *Store) BlobRefs(ctx context.Context, id core.BlobID) (refs, releasedAt int64, known bool, err error) {
	b, known, err := get(ctx, s.db, apply.Blobs, id)
	return b.Refs, b.ReleasedAt, known, err
}

// BlobUses is what refers to a blob.
type BlobUses struct {
	Files   []core.File // by any of their blobs
	Users   []core.UserID
	Uploads []core.UploadID
}

// BlobUses gives what refers to a blob. It reads whole tables, because it is only for reports about the
// few blobs that are damaged.
func (s *Store) BlobUses(ctx context.Context, id core.BlobID) (uses BlobUses, err error) {
	uses.Files, err = many(ctx, s.db, apply.Files, `FROM files t WHERE delete_at = 0 AND (content = $1 OR thumbnail = $1 OR preview = $1)
		ORDER BY create_at, id LIMIT $2`, id[:], MaxIDs)
	if err != nil {
		return uses, err
	}
	users, err := many(ctx, s.db, apply.Users, `FROM users t WHERE picture = $1 ORDER BY id LIMIT $2`, id[:], MaxIDs)
	if err != nil {
		return uses, err
	}
	for _, u := range users {
		uses.Users = append(uses.Users, u.ID)
	}
	uploads, err := many(ctx, s.db, apply.Uploads, `FROM uploads t WHERE position($1::bytea IN parts) > 0 ORDER BY id LIMIT $2`, id[:], MaxIDs)
	for _, u := range uploads {
		uses.Uploads = append(uses.Uploads, u.ID)
	}
	return uses, err
}

// RecentFiles gives the latest files that are not deleted, newest first.
func (s *Store) RecentFiles(ctx context.Context, limit int) ([]core.File, error) {
	return many(ctx, s.db, apply.Files, `FROM files t WHERE delete_at = 0 ORDER BY id DESC LIMIT $1`, limit)
}
