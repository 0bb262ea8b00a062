package pg

import (
	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/apply"
)

// Preferences is the table of users' settings.
var Preferences = table(Table[apply.PreferenceKey, core.Preference]{
	name: "preferences", keys: 3, part: 30,
	key: func(p *core.Preference) apply.PreferenceKey {
		return apply.PreferenceKey{User: p.UserID, Category: p.Category, Name: p.Name}
	},
	with: func(k apply.PreferenceKey) core.Preference {
		return core.Preference{UserID: k.User, Category: k.Category, Name: k.Name}
	},
	cols: []column[core.Preference]{
		col("user_id", uuids[core.UserID](), func(p *core.Preference) *core.UserID { return &p.UserID }),
		col("category", texts(), func(p *core.Preference) *string { return &p.Category }),
		col("name", texts(), func(p *core.Preference) *string { return &p.Name }),
		col("value", texts(), func(p *core.Preference) *string { return &p.Value }),
	},
})
