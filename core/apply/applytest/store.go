// Package applytest is the state machine's store in memory: the second implementation of
// apply.Store, for tests of rules that need no database and as the model that the database's
// is compared with.
package applytest

import (
	"cmp"
	"slices"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/apply"
)

// Store is apply.Store in maps. It is not safe for concurrent use.
type Store struct {
	state apply.State
	undo  []func()
}

// NewStore makes an empty store.
func NewStore() *Store {
	s := &Store{}
	users := newTable(s, func(u core.User) core.UserID { return u.ID })
	teams := newTable(s, func(t core.Team) core.TeamID { return t.ID })
	channels := newTable(s, func(c core.Channel) core.ChannelID { return c.ID })
	s.state = apply.State{
		Users:         users,
		UserByName:    by(users, func(u core.User) string { return u.Username }),
		UserByEmail:   by(users, func(u core.User) string { return u.Email }),
		Sessions:      newTable(s, func(v core.Session) core.SessionID { return v.ID }),
		Teams:         teams,
		TeamByName:    by(teams, func(t core.Team) string { return t.Name }),
		TeamMembers:   newTable(s, func(m core.TeamMember) apply.TeamUser { return apply.TeamUser{Team: m.TeamID, User: m.UserID} }),
		Channels:      channels,
		ChannelByName: by(channels, func(c core.Channel) apply.TeamName { return apply.TeamName{Team: c.TeamID, Name: c.Name} }),
		ChannelMembers: newTable(s, func(m core.ChannelMember) apply.ChannelUser {
			return apply.ChannelUser{Channel: m.ChannelID, User: m.UserID}
		}),
		Posts:   newTable(s, func(p core.Post) core.PostID { return p.ID }),
		Pending: newTable(s, func(p apply.Pending) apply.PendingKey { return p.PendingKey }),
		Preferences: newTable(s, func(p core.Preference) apply.PreferenceKey {
			return apply.PreferenceKey{User: p.UserID, Category: p.Category, Name: p.Name}
		}),
		Reactions: newTable(s, reactionKey),
		Files:     newTable(s, func(f core.File) core.FileID { return f.ID }),
		FileTexts: newTable(s, func(f apply.FileText) core.FileID { return f.File }),
		FileLinks: newTable(s, func(l apply.FileLink) core.BlobID { return l.Link }),
		Uploads:   newTable(s, func(u core.Upload) core.UploadID { return u.ID }),
		Blobs:     newTable(s, func(b core.Blob) core.BlobID { return b.ID }),
		Counters:  newTable(s, func(c apply.Counter) string { return c.Name }),
		Scans:     s,
	}
	return s
}

// State implements apply.Store.
func (s *Store) State() *apply.State { return &s.state }

// Mark implements apply.Store.
func (s *Store) Mark() { s.undo = s.undo[:0] }

// Revert implements apply.Store.
func (s *Store) Revert() {
	for _, f := range slices.Backward(s.undo) {
		f()
	}
	s.undo = s.undo[:0]
}

// Load implements apply.Scans: everything is here.
func (s *Store) Load(*apply.Keys) {}

// Replies implements apply.Scans.
func (s *Store) Replies(root core.PostID) []core.Post {
	return scan(s.state.Posts, func(p core.Post) bool { return p.RootID == root && p.DeleteAt == 0 }, func(a, b core.Post) int {
		return cmp.Or(cmp.Compare(a.CreateAt, b.CreateAt), slices.Compare(a.ID[:], b.ID[:]))
	})
}

// ChannelsOf implements apply.Scans.
func (s *Store) ChannelsOf(user core.UserID, team core.TeamID) []core.ChannelMember {
	return scan(s.state.ChannelMembers, func(m core.ChannelMember) bool { return m.UserID == user && m.TeamID == team },
		func(a, b core.ChannelMember) int { return slices.Compare(a.ChannelID[:], b.ChannelID[:]) })
}

// scan gives the rows of a table that fit, in order.
func scan[K comparable, T any](t apply.Table[K, T], fits func(T) bool, order func(a, b T) int) []T {
	var out []T
	for _, row := range t.(*table[K, T]).rows {
		if fits(row) {
			out = append(out, row)
		}
	}
	slices.SortFunc(out, order)
	return out
}

type table[K comparable, T any] struct {
	store *Store
	key   func(T) K
	rows  map[K]T
}

func newTable[K comparable, T any](s *Store, key func(T) K) *table[K, T] {
	return &table[K, T]{store: s, key: key, rows: map[K]T{}}
}

func (t *table[K, T]) Get(k K) (T, bool) {
	row, ok := t.rows[k]
	return row, ok
}

func (t *table[K, T]) Put(row T) {
	k := t.key(row)
	t.keep(k)
	t.rows[k] = row
}

func (t *table[K, T]) Delete(k K) {
	t.keep(k)
	delete(t.rows, k)
}

func (t *table[K, T]) keep(k K) {
	old, had := t.rows[k]
	t.store.undo = append(t.store.undo, func() {
		if had {
			t.rows[k] = old
		} else {
			delete(t.rows, k)
		}
	})
}

type lookup[V, K comparable] func(V) (K, bool)

func (l lookup[V, K]) Find(v V) (K, bool) { return l(v) }

func by[V, K comparable, T any](t *table[K, T], value func(T) V) lookup[V, K] {
	return func(v V) (K, bool) {
		for k, row := range t.rows {
			if value(row) == v {
				return k, true
			}
		}
		var none K
		return none, false
	}
}
