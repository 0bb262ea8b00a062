package pg

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/apply"
	"github.com/nearside/nearside/core/command"
)

// DefaultCacheBytes is how much memory the rows cached for applying may take, about.
const DefaultCacheBytes = 64 << 20

// Store is the replicated tables as apply sees them. It collects the writes of a batch, shows
// them to the reads of the same batch, and writes them in one transaction with the position.
// Committed rows are cached; nobody else writes these tables, so a cached row stays true.
//
// A read that fails makes the rest of the batch worthless: Err says so, and the batch must be
// dropped. It belongs to one goroutine at a time.
type Store struct {
	w          writer
	cacheBytes int
	tables     []batchTable
	state      apply.State
	k          keyed

	ctx     context.Context // of the batch
	err     error           // the first failed read of the batch
	undo    []func()        // of the entry
	at      time.Time       // of the last committed entry
	horizon int64           // of the entry being applied
	firsts  map[core.ProposalID]Record
	records []*Record
}

var _ apply.Store = (*Store)(nil)

// batchTable is what a batch does to each table.
type batchTable interface {
	flush(p *pipe)
	committed()
	clear()
	cached() int
}

// keyed is what a batch's hints go to.
type keyed struct {
	users          *rows[core.UserID, core.User]
	usernames      *lookup[string, core.UserID, core.User]
	emails         *lookup[string, core.UserID, core.User]
	sessions       *rows[core.SessionID, core.Session]
	teams          *rows[core.TeamID, core.Team]
	teamNames      *lookup[string, core.TeamID, core.Team]
	teamMembers    *rows[apply.TeamUser, core.TeamMember]
	channels       *rows[core.ChannelID, core.Channel]
	channelNames   *lookup[apply.TeamName, core.ChannelID, core.Channel]
	channelMembers *rows[apply.ChannelUser, core.ChannelMember]
	posts          *rows[core.PostID, core.Post]
	pending        pendings
	counters       *rows[string, apply.Counter]
	files          *rows[core.FileID, core.File]
	uploads        *rows[core.UploadID, core.Upload]
	blobs          *rows[core.BlobID, core.Blob]
	fileLinks      *rows[core.BlobID, apply.FileLink]
}

// NewStore gives a store over a pool, from which it takes one connection for itself when the
// first batch begins. cacheBytes bounds the cache; zero means DefaultCacheBytes.
func NewStore(db *DB, cacheBytes int) *Store {
	if cacheBytes <= 0 {
		cacheBytes = DefaultCacheBytes
	}
	s := &Store{w: writer{db: db}, cacheBytes: cacheBytes}
	k := &s.k
	k.users = newRows(s, Users)
	k.usernames = newLookup(k.users, func(u *core.User) string { return u.Username },
		func(v string) core.User { return core.User{Username: v} }, "username")
	k.emails = newLookup(k.users, func(u *core.User) string { return u.Email },
		func(v string) core.User { return core.User{Email: v} }, "email")
	k.sessions = newRows(s, Sessions)
	k.teams = newRows(s, Teams)
	k.teamNames = newLookup(k.teams, func(t *core.Team) string { return t.Name },
		func(v string) core.Team { return core.Team{Name: v} }, "name")
	k.teamMembers = newRows(s, TeamMembers)
	k.channels = newRows(s, Channels)
	k.channelNames = newLookup(k.channels, func(c *core.Channel) apply.TeamName { return apply.TeamName{Team: c.TeamID, Name: c.Name} },
		func(v apply.TeamName) core.Channel { return core.Channel{TeamID: v.Team, Name: v.Name} }, "team_id", "name")
	k.channelMembers = newRows(s, ChannelMembers)
	k.posts = newRows(s, Posts)
	k.pending = pendings{newRows(s, PendingPosts)}
	k.counters = newRows(s, Counters)
	k.files = newRows(s, Files)
	k.uploads = newRows(s, Uploads)
	k.blobs = newRows(s, Blobs)
	k.fileLinks = newRows(s, FileLinks)
	s.state = apply.State{
		Users: k.users, UserByName: k.usernames, UserByEmail: k.emails, Sessions: k.sessions,
		Teams: k.teams, TeamByName: k.teamNames, TeamMembers: k.teamMembers,
		Channels: k.channels, ChannelByName: k.channelNames, ChannelMembers: k.channelMembers,
		Posts: k.posts, Pending: k.pending, Preferences: newRows(s, Preferences), Counters: k.counters,
		Reactions: newRows(s, Reactions),
		Files:     k.files, FileTexts: newRows(s, FileTexts), FileLinks: k.fileLinks, Uploads: k.uploads, Blobs: k.blobs,
		Scans: scans{s},
	}
	return s
}

// State implements apply.Store.
func (s *Store) State() *apply.State { return &s.state }

// Mark implements apply.Store.
func (s *Store) Mark() { s.undo = s.undo[:0] }

// Revert implements apply.Store.
func (s *Store) Revert() {
	for i := len(s.undo) - 1; i >= 0; i-- {
		s.undo[i]()
	}
	s.undo = s.undo[:0]
}

// Err is the first failed read of the batch.
func (s *Store) Err() error { return s.err }

// CachedBytes is about how much memory the cached rows take.
func (s *Store) CachedBytes() int {
	n := 0
	for _, t := range s.tables {
		n += t.cached()
	}
	return n
}

// read runs queries in the batch's transaction.
func (s *Store) read(p *pipe) {
	if s.err == nil {
		s.err = s.w.run(s.ctx, p)
	}
}

// scans implements apply.Scans.
type scans struct{ s *Store }

// rowsOf gives the rows behind a table of the state, for scans of it.
func rowsOf[K comparable, T any](t apply.Table[K, T]) *rows[K, T] { return t.(*rows[K, T]) }

// Load implements apply.Scans.
func (q scans) Load(k *apply.Keys) {
	var p pipe
	if q.s.want(&p, k); len(p.steps) > 0 {
		q.s.read(&p)
	}
}

// Replies implements apply.Scans.
func (q scans) Replies(root core.PostID) []core.Post {
	return rowsOf(q.s.state.Posts).scan("SELECT "+Posts.Columns("")+" FROM posts WHERE root_id = $1 AND delete_at = 0", [][]byte{root[:]},
		func(p *core.Post) bool { return p.RootID == root && p.DeleteAt == 0 },
		func(a, b core.Post) int {
			return cmp.Or(cmp.Compare(a.CreateAt, b.CreateAt), cmp.Compare(string(a.ID[:]), string(b.ID[:])))
		})
}

// ChannelsOf implements apply.Scans.
func (q scans) ChannelsOf(user core.UserID, team core.TeamID) []core.ChannelMember {
	return rowsOf(q.s.state.ChannelMembers).scan("SELECT "+ChannelMembers.Columns("")+" FROM channel_members WHERE user_id = $1 AND team_id = $2",
		[][]byte{user[:], team[:]},
		func(m *core.ChannelMember) bool { return m.UserID == user && m.TeamID == team },
		func(a, b core.ChannelMember) int { return cmp.Compare(string(a.ChannelID[:]), string(b.ChannelID[:])) })
}

// errMoved: somebody else has written this database since the last batch.
var errMoved = errors.New("the applied position in the database is not where this replica left it")

// Position reads how far the database is, and the time of its last entry.
func (s *Store) Position(ctx context.Context) (pos core.Position, at time.Time, err error) {
	err = s.begin(ctx, &pos, &at, nil)
	if err == nil {
		err = s.rollback(ctx)
	}
	s.at = at
	return pos, at, err
}

// begin opens the transaction, reads the position and whatever else is asked.
func (s *Store) begin(ctx context.Context, pos *core.Position, at *time.Time, more func(p *pipe)) error {
	var p pipe
	p.add("BEGIN", nil, nil)
	p.add(positionSQL, nil, func(res *pgResult) (err error) {
		*pos, *at, err = readPosition(res)
		return err
	})
	if more != nil {
		more(&p)
	}
	return s.w.run(ctx, &p)
}

func (s *Store) rollback(ctx context.Context) error {
	var p pipe
	p.add("ROLLBACK", nil, nil)
	return s.w.run(ctx, &p)
}

// Begin opens the transaction of a batch, which must follow on position at, and reads what
// its entries will probably ask for. Every Begin is ended by Commit or Drop.
func (s *Store) Begin(ctx context.Context, at core.Position, batch []core.Entry) error {
	s.ctx, s.err = ctx, nil
	s.firsts, s.records = map[core.ProposalID]Record{}, nil
	hints := s.hintsOf(batch)
	var pos core.Position
	var last time.Time
	err := s.begin(ctx, &pos, &last, func(p *pipe) {
		s.wantFirsts(p, batch)
		s.k.sessions.want(p, hints.sessions())
		if hints.ready() {
			hints.want(p)
		}
	})
	if err == nil && pos != at {
		err = fmt.Errorf("begin batch at %v, database at %v: %w", at, pos, errMoved)
	}
	if err == nil && !hints.ready() {
		var p pipe
		if hints.want(&p); len(p.steps) > 0 {
			err = s.w.run(ctx, &p)
		}
	}
	if err != nil {
		s.Drop()
		return err
	}
	s.at = last
	return nil
}

func (s *Store) wantFirsts(p *pipe, batch []core.Entry) {
	rows := make([]*Record, len(batch))
	for i := range batch {
		rows[i] = &Record{Proposal: batch[i].ID}
	}
	p.add(firstsSQL, [][]byte{entries.cols[2].array(rows)}, func(res *pgResult) error {
		for _, raw := range res.Rows {
			r, err := entries.read(raw)
			if err != nil {
				return err
			}
			s.firsts[r.Proposal] = r
		}
		return nil
	})
}

// Enter begins an entry. When its proposal has been applied before, it gives that record and
// true: the entry must then change nothing.
func (s *Store) Enter(e core.Entry) (Record, bool) {
	s.horizon = horizon(e.At)
	first, ok := s.firsts[e.ID]
	return first, ok && first.At >= s.horizon
}

// Leave ends an entry with its digest and outcome; the outcome of a repeated proposal is nil.
func (s *Store) Leave(e core.Entry, digest core.Digest, outcome []byte) {
	r := &Record{Index: e.Index, At: e.At.UnixMilli(), Proposal: e.ID, Digest: digest, Outcome: outcome}
	s.records = append(s.records, r)
	if outcome != nil {
		s.firsts[e.ID] = *r
	}
}

// Commit writes the batch and the position it comes to. After an error nothing of the batch
// may be relied on, not even that it was not written: ask Position.
func (s *Store) Commit(ctx context.Context, pos core.Position, at time.Time) error {
	if s.err != nil {
		err := s.err
		s.Drop()
		return fmt.Errorf("read state: %w", err)
	}
	var p pipe
	for _, t := range s.tables {
		t.flush(&p)
	}
	forget := horizon(at)
	if forget > horizon(s.at) {
		for _, sql := range purgeSQL {
			p.add(sql, [][]byte{bigint(uint64(forget))}, nil)
		}
	}
	if keep := s.kept(forget); len(keep) > 0 {
		p.add(entries.insert, entries.arrays(keep, len(entries.cols)), nil)
	}
	p.add(advanceSQL, positionParams(pos, at), nil)
	p.add("COMMIT", nil, func(res *pgResult) error {
		if res.CommandTag.String() != "COMMIT" {
			return fmt.Errorf("commit: the server answered %s", res.CommandTag)
		}
		return nil
	})
	if err := s.w.run(ctx, &p); err != nil {
		s.Drop()
		return fmt.Errorf("write batch: %w", err)
	}
	for _, t := range s.tables {
		t.committed()
	}
	s.at, s.ctx = at, nil
	return nil
}

// kept is the batch's records but for those that are forgotten already, in a log that jumps.
func (s *Store) kept(forget int64) []*Record {
	var out []*Record
	for _, r := range s.records {
		if r.At >= forget {
			out = append(out, r)
		}
	}
	return out
}

// Drop ends a batch without a trace and forgets everything cached.
func (s *Store) Drop() {
	s.w.close()
	for _, t := range s.tables {
		t.clear()
	}
	s.undo, s.records, s.firsts, s.ctx = nil, nil, nil, nil
}

// Flush makes everything committed so far durable, and gives the position it has.
func (s *Store) Flush(ctx context.Context) (core.Position, error) {
	var pos core.Position
	var at time.Time
	err := s.begin(ctx, &pos, &at, func(p *pipe) { p.add("SET LOCAL synchronous_commit = on", nil, nil) })
	if err != nil {
		return pos, err
	}
	// A commit waits for the disk only if it wrote something.
	var p pipe
	p.add("UPDATE local.flushed SET epoch = $1, index = $2", positionParams(pos, at)[:2], nil)
	p.add("COMMIT", nil, nil)
	return pos, s.w.run(ctx, &p)
}

// hinted is a batch's commands with their callers.
type hinted struct {
	s        *Store
	callers  []core.SessionID
	commands []command.Command
	unknown  []core.SessionID // callers that are not cached
}

func (s *Store) hintsOf(batch []core.Entry) *hinted {
	h := &hinted{s: s}
	for i := range batch {
		by, c, err := command.Decode(batch[i].Data)
		if err != nil {
			break // apply will say it
		}
		h.callers = append(h.callers, by.Session)
		h.commands = append(h.commands, c)
		if !by.Session.IsZero() && !s.k.sessions.cache.has(by.Session) {
			h.unknown = append(h.unknown, by.Session)
		}
	}
	return h
}

func (h *hinted) sessions() []core.SessionID { return h.unknown }

// ready: every caller's user can be told.
func (h *hinted) ready() bool { return len(h.unknown) == 0 }

// want asks for the rows that the commands hint at.
func (h *hinted) want(p *pipe) {
	var keys apply.Keys
	for i, c := range h.commands {
		var user core.UserID
		if s, ok := h.s.k.sessions.cache.get(h.callers[i]); ok {
			user = s.UserID
		}
		keys.Hint(user, c)
	}
	h.s.want(p, &keys)
}

// want asks for rows by their keys.
func (s *Store) want(p *pipe, keys *apply.Keys) {
	k := &s.k
	k.users.want(p, keys.Users)
	k.usernames.want(p, keys.Usernames)
	k.emails.want(p, keys.Emails)
	k.sessions.want(p, keys.Sessions)
	k.teams.want(p, keys.Teams)
	k.teamNames.want(p, keys.TeamNames)
	k.teamMembers.want(p, keys.TeamMembers)
	k.channels.want(p, keys.Channels)
	k.channelNames.want(p, keys.ChannelNames)
	k.channelMembers.want(p, keys.ChannelMembers)
	k.posts.want(p, keys.Posts)
	k.pending.want(p, keys.Pending)
	k.counters.want(p, keys.Counters)
	k.files.want(p, keys.Files)
	k.uploads.want(p, keys.Uploads)
	k.blobs.want(p, keys.Blobs)
	k.fileLinks.want(p, keys.FileLinks)
}
