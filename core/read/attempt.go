package read

import (
	"context"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/apply"
)

// Attempt gives an attempt.
func (s *Store) Attempt(ctx context.Context, id core.AttemptID) (core.Attempt, bool, error) {
	return get(ctx, s.db, apply.Attempts, id)
}

// KnownSource reports whether a device or an address has signed in to an account before.
func (s *Store) KnownSource(ctx context.Context, u core.UserID, source core.SourceID) (bool, error) {
	_, known, err := get(ctx, s.db, apply.KnownSources, apply.UserSource{UserID: u, SourceID: source})
	return known, err
}

// CountingAttempts counts the attempts of a share, and all of the kind, that are later than a time and were not right.
func (s *Store) CountingAttempts(ctx context.Context, a core.Attempt, since int64) (share, kind int64, err error) {
	share, err = count(ctx, s.db, `SELECT count(*) FROM attempts WHERE kind = $1 AND subject_id = $2 AND source_id = $3 AND right_at = 0 AND create_at > $4`,
		int64(a.Kind), [16]byte(a.SubjectID), [16]byte(a.SourceID), since)
	if err != nil || !a.Kind.ByAddress() {
		return share, 0, err
	}
	kind, err = count(ctx, s.db, `SELECT count(*) FROM (SELECT 1 FROM attempts WHERE kind = $1 AND right_at = 0 AND create_at > $2 LIMIT $3) latest`, int64(a.Kind), since, int64(core.MaxTogether))
	return share, kind, err
}
