package pg

import "github.com/nearside/nearside/core"

// Sessions is the table of signed-in clients.
var Sessions = table(Table[core.SessionID, core.Session]{
	name: "sessions", keys: 1, part: 120,
	key:  func(s *core.Session) core.SessionID { return s.ID },
	with: func(id core.SessionID) core.Session { return core.Session{ID: id} },
	cols: []column[core.Session]{
		col("id", uuids[core.SessionID](), func(s *core.Session) *core.SessionID { return &s.ID }),
		col("user_id", uuids[core.UserID](), func(s *core.Session) *core.UserID { return &s.UserID }),
		col("create_at", bigints[int64](), func(s *core.Session) *int64 { return &s.CreateAt }),
		col("expires_at", bigints[int64](), func(s *core.Session) *int64 { return &s.ExpiresAt }),
		col("last_activity_at", bigints[int64](), func(s *core.Session) *int64 { return &s.LastActivityAt }),
		col("token", hashes(), func(s *core.Session) *core.TokenHash { return &s.Token }),
		col("device_id", texts(), func(s *core.Session) *string { return &s.DeviceID }),
		col("roles", texts(), func(s *core.Session) *string { return &s.Roles }),
		col("props", stringMaps(), func(s *core.Session) *map[string]string { return &s.Props }),
	},
})
