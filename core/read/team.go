package read

import (
	"context"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/apply"
	"github.com/nearside/nearside/core/pg"
)

// Team gives a team by id, archived or not.
func (s *Store) Team(ctx context.Context, id core.TeamID) (core.Team, bool, error) {
	return get(ctx, s.db, apply.Teams, id)
}

// TeamByName gives a team by the name in its URL.
func (s *Store) TeamByName(ctx context.Context, name string) (core.Team, bool, error) {
	return find(ctx, s.db, apply.TeamByName, name)
}

// TeamByInvite gives the team that has an invite id.
func (s *Store) TeamByInvite(ctx context.Context, invite string) (core.Team, bool, error) {
	if invite == "" {
		return core.Team{}, false, nil
	}
	return pg.QueryOne(ctx, s.db, "SELECT "+pg.Columns(apply.Teams.Shape, "t")+" FROM teams t WHERE invite_id = $1 AND delete_at = 0 ORDER BY id LIMIT 1", pg.Scan[core.Team](apply.Teams.Shape), invite)
}

// TeamsOf gives the teams that a user belongs to, in the order of names in a locale.
func (s *Store) TeamsOf(ctx context.Context, user core.UserID, locale string) ([]core.Team, error) {
	order, err := s.inOrder(ctx, "t.display_name", locale)
	if err != nil {
		return nil, err
	}
	return many(ctx, s.db, apply.Teams, `FROM teams t JOIN team_members m ON m.team_id = t.id
		WHERE m.user_id = $1 AND m.delete_at = 0 AND t.delete_at = 0 ORDER BY `+order+`, t.id LIMIT 1000`, [16]byte(user))
}

const listedTeams = `FROM teams t WHERE delete_at = 0 AND (allow_open_invite OR $1)`

// Teams gives a page of the teams that anybody may join, or of all of them, in the order of names in a locale.
func (s *Store) Teams(ctx context.Context, all bool, p Page, locale string) ([]core.Team, error) {
	order, err := s.inOrder(ctx, "display_name", locale)
	if err != nil {
		return nil, err
	}
	return many(ctx, s.db, apply.Teams, listedTeams+` ORDER BY `+order+`, id LIMIT $2 OFFSET $3`, all, p.Size, p.offset())
}

// CountTeams counts the teams that Teams lists.
func (s *Store) CountTeams(ctx context.Context, all bool) (int64, error) {
	return count(ctx, s.db, `SELECT count(*) `+listedTeams, all)
}

// TeamMember gives a membership that has not ended.
func (s *Store) TeamMember(ctx context.Context, team core.TeamID, user core.UserID) (core.TeamMember, bool, error) {
	return get(ctx, s.db, apply.TeamMembers, apply.TeamUser{Team: team, User: user}, notDeleted)
}

// TeamMembers gives a page of a team's members.
func (s *Store) TeamMembers(ctx context.Context, team core.TeamID, p Page) ([]core.TeamMember, error) {
	return many(ctx, s.db, apply.TeamMembers, `FROM team_members t WHERE team_id = $1 AND delete_at = 0
		ORDER BY user_id LIMIT $2 OFFSET $3`, [16]byte(team), p.Size, p.offset())
}

// TeamMembersByIDs gives the memberships of the given users.
func (s *Store) TeamMembersByIDs(ctx context.Context, team core.TeamID, users []core.UserID) ([]core.TeamMember, error) {
	return many(ctx, s.db, apply.TeamMembers, `FROM team_members t WHERE team_id = $1 AND user_id = ANY($2) AND delete_at = 0
		ORDER BY user_id LIMIT 1000`, [16]byte(team), raw(users))
}

// TeamMembersOf gives a user's memberships.
func (s *Store) TeamMembersOf(ctx context.Context, user core.UserID) ([]core.TeamMember, error) {
	return teamMembersOf(ctx, s.db, user)
}

func teamMembersOf(ctx context.Context, q pg.Queryer, user core.UserID) ([]core.TeamMember, error) {
	return many(ctx, q, apply.TeamMembers, `FROM team_members t WHERE user_id = $1 AND delete_at = 0 ORDER BY team_id LIMIT 1000`, [16]byte(user))
}

// TeamStats counts a team's members, and those of them with an active account.
func (s *Store) TeamStats(ctx context.Context, team core.TeamID) (total, active int64, err error) {
	type pair struct{ total, active int64 }
	n, _, err := pg.QueryOne(ctx, s.db, `SELECT count(*), count(*) FILTER (WHERE u.delete_at = 0)
		FROM team_members m JOIN users u ON u.id = m.user_id WHERE m.team_id = $1 AND m.delete_at = 0`,
		func(r pg.Row) (p pair, err error) { return p, r.Scan(&p.total, &p.active) }, [16]byte(team))
	return n.total, n.active, wrap("count members", err)
}
