package read

import (
	"context"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/apply"
)

// Preferences gives a user's settings, of one category unless that is "".
func (s *Store) Preferences(ctx context.Context, user core.UserID, category string) ([]core.Preference, error) {
	return many(ctx, s.db, apply.Preferences, `FROM preferences t WHERE user_id = $1 AND ($2 = '' OR category = $2)
		ORDER BY category, name LIMIT 20000`, [16]byte(user), category)
}

// Preference gives one setting.
func (s *Store) Preference(ctx context.Context, user core.UserID, category, name string) (core.Preference, bool, error) {
	return get(ctx, s.db, apply.Preferences, apply.PreferenceKey{User: user, Category: category, Name: name})
}
