package read

import (
	"context"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/pg"
)

// Places says in which team or channel objects are, for the scope of a command. It implements
// command.Places.
type Places struct {
	ctx context.Context
	s   *Store
	Err error // of the first query that failed
}

// Places gives the answers of one request.
func (s *Store) Places(ctx context.Context) *Places { return &Places{ctx: ctx, s: s} }

// TeamOfChannel gives the team that a channel is in.
func (p *Places) TeamOfChannel(id core.ChannelID) core.TeamID {
	return owner[core.Team](p, `SELECT team_id FROM channels WHERE id = $1`, id)
}

// ChannelOfPost gives the channel that a post is in, deleted or not.
func (p *Places) ChannelOfPost(id core.PostID) core.ChannelID {
	return owner[core.Channel](p, `SELECT channel_id FROM posts WHERE id = $1`, id)
}

// ChannelOfFile gives the channel that a file was uploaded to.
func (p *Places) ChannelOfFile(id core.FileID) core.ChannelID {
	return owner[core.Channel](p, `SELECT channel_id FROM files WHERE id = $1`, id)
}

// ChannelOfUpload gives the channel that an upload is for.
func (p *Places) ChannelOfUpload(id core.UploadID) core.ChannelID {
	return owner[core.Channel](p, `SELECT channel_id FROM uploads WHERE id = $1`, id)
}

// owner reads one id; the zero id if there is no such object.
func owner[O, T any](p *Places, sql string, id core.ID[T]) (out core.ID[O]) {
	if id.IsZero() {
		return out
	}
	out, _, err := pg.QueryOne(p.ctx, p.s.db, sql, func(r pg.Row) (o core.ID[O], err error) { return o, r.Scan((*[16]byte)(&o)) }, [16]byte(id))
	if err != nil && p.Err == nil {
		p.Err = wrap("read place", err)
	}
	return out
}
