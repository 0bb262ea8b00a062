package read

import (
	"context"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/apply"
	"github.com/nearside/nearside/core/pg"
	"github.com/nearside/nearside/core/schema"
)

// Channel gives a channel by id, archived or not.
func (s *Store) Channel(ctx context.Context, id core.ChannelID) (core.Channel, bool, error) {
	return get(ctx, s.db, apply.Channels, id)
}

// ChannelByName gives a channel of a team by name.
func (s *Store) ChannelByName(ctx context.Context, team core.TeamID, name string) (core.Channel, bool, error) {
	return find(ctx, s.db, apply.ChannelByName, apply.TeamName{Team: team, Name: name})
}

// ChannelFilter says which of a user's channels are wanted.
type ChannelFilter struct {
	User         core.UserID
	Team         core.TeamID // zero: of all teams
	Deleted      bool        // archived ones too, those that were archived after DeletedSince
	DeletedSince int64
	Locale       string // in whose order of names
}

// maxChannels bounds the channels of a user that are listed.
const maxChannels = 100_000

// ofUser selects channels t: those of archived teams are always left out.
const ofUser = `FROM channels t JOIN channel_members m ON m.channel_id = t.id
	WHERE m.user_id = $1 AND (m.team_id, m.user_id) NOT IN (SELECT team_id, user_id FROM tasks WHERE kind = 1) AND ($2 = ` + none + `::uuid OR t.team_id = $2 OR t.team_id = ` + none + `)
	AND (t.delete_at = 0 OR $3 AND t.delete_at >= $4) AND NOT EXISTS (SELECT FROM teams w WHERE w.id = t.team_id AND w.delete_at <> 0)`

// ChannelsOf gives the channels that a user belongs to, in the order of their names.
func (s *Store) ChannelsOf(ctx context.Context, f ChannelFilter) (all []core.Channel, err error) {
	all = []core.Channel{}
	return all, s.EachChannelOf(ctx, f, func(piece []core.Channel) error {
		all = append(all, piece...)
		return nil
	})
}

// EachChannelOf gives what ChannelsOf gives in pieces, until each fails.
func (s *Store) EachChannelOf(ctx context.Context, f ChannelFilter, each func([]core.Channel) error) error {
	order, err := s.inOrder(ctx, "t.display_name", f.Locale)
	if err != nil {
		return err
	}
	ids, err := pg.Query(ctx, s.db, `SELECT t.id `+ofUser+` ORDER BY `+order+`, t.id LIMIT $5`, scanID[core.Channel],
		[16]byte(f.User), [16]byte(f.Team), f.Deleted, f.DeletedSince, maxChannels)
	if err != nil {
		return wrap("read channels", err)
	}
	return inPieces(ids, func(c *core.Channel) core.ChannelID { return c.ID }, func(part []core.ChannelID) ([]core.Channel, error) {
		return many(ctx, s.db, apply.Channels, `FROM channels t WHERE id = ANY($1)`, raw(part))
	}, each)
}

// PublicChannels gives a page of a team's open channels, in the order of names in a locale.
func (s *Store) PublicChannels(ctx context.Context, team core.TeamID, p Page, locale string) ([]core.Channel, error) {
	order, err := s.inOrder(ctx, "display_name", locale)
	if err != nil {
		return nil, err
	}
	return many(ctx, s.db, apply.Channels, `FROM channels t WHERE team_id = $1 AND type = 'O' AND delete_at = 0
		ORDER BY `+order+`, id LIMIT $2 OFFSET $3`, [16]byte(team), p.Size, p.offset())
}

// deaf says that a user u does not listen to mentions of everybody: the setting "channel" is "false" in the CBOR of the
// account's settings.
const deaf = `position('\x676368616e6e656c6566616c7365'::bytea IN coalesce(u.notify_props, '')) > 0`

// calls are the mentions of everybody that a member t of the channel c has not seen.
const calls = `CASE WHEN ` + deaf + ` THEN 0 ELSE greatest(c.total_calls - t.call_count, 0) END,
	CASE WHEN ` + deaf + ` THEN 0 ELSE greatest(c.total_calls_root - t.call_count_root, 0) END`

// Listeners gives the members of a channel who listen to mentions of everybody; none if the channel has more than
// core.MaxHere members.
func (s *Store) Listeners(ctx context.Context, ch core.ChannelID) ([]core.UserID, error) {
	type listener struct {
		id   core.UserID
		deaf bool
	}
	list, err := pg.Query(ctx, s.db, `SELECT t.user_id, `+deaf+` FROM channel_members t JOIN users u ON u.id = t.user_id WHERE t.channel_id = $1`+inTeam+` LIMIT $2`,
		func(r pg.Row) (l listener, err error) { return l, r.Scan((*[16]byte)(&l.id), &l.deaf) }, [16]byte(ch), core.MaxHere+1)
	if err != nil || len(list) > core.MaxHere {
		return nil, wrap("read listeners", err)
	}
	var out []core.UserID
	for _, l := range list {
		if !l.deaf {
			out = append(out, l.id)
		}
	}
	return out, nil
}

// channelMembers gives memberships; their mentions include those of everybody in the channel.
func (s *Store) channelMembers(ctx context.Context, rest string, args ...any) ([]core.ChannelMember, error) {
	out, err := pg.Query(ctx, s.db, `SELECT `+pg.Columns(apply.ChannelMembers.Shape, "t")+`, `+calls+`
		FROM channel_members t JOIN channels c ON c.id = t.channel_id JOIN users u ON u.id = t.user_id `+rest, func(r pg.Row) (core.ChannelMember, error) {
		var n, root int64
		m, err := pg.ScanWith[core.ChannelMember](apply.ChannelMembers.Shape, r, &n, &root)
		m.MentionCount, m.MentionCountRoot = m.MentionCount+n, m.MentionCountRoot+root
		return m, err
	}, args...)
	if out == nil {
		out = []core.ChannelMember{}
	}
	return out, wrap("read channel members", err)
}

// ChannelMember gives a membership.
func (s *Store) ChannelMember(ctx context.Context, ch core.ChannelID, user core.UserID) (core.ChannelMember, bool, error) {
	return first(s.channelMembers(ctx, `WHERE t.channel_id = $1 AND t.user_id = $2`+inTeam, [16]byte(ch), [16]byte(user)))
}

// ChannelMembers gives a page of a channel's members.
func (s *Store) ChannelMembers(ctx context.Context, ch core.ChannelID, p Page) ([]core.ChannelMember, error) {
	return s.channelMembers(ctx, `WHERE t.channel_id = $1`+inTeam+` ORDER BY t.user_id LIMIT $2 OFFSET $3`,
		[16]byte(ch), p.Size, p.offset())
}

// ChannelMembersByIDs gives the memberships of the given users.
func (s *Store) ChannelMembersByIDs(ctx context.Context, ch core.ChannelID, users []core.UserID) ([]core.ChannelMember, error) {
	return s.channelMembers(ctx, `WHERE t.channel_id = $1 AND t.user_id = ANY($2)`+inTeam+`
		ORDER BY t.user_id LIMIT 1000`, [16]byte(ch), raw(users))
}

// Membership is a channel membership with the totals of its channel and the team's names.
type Membership struct {
	core.ChannelMember
	Total, TotalRoot int64
	DeleteAt         int64 // of the channel, or of its team
	TeamName         string
	TeamDisplayName  string
	TeamUpdateAt     int64
}

// MembershipsIn gives a user's channel memberships in a team (zero team: in all teams), with what is
// needed to count unread messages, in the order of channel ids: a page, or all if its size is 0.
func (s *Store) MembershipsIn(ctx context.Context, user core.UserID, team core.TeamID, p Page) (all []Membership, err error) {
	return all, s.EachMembershipIn(ctx, user, team, p, func(piece []Membership) error {
		all = append(all, piece...)
		return nil
	})
}

// EachMembershipIn gives what MembershipsIn gives in pieces, until each fails.
func (s *Store) EachMembershipIn(ctx context.Context, user core.UserID, team core.TeamID, p Page, each func([]Membership) error) error {
	if p.Size == 0 {
		p = everything
	}
	ids, err := pg.Query(ctx, s.db, `SELECT t.channel_id FROM channel_members t WHERE t.user_id = $1
		AND ($2 = `+none+`::uuid OR t.team_id = $2 OR t.team_id = `+none+`)`+inTeam+` ORDER BY t.channel_id LIMIT $3 OFFSET $4`, scanID[core.Channel],
		[16]byte(user), [16]byte(team), p.Size, p.offset())
	if err != nil {
		return wrap("read memberships", err)
	}
	return inPieces(ids, func(m *Membership) core.ChannelID { return m.ChannelID }, func(part []core.ChannelID) ([]Membership, error) {
		return s.memberships(ctx, user, part)
	}, each)
}

// memberships gives a user's memberships in channels. Their bytes are taken from the request's budget while they are
// read.
func (s *Store) memberships(ctx context.Context, user core.UserID, channels []core.ChannelID) ([]Membership, error) {
	spent := meterOf(ctx)
	out, err := pg.Query(ctx, s.db, `SELECT `+pg.Columns(apply.ChannelMembers.Shape, "t")+`, c.total_msg_count, c.total_msg_count_root, greatest(c.delete_at, w.delete_at),
			coalesce(w.name, ''), coalesce(w.display_name, ''), coalesce(w.update_at, 0), `+calls+`
		FROM channel_members t JOIN channels c ON c.id = t.channel_id JOIN users u ON u.id = t.user_id LEFT JOIN teams w ON w.id = t.team_id
		WHERE t.user_id = $1 AND t.channel_id = ANY($2)`, func(r pg.Row) (m Membership, err error) {
		var n, root int64
		m.ChannelMember, err = pg.ScanWith[core.ChannelMember](apply.ChannelMembers.Shape, r, &m.Total, &m.TotalRoot, &m.DeleteAt, &m.TeamName, &m.TeamDisplayName, &m.TeamUpdateAt, &n, &root)
		if err != nil {
			return m, err
		}
		m.MentionCount, m.MentionCountRoot = m.MentionCount+n, m.MentionCountRoot+root
		return m, spent.add(apply.ChannelMembers.Size(schema.Row(&m.ChannelMember)) + len(m.TeamName) + len(m.TeamDisplayName))
	}, [16]byte(user), raw(channels))
	return out, wrap("read memberships", err)
}

// ChannelStats counts a channel's members and its pinned posts.
func (s *Store) ChannelStats(ctx context.Context, ch core.ChannelID) (members, pinned int64, err error) {
	type pair struct{ members, pinned int64 }
	n, _, err := pg.QueryOne(ctx, s.db, `SELECT
		(SELECT count(*) FROM channel_members m JOIN users u ON u.id = m.user_id WHERE m.channel_id = $1 AND u.delete_at = 0),
		(SELECT count(*) FROM posts WHERE channel_id = $1 AND is_pinned AND delete_at = 0)`,
		func(r pg.Row) (p pair, err error) { return p, r.Scan(&p.members, &p.pinned) }, [16]byte(ch))
	return n.members, n.pinned, wrap("count channel", err)
}
