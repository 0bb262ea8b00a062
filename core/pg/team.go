package pg

import (
	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/apply"
)

// Teams is the table of teams.
var Teams = table(Table[core.TeamID, core.Team]{
	name: "teams", keys: 1, part: 30,
	key:  func(t *core.Team) core.TeamID { return t.ID },
	with: func(id core.TeamID) core.Team { return core.Team{ID: id} },
	cols: []column[core.Team]{
		col("id", uuids[core.TeamID](), func(t *core.Team) *core.TeamID { return &t.ID }),
		col("create_at", bigints[int64](), func(t *core.Team) *int64 { return &t.CreateAt }),
		col("update_at", bigints[int64](), func(t *core.Team) *int64 { return &t.UpdateAt }),
		col("delete_at", bigints[int64](), func(t *core.Team) *int64 { return &t.DeleteAt }),
		col("last_team_icon_update", bigints[int64](), func(t *core.Team) *int64 { return &t.LastTeamIconUpdate }),
		col("allow_open_invite", booleans(), func(t *core.Team) *bool { return &t.AllowOpenInvite }),
		col("type", texts(), func(t *core.Team) *string { return &t.Type }),
		col("name", texts(), func(t *core.Team) *string { return &t.Name }),
		col("display_name", texts(), func(t *core.Team) *string { return &t.DisplayName }),
		col("description", texts(), func(t *core.Team) *string { return &t.Description }),
		col("email", texts(), func(t *core.Team) *string { return &t.Email }),
		col("company_name", texts(), func(t *core.Team) *string { return &t.CompanyName }),
		col("allowed_domains", texts(), func(t *core.Team) *string { return &t.AllowedDomains }),
		col("invite_id", texts(), func(t *core.Team) *string { return &t.InviteID }),
	},
})

// TeamMembers is the table of who belongs to which team.
var TeamMembers = table(Table[apply.TeamUser, core.TeamMember]{
	name: "team_members", keys: 2, part: 100,
	key:  func(m *core.TeamMember) apply.TeamUser { return apply.TeamUser{Team: m.TeamID, User: m.UserID} },
	with: func(k apply.TeamUser) core.TeamMember { return core.TeamMember{TeamID: k.Team, UserID: k.User} },
	cols: []column[core.TeamMember]{
		col("team_id", uuids[core.TeamID](), func(m *core.TeamMember) *core.TeamID { return &m.TeamID }),
		col("user_id", uuids[core.UserID](), func(m *core.TeamMember) *core.UserID { return &m.UserID }),
		col("create_at", bigints[int64](), func(m *core.TeamMember) *int64 { return &m.CreateAt }),
		col("delete_at", bigints[int64](), func(m *core.TeamMember) *int64 { return &m.DeleteAt }),
		col("scheme_admin", booleans(), func(m *core.TeamMember) *bool { return &m.SchemeAdmin }),
		col("explicit", texts(), func(m *core.TeamMember) *string { return &m.Explicit }),
	},
})
