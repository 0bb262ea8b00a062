package read

import (
	"context"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/apply"
)

// SessionByToken gives the session of a token, by the seal of the token's hash.
func (s *Store) SessionByToken(ctx context.Context, token core.Seal) (core.Session, bool, error) {
	return first(many(ctx, s.db, apply.Sessions, `FROM sessions t WHERE token = $1 LIMIT 1`, token[:]))
}

// SessionsOf gives a user's sessions, the latest first.
func (s *Store) SessionsOf(ctx context.Context, user core.UserID) ([]core.Session, error) {
	return many(ctx, s.db, apply.Sessions, `FROM sessions t WHERE user_id = $1 ORDER BY create_at DESC, id LIMIT 1000`, [16]byte(user))
}
