package pg_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/apply"
	"github.com/nearside/nearside/core/apply/applytest"
	"github.com/nearside/nearside/core/command"
	"github.com/nearside/nearside/core/pg"
	"github.com/nearside/nearside/core/pg/pgtest"
	"github.com/nearside/nearside/core/replica"
)

const (
	benchBatch   = 100
	benchMessage = "a message of about forty characters, no more"
)

// BenchmarkApply applies batches of 100 posts by ten users in ten channels, and compares that with one
// connection that only inserts, pipelined: once only the rows of posts, once all rows that applying
// writes. All use a server with its default settings.
func BenchmarkApply(b *testing.B) {
	cfg := pgtest.Server(b, pg.ServerConfig{}).Config()
	db := pgtest.Connect(b, cfg)
	if err := pg.Migrate(b.Context(), db, pg.Schema); err != nil {
		b.Fatal(err)
	}
	r, err := replica.New(replica.Config{DB: db, Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	if err := r.Open(b.Context()); err != nil {
		b.Fatal(err)
	}
	l := &benchLog{at: time.UnixMilli(1_800_000_000_000), model: *applytest.NewStore()}
	if _, err := r.Apply(b.Context(), l.people()); err != nil {
		b.Fatal(err)
	}
	if _, err := db.Exec(b.Context(), "CREATE TABLE bare (LIKE posts INCLUDING ALL)"); err != nil {
		b.Fatal(err)
	}
	like := core.Post{UserID: l.users[0], Message: benchMessage}
	if _, err := db.Exec(b.Context(), "CREATE TABLE bare_entries (LIKE entries INCLUDING ALL)"); err != nil {
		b.Fatal(err)
	}
	var applying, bare, all time.Duration // measured in turns, so that a noisy machine affects all of them
	for b.Loop() {
		batch := l.posts(benchBatch)
		start := time.Now()
		got, err := r.Apply(b.Context(), batch)
		applying += time.Since(start)
		if err != nil {
			b.Fatal(err)
		}
		if err := command.DecodeOutcome(got[0].Outcome, nil); err != nil {
			b.Fatal(err)
		}
		start = time.Now()
		if err := bareBatch(b.Context(), db, l, like, nil); err != nil {
			b.Fatal(err)
		}
		bare += time.Since(start)
		start = time.Now()
		if err := bareBatch(b.Context(), db, l, like, got[0].Outcome); err != nil {
			b.Fatal(err)
		}
		all += time.Since(start)
	}
	rows := float64(b.N * benchBatch)
	b.ReportMetric(rows/applying.Seconds(), "entries/s")
	b.ReportMetric(rows/bare.Seconds(), "bare-rows/s")
	b.ReportMetric(bare.Seconds()/applying.Seconds(), "ratio-posts")
	b.ReportMetric(all.Seconds()/applying.Seconds(), "ratio-all-rows")
	b.ReportMetric(0, "ns/op")
	n, _, err := pg.QueryOne(b.Context(), db, `SELECT count(*) FROM posts`, pg.Scalar[int64])
	if err != nil || n == 0 {
		b.Fatal(n, err)
	}
	for _, t := range []string{"posts", "entries"} {
		size, _, err := pg.QueryOne(b.Context(), db, `SELECT pg_total_relation_size($1::regclass)`, pg.Scalar[int64], t)
		if err != nil {
			b.Fatal(err)
		}
		b.Logf("%s: %d bytes for each of %d posts", t, size/n, n)
	}
}

// bareBatch inserts posts, and with an outcome also the rows of entries.
func bareBatch(ctx context.Context, db *pg.DB, l *benchLog, p core.Post, outcome []byte) error {
	return db.WriteTx(ctx, func(ctx context.Context, tx pg.Tx) error {
		var batch pgx.Batch
		for range benchBatch {
			l.tick()
			p.ID = core.NewID[core.Post](l.at)
			p.CreateAt, p.UpdateAt = l.at.UnixMilli(), l.at.UnixMilli()
			p.ChannelID = l.channels[l.n%len(l.channels)]
			batch.Queue(`INSERT INTO bare (id, user_id, channel_id, root_id, original_id, create_at, update_at, edit_at, delete_at,
				last_reply_at, reply_count, is_pinned, has_reactions, type, message, hashtags, props, participants)
				VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, NULL, NULL)`,
				p.ID, p.UserID, p.ChannelID, p.RootID, p.OriginalID, p.CreateAt, p.UpdateAt, p.EditAt, p.DeleteAt,
				p.LastReplyAt, p.ReplyCount, p.IsPinned, p.HasReactions, p.Type, p.Message, p.Hashtags)
			if outcome == nil {
				continue
			}
			batch.Queue(`INSERT INTO bare_entries (index, at, proposal, digest, accepted, outcome) VALUES ($1, $2, $3, $4, true, $5)`, l.n, p.CreateAt, p.ID, p.ID, outcome)
		}
		return tx.SendBatch(ctx, &batch).Close()
	})
}

// benchLog makes the entries of many posts.
type benchLog struct {
	at       time.Time
	n        int
	sessions []core.SessionID
	users    []core.UserID
	channels []core.ChannelID
	team     core.TeamID
	model    applytest.Store // of the people
}

func (l *benchLog) tick() { l.n++; l.at = l.at.Add(time.Millisecond) }

func (l *benchLog) entry(by core.SessionID, c command.Command) core.Entry {
	data, err := command.Encode(command.Caller{Session: by}, c)
	if err != nil {
		panic(err)
	}
	l.tick()
	e := core.Entry{Index: core.Index(l.n), At: l.at, ID: core.NewID[core.Proposal](l.at), Scope: core.Scope{Team: l.team}, Data: data}
	if l.team.IsZero() || len(l.channels) < 10 {
		e.Scope = apply.ScopeOf(&l.model, c)
		if _, err := l.model.Apply(e); err != nil {
			panic(err)
		}
	}
	return e
}

func (l *benchLog) people() (out []core.Entry) {
	team := core.NewID[core.Team](l.at)
	l.team = team
	for i := range 10 {
		u, s, ch := core.NewID[core.User](l.at), core.NewID[core.Session](l.at), core.NewID[core.Channel](l.at)
		name := fmt.Sprint("user", i)
		out = append(out,
			l.entry(core.SessionID{}, &command.CreateUser{OpenServer: true, User: core.User{ID: u, Username: name, Email: name + "@x.org", PasswordSeal: core.Seal{1}}}),
			l.entry(core.SessionID{}, &command.CreateSession{PasswordSeal: core.Seal{1}, Session: core.Session{ID: s, UserID: u}}))
		if i == 0 {
			out = append(out, l.entry(s, &command.CreateTeam{Team: core.Team{ID: team, Name: "crew", DisplayName: "Crew", Type: core.TeamOpen, AllowOpenInvite: true}}))
		} else {
			out = append(out, l.entry(l.sessions[0], &command.AddTeamMember{TeamID: team, UserID: u}))
		}
		out = append(out, l.entry(s, &command.CreateChannel{Channel: core.Channel{ID: ch, TeamID: team, Name: name, DisplayName: "R", Type: core.ChannelOpen}}))
		l.sessions, l.users, l.channels = append(l.sessions, s), append(l.users, u), append(l.channels, ch)
	}
	return out
}

func (l *benchLog) post() core.Entry {
	i := l.n % len(l.users)
	return l.entry(l.sessions[i], &command.CreatePost{Post: core.Post{ChannelID: l.channels[i], Message: benchMessage}})
}

func (l *benchLog) posts(n int) (out []core.Entry) {
	for range n {
		out = append(out, l.post())
	}
	return out
}
