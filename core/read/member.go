package read

import (
	"context"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/pg"
)

// Memberships is everything a user belongs to, as of one position.
type Memberships struct {
	At       core.Position
	Teams    []core.TeamMember
	Channels []core.ChannelMember // only the fields that permissions depend on: no counters, no settings
}

// Memberships gives what a user belongs to.
func (s *Store) Memberships(ctx context.Context, user core.UserID) (Memberships, error) {
	var out Memberships
	err := s.db.ReadTx(ctx, func(ctx context.Context, tx pg.Tx) (err error) {
		if out.At, err = position(ctx, tx); err != nil {
			return err
		}
		if out.Teams, err = teamMembersOf(ctx, tx, user); err != nil {
			return err
		}
		out.Channels, err = pg.Query(ctx, tx, `SELECT channel_id, team_id, scheme_admin, explicit FROM channel_members t
			WHERE user_id = $1`+inTeam+` LIMIT 100000`, func(r pg.Row) (core.ChannelMember, error) {
			m := core.ChannelMember{UserID: user}
			err := r.Scan((*[16]byte)(&m.ChannelID), (*[16]byte)(&m.TeamID), &m.SchemeAdmin, &m.Explicit)
			return m, err
		}, [16]byte(user))
		return err
	})
	return out, wrap("read memberships", err)
}
