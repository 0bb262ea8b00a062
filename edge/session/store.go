package session

import (
	"context"
	"time"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/event"
	"github.com/nearside/nearside/edge/hot"
)

// Limits of a Store.
const (
	DefaultKept   = 50_000          // sessions in memory, about 500 bytes each
	missesKept    = 1024            // unknown tokens remembered
	missRemembers = time.Second     // for this long
	askLimit      = 2 * time.Second // for an answer from home
)

// Config configures a Store. The zero value of each optional field means its documented default.
type Config struct {
	// Find reads a session from the local replica, by the seal of its token's hash. Required.
	Find func(context.Context, core.Seal) (core.Session, bool, error)
	// CatchUp returns when the local replica has everything that home had at the time of the
	// call. Default: it returns at once; the replica is never behind.
	CatchUp func(context.Context) error
	// InTouch reports whether home was heard recently enough: longer ago, a session may have been ended without this
	// edge knowing. Default: it always was.
	InTouch func() bool
	Kept    int64            // sessions in memory; default DefaultKept
	Caches  *hot.Metrics     // default: nothing is registered
	Now     func() time.Time // default time.Now
}

// Store finds sessions by token.
type Store struct {
	cfg    Config
	kept   *hot.Cache[core.Seal, struct{}, found]
	misses *hot.Misses[core.Seal]
}

type found struct {
	session core.Session
	ok      bool
}

// NewStore makes a Store.
func NewStore(cfg Config) (*Store, error) {
	if cfg.Find == nil {
		return nil, core.E(core.KindInvalid, "session.Config needs Find")
	}
	if cfg.Kept <= 0 {
		cfg.Kept = DefaultKept
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Caches == nil {
		cfg.Caches = hot.NewMetrics(nil)
	}
	if cfg.InTouch == nil {
		cfg.InTouch = func() bool { return true }
	}
	return &Store{
		cfg: cfg, kept: hot.New[core.Seal, struct{}, found](cfg.Caches, "sessions", cfg.Kept, nil),
		misses: hot.NewMisses[core.Seal](missesKept, missRemembers),
	}, nil
}

// Lookup returns a token's session. Errors: KindUnauthorized if there is none or it has expired;
// KindUnavailable if only home knows and home cannot be reached, or was not heard for too long: clients would
// sign out if they were told that their session is over.
func (s *Store) Lookup(ctx context.Context, token string) (core.Session, error) {
	if len(token) != core.IDLength {
		return core.Session{}, noSession
	}
	seal := core.HashToken(token).Seal()
	f, err := s.find(ctx, seal)
	if err == nil && !f.ok {
		f, err = s.findAtHome(ctx, seal)
	}
	switch {
	case err != nil:
		return core.Session{}, err
	case !f.ok || f.session.Expired(s.cfg.Now().UnixMilli()):
		return core.Session{}, noSession
	case !s.cfg.InTouch():
		return core.Session{}, outOfTouch
	}
	return f.session, nil
}

// The reasons why a token has no session.
var (
	noSession      = core.Refusal{Kind: core.KindUnauthorized, ID: "api.context.session_expired.app_error"}
	unavailable    = core.Refusal{Kind: core.KindUnavailable, ID: "api.nearside.unavailable.app_error"}
	sessionUnknown = unavailable.With("reason", "session")
	outOfTouch     = unavailable.With("reason", "out_of_touch")
)

func (s *Store) find(ctx context.Context, seal core.Seal) (found, error) {
	return s.kept.Get(ctx, seal, struct{}{}, func(ctx context.Context) (found, bool, error) {
		sess, ok, err := s.cfg.Find(ctx, seal)
		return found{sess, ok}, ok, err // no event announces a new session, so misses are not cached
	})
}

// findAtHome looks again when the replica has caught up: the session may have just begun at
// another edge.
func (s *Store) findAtHome(ctx context.Context, seal core.Seal) (found, error) {
	if s.cfg.CatchUp == nil || s.misses.Has(seal, s.cfg.Now()) {
		return found{}, nil
	}
	askCtx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	if err := s.cfg.CatchUp(askCtx); err != nil {
		return found{}, sessionUnknown.WithCause(err)
	}
	f, err := s.find(ctx, seal)
	if err == nil && !f.ok {
		s.misses.Add(seal, s.cfg.Now())
	}
	return f, err
}

// Ended removes a session that an ordered event ended.
func (s *Store) Ended(e event.SessionEnded) { s.kept.Forget(e.Token) }

// Reset removes everything, because history was replaced.
func (s *Store) Reset() { s.kept.Clear() }
