package access

import (
	"context"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/authz"
	"github.com/nearside/nearside/core/event"
	"github.com/nearside/nearside/core/read"
	"github.com/nearside/nearside/edge/api"
	"github.com/nearside/nearside/edge/hot"
	"github.com/nearside/nearside/edge/session"
)

// Bounds of the caches.
const (
	usersKept       = 20_000
	channelsKept    = 50_000
	teamsKept       = 10_000
	membershipsKept = 2_000_000 // memberships, not users
	placesKept      = 50_000
)

// Access knows what each user may do.
type Access struct {
	Local *api.Local
	Read  *read.Store

	guard    Guard
	sessions *session.Store
	users    api.Cache[core.UserID, struct{}, core.User]
	belongs  api.Cache[core.UserID, struct{}, *belongings]
	channels api.Cache[core.ChannelID, struct{}, core.Channel]
	teams    api.Cache[core.TeamID, struct{}, core.Team]
	places   *hot.Cache[[16]byte, struct{}, core.ChannelID] // channels of posts, files and uploads, by id; they never change
}

// Config configures an Access. The zero value of each optional field means its documented default.
type Config struct {
	Local   *api.Local  // required
	Read    *read.Store // required
	Guard   Guard       // required
	InTouch func() bool // whether home was heard recently enough to honour sessions; default: it always was
}

// New makes an Access.
func New(cfg Config) (*Access, error) {
	l, store := cfg.Local, cfg.Read
	sessions, err := session.NewStore(session.Config{Find: store.SessionByToken, CatchUp: l.CatchUpWithHome, InTouch: cfg.InTouch, Caches: l.Caches})
	if err != nil {
		return nil, err
	}
	a := &Access{
		Local: l, Read: store, guard: cfg.Guard, sessions: sessions,
		places:   hot.New[[16]byte, struct{}, core.ChannelID](l.Caches, "places", placesKept, nil),
		users:    api.Keep[core.UserID, struct{}, core.User](l, "users", usersKept, nil, api.DropOn(event.UserChanged.UserChanged)),
		belongs:  api.Keep[core.UserID, struct{}](l, "memberships", membershipsKept, (*belongings).size, api.DropOn(member)),
		channels: api.Keep[core.ChannelID, struct{}, core.Channel](l, "channels", channelsKept, nil, api.DropOn(event.ChannelChanged.ChannelChanged)),
		teams:    api.Keep[core.TeamID, struct{}, core.Team](l, "teams", teamsKept, nil, api.DropOn(event.TeamChanged.TeamChanged)),
	}
	api.OnEvent(l, sessions.Ended)
	l.OnReset(sessions.Reset)
	l.OnReset(a.places.Clear)
	return a, nil
}

// member returns the user whose memberships an event has changed.
func member(e event.MembershipChanged) core.UserID { return e.MembershipChanged().User }

// Authenticate returns the session of a token and its user.
func (a *Access) Authenticate(ctx context.Context, token string) (core.Session, core.User, error) {
	a.Local.CatchUp()
	s, err := a.sessions.Lookup(ctx, token)
	if err != nil {
		return s, core.User{}, err
	}
	u, err := a.User(ctx, s.UserID)
	if err == nil && (u.ID.IsZero() || u.DeleteAt != 0) {
		err = core.E(core.KindUnauthorized, "")
	}
	return s, u, err
}

// User returns a user; its id is zero if there is none.
func (a *Access) User(ctx context.Context, id core.UserID) (core.User, error) {
	return api.Row(ctx, a.users, id, a.Read.User)
}

// Channel returns a channel; its id is zero if there is none. Its counters and times may be old:
// they change with every post, so do not show them to clients.
func (a *Access) Channel(ctx context.Context, id core.ChannelID) (core.Channel, error) {
	return api.Row(ctx, a.channels, id, a.Read.Channel)
}

// Team returns a team; its id is zero if there is none.
func (a *Access) Team(ctx context.Context, id core.TeamID) (core.Team, error) {
	return api.Row(ctx, a.teams, id, a.Read.Team)
}

// belongings has the roles that a user has by being a member of teams and channels.
type belongings struct {
	teams    map[core.TeamID]string
	channels map[core.ChannelID]string
}

func (b *belongings) size() int64 { return int64(1 + len(b.teams) + len(b.channels)) }

// of returns a user's memberships.
func (a *Access) of(ctx context.Context, user core.UserID) (*belongings, error) {
	return api.Row(ctx, a.belongs, user, a.readBelongings)
}

func (a *Access) readBelongings(ctx context.Context, user core.UserID) (*belongings, bool, error) {
	m, err := a.Read.Memberships(ctx, user)
	if err != nil {
		return nil, false, err
	}
	b := &belongings{make(map[core.TeamID]string, len(m.Teams)), make(map[core.ChannelID]string, len(m.Channels))}
	same := map[string]string{} // nearly all roles are equal: store each string once
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
}

// Belongs reports whether the caller is a member of a channel.
func (a *Access) Belongs(c *api.Call, channel core.ChannelID) (bool, error) {
	b, err := a.of(c, c.User.ID)
	if err != nil {
		return false, err
	}
	_, ok := b.channels[channel]
	return ok, nil
}

// MayPost refuses if a user may not post to a channel.
func (a *Access) MayPost(ctx context.Context, user core.UserID, channel core.ChannelID) error {
	a.Local.CatchUp()
	u, err := a.User(ctx, user)
	if err != nil {
		return err
	}
	ch, err := a.Channel(ctx, channel)
	switch {
	case err != nil:
		return err
	case u.ID.IsZero() || u.DeleteAt != 0 || ch.ID.IsZero() || ch.DeleteAt != 0:
		return api.Forbidden
	}
	return Granted(a.mayInChannel(ctx, u, ch, authz.CreatePost))
}
