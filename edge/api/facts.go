package api

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/event"
	"github.com/nearside/nearside/core/read"
	"github.com/nearside/nearside/edge"
	"github.com/nearside/nearside/edge/hot"
	"github.com/nearside/nearside/edge/session"
)

// Bounds of the caches.
const (
	usersKept       = 20_000
	channelsKept    = 50_000
	teamsKept       = 10_000
	membershipsKept = 2_000_000 // memberships, not people
	pageBytes       = 64 << 20
	filesKept       = 50_000
)

// facts is what requests ask again and again: who somebody is, where they belong, what a
// channel is, and the pages that everybody looks at. Ordered events say what to forget.
type facts struct {
	read     *read.Store
	view     edge.View
	sessions *session.Store
	users    *hot.Cache[core.UserID, struct{}, core.User]
	belongs  *hot.Cache[core.UserID, struct{}, *belongings]
	channels *hot.Cache[core.ChannelID, struct{}, core.Channel]
	teams    *hot.Cache[core.TeamID, struct{}, core.Team]
	pages    *hot.Cache[core.ChannelID, pageKey, *page]
	places   *hot.Cache[core.FileID, struct{}, core.ChannelID] // of posted files, which stay where they are
	files    *hot.Cache[core.ChannelID, core.FileID, core.File]
	peopled  atomic.Bool // there is an account

	wake *event.Cursor // owned by run

	mu     sync.Mutex // guards cursor, and that events are taken in one after another
	cursor *event.Cursor
	high   atomic.Uint64 // the highest index that a request has seen here; written under mu
}

func newFacts(cfg Config, s *session.Store) *facts {
	if cfg.PageBytes <= 0 {
		cfg.PageBytes = pageBytes
	}
	cursor := cfg.View.Subscribe()
	return &facts{
		read: cfg.Read, view: cfg.View, sessions: s, cursor: cursor, wake: cursor.Clone(),
		users:    hot.New[core.UserID, struct{}, core.User](usersKept, nil),
		belongs:  hot.New[core.UserID, struct{}](membershipsKept, (*belongings).size),
		channels: hot.New[core.ChannelID, struct{}, core.Channel](channelsKept, nil),
		teams:    hot.New[core.TeamID, struct{}, core.Team](teamsKept, nil),
		pages:    hot.New[core.ChannelID, pageKey](cfg.PageBytes, (*page).size),
		places:   hot.New[core.FileID, struct{}, core.ChannelID](filesKept, nil),
		files:    hot.New[core.ChannelID, core.FileID, core.File](filesKept, nil),
	}
}

// run takes events in while no request does, so that they do not pile up.
func (f *facts) run(ctx context.Context) error {
	for {
		_, err := f.wake.Next(ctx)
		if err != nil && !errors.Is(err, core.ErrDiverged) {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		f.catchUp()
	}
}

// catchUp takes in every event that has been published. What a replica has applied has been
// published, so who waited for an index and then calls this finds nothing older.
func (f *facts) catchUp() {
	f.mu.Lock()
	defer f.mu.Unlock()
	at := f.view.Position().Index // before the cursor: what it counts is then in the events
	for {
		batches, err, ok := f.cursor.Poll()
		if !ok {
			f.high.Store(max(f.high.Load(), uint64(at)))
			return
		}
		if err != nil {
			f.reset()
			at = f.view.Position().Index // of the new history, which may be less
			continue
		}
		for i := range batches {
			for j := range batches[i].Events {
				f.learn(&batches[i].Events[j])
			}
		}
	}
}

func (f *facts) learn(e *event.Event) {
	if !e.Audience.Channel.IsZero() {
		f.forgetPosts(e.Audience.Channel)
	}
	switch e.Effect.Kind {
	case event.NoEffect:
	case event.ChannelJoined, event.ChannelLeft, event.TeamJoined, event.TeamLeft:
		f.belongs.Forget(e.Effect.User)
	case event.SessionEnded:
		f.sessions.Learn(e.Effect)
	case event.UserChanged:
		f.users.Forget(e.Effect.User)
	case event.ChannelChanged:
		f.channels.Forget(e.Effect.Channel)
		f.forgetPosts(e.Effect.Channel)
	case event.TeamChanged:
		f.teams.Forget(e.Effect.Team)
	case event.PostsChanged:
		f.forgetPosts(e.Effect.Channel)
	}
}

// forgetPosts forgets what depends on a channel's posts.
func (f *facts) forgetPosts(ch core.ChannelID) {
	f.pages.Forget(ch)
	f.files.Forget(ch)
}

// reset forgets everything: history was replaced.
func (f *facts) reset() {
	f.sessions.Reset()
	f.users.Clear()
	f.belongs.Clear()
	f.channels.Clear()
	f.teams.Clear()
	f.pages.Clear()
	f.places.Clear()
	f.files.Clear()
	f.peopled.Store(false)
	f.high.Store(0)
}

// cached reads through a cache. Nothing is kept that was read while the database was behind
// what was seen here: after a crash it may come back without its last commits, which are then
// applied again, but not announced again.
func cached[G, K comparable, V any](ctx context.Context, f *facts, c *hot.Cache[G, K, V], g G, k K, fill func(context.Context) (V, bool, error)) (V, error) {
	return c.Get(ctx, g, k, func(ctx context.Context) (V, bool, error) {
		high := f.high.Load()
		v, keep, err := fill(ctx)
		if err != nil || !keep {
			return v, false, err
		}
		at, err := f.read.Position(ctx)
		return v, uint64(at.Index) >= high, err
	})
}

// user gives a user; its id is zero when there is none.
func (f *facts) user(ctx context.Context, id core.UserID) (core.User, error) {
	return cached(ctx, f, f.users, id, struct{}{}, func(ctx context.Context) (core.User, bool, error) {
		return f.read.User(ctx, id)
	})
}

// channel gives a channel; its id is zero when there is none. Its counters and times may be
// old: they change with every post, and nothing here is for showing.
func (f *facts) channel(ctx context.Context, id core.ChannelID) (core.Channel, error) {
	return cached(ctx, f, f.channels, id, struct{}{}, func(ctx context.Context) (core.Channel, bool, error) {
		return f.read.Channel(ctx, id)
	})
}

// file gives a file; its id is zero when there is none. Only posted files are kept: until then
// a file has no channel whose events tell of it.
func (f *facts) file(ctx context.Context, id core.FileID) (core.File, error) {
	read := func(ctx context.Context) (core.File, bool, error) { return f.read.File(ctx, id) }
	var file core.File
	asked := false // and file is what the database said: this call was the one to fill the cache
	place, err := cached(ctx, f, f.places, id, struct{}{}, func(ctx context.Context) (_ core.ChannelID, ok bool, err error) {
		file, ok, err = read(ctx)
		asked = err == nil
		if !ok || file.PostID.IsZero() {
			return core.ChannelID{}, false, err
		}
		return file.ChannelID, true, err
	})
	if err != nil {
		return core.File{}, err
	}
	if place.IsZero() && !asked {
		file, _, err = read(ctx)
	}
	if place.IsZero() {
		return file, err
	}
	return cached(ctx, f, f.files, place, id, read)
}

// team gives a team; its id is zero when there is none.
func (f *facts) team(ctx context.Context, id core.TeamID) (core.Team, error) {
	return cached(ctx, f, f.teams, id, struct{}{}, func(ctx context.Context) (core.Team, bool, error) {
		return f.read.Team(ctx, id)
	})
}

// belongings is the roles that a user has by belonging somewhere.
type belongings struct {
	teams    map[core.TeamID]string
	channels map[core.ChannelID]string
}

func (b *belongings) size() int64 { return int64(1 + len(b.teams) + len(b.channels)) }

// of gives where a user belongs.
func (f *facts) of(ctx context.Context, user core.UserID) (*belongings, error) {
	return cached(ctx, f, f.belongs, user, struct{}{}, func(ctx context.Context) (*belongings, bool, error) {
		m, err := f.read.Memberships(ctx, user)
		if err != nil {
			return nil, false, err
		}
		b := &belongings{make(map[core.TeamID]string, len(m.Teams)), make(map[core.ChannelID]string, len(m.Channels))}
		same := map[string]string{} // nearly all roles are alike: keep one string of each
		one := func(s string) string {
			if _, ok := same[s]; !ok {
				same[s] = s
			}
			return same[s]
		}
		for i := range m.Teams {
			b.teams[m.Teams[i].TeamID] = one(m.Teams[i].Roles())
		}
		for i := range m.Channels {
			b.channels[m.Channels[i].ChannelID] = one(m.Channels[i].Roles())
		}
		return b, true, nil
	})
}

// hasPeople reports whether there is any account; once there is, there always will be.
func (f *facts) hasPeople(ctx context.Context) (bool, error) {
	if f.peopled.Load() {
		return true, nil
	}
	users, err := f.read.Users(ctx, read.UserFilter{}, read.Page{Size: 1})
	if err == nil && len(users) > 0 {
		f.peopled.Store(true)
	}
	return len(users) > 0, err
}
