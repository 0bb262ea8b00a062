package read

import (
	"context"
	"strconv"
	"strings"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/apply"
)

// UserFilter says which users a list holds. Zero fields do not filter.
type UserFilter struct {
	InTeam, NotInTeam       core.TeamID
	InChannel, NotInChannel core.ChannelID
	Role                    string // one of the user's system roles
	Active, Inactive        bool
	WithoutTeam             bool
	Term                    string // beginning of a name, as people write it, or of the address
	Newest                  bool   // order by create_at, the latest first; else by username
}

// User gives a user by id.
func (s *Store) User(ctx context.Context, id core.UserID) (core.User, bool, error) {
	return get(ctx, s.db, apply.Users, id)
}

// UserByName gives a user by username.
func (s *Store) UserByName(ctx context.Context, name string) (core.User, bool, error) {
	return find(ctx, s.db, apply.UserByName, strings.ToLower(name))
}

// UserByEmail gives a user by address.
func (s *Store) UserByEmail(ctx context.Context, email string) (core.User, bool, error) {
	return find(ctx, s.db, apply.UserByEmail, strings.ToLower(email))
}

// UsersByIDs gives the users with the given ids who changed after a time in milliseconds.
func (s *Store) UsersByIDs(ctx context.Context, ids []core.UserID, since int64) ([]core.User, error) {
	return many(ctx, s.db, apply.Users, `FROM users t WHERE id = ANY($1) AND update_at > $2 ORDER BY username LIMIT 1000`, raw(ids), since)
}

// UsersByNames gives the users with the given usernames.
func (s *Store) UsersByNames(ctx context.Context, names []string) ([]core.User, error) {
	return many(ctx, s.db, apply.Users, `FROM users t WHERE username = ANY($1) ORDER BY username LIMIT 1000`, names)
}

// Users gives a page of the users that match a filter.
func (s *Store) Users(ctx context.Context, f UserFilter, p Page) ([]core.User, error) {
	where, args := f.where()
	order := "username"
	if f.Newest {
		order = "create_at DESC, id"
	}
	var sql = newArgs(args)
	return many(ctx, s.db, apply.Users, `FROM users t WHERE `+where+` ORDER BY `+order+
		` LIMIT `+sql.add(p.Size)+` OFFSET `+sql.add(p.offset()), sql.values...)
}

// CountUsers counts the users that match a filter.
func (s *Store) CountUsers(ctx context.Context, f UserFilter) (int64, error) {
	where, args := f.where()
	return count(ctx, s.db, `SELECT count(*) FROM users t WHERE `+where, args...)
}

// args collects the values of a statement while it is built.
type args struct{ values []any }

func newArgs(values []any) *args { return &args{values} }

// add gives the placeholder of a new value.
func (a *args) add(v any) string {
	a.values = append(a.values, v)
	return "$" + strconv.Itoa(len(a.values))
}

func (f UserFilter) where() (string, []any) {
	a := newArgs(nil)
	conds := []string{"true"}
	member := func(not, table, column string, id [16]byte, more string) {
		conds = append(conds, not+`EXISTS (SELECT FROM `+table+` m WHERE m.user_id = t.id AND m.`+column+` = `+a.add(id)+more+`)`)
	}
	if !f.InTeam.IsZero() {
		member("", "team_members", "team_id", f.InTeam, " AND m.delete_at = 0")
	}
	if !f.NotInTeam.IsZero() {
		member("NOT ", "team_members", "team_id", f.NotInTeam, " AND m.delete_at = 0")
	}
	if !f.InChannel.IsZero() {
		member("", "channel_members", "channel_id", f.InChannel, "")
	}
	if !f.NotInChannel.IsZero() {
		member("NOT ", "channel_members", "channel_id", f.NotInChannel, "")
	}
	if f.WithoutTeam {
		conds = append(conds, `NOT EXISTS (SELECT FROM team_members m WHERE m.user_id = t.id AND m.delete_at = 0)`)
	}
	if f.Role != "" {
		conds = append(conds, a.add(f.Role)+` = ANY(string_to_array(roles, ' '))`)
	}
	if f.Active {
		conds = append(conds, `delete_at = 0`)
	}
	if f.Inactive {
		conds = append(conds, `delete_at <> 0`)
	}
	if f.Term != "" {
		conds = append(conds, begins(a, f.Term, []string{"username", "email"}, []string{"nickname", "first_name", "last_name"}))
	}
	return strings.Join(conds, " AND "), a.values
}
