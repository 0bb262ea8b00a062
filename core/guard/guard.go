package guard

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"time"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/password"
	"github.com/nearside/nearside/core/turn"
)

// Store has what the guard reads of this home node's replica; *read.Store is one.
type Store interface {
	User(ctx context.Context, id core.UserID) (core.User, bool, error)
	UserByName(ctx context.Context, name string) (core.User, bool, error)
	UserByEmail(ctx context.Context, email string) (core.User, bool, error)
	KnownSource(ctx context.Context, u core.UserID, source core.SourceID) (bool, error)
	CountingAttempts(ctx context.Context, a core.Attempt, since int64) (share, kind int64, err error)
	TeamByInvite(ctx context.Context, invite string) (core.Team, bool, error)
}

// Config configures a Guard. Every field is required but Failed.
type Config struct {
	Store   Store
	Unseal  func(ctx context.Context, seal core.Seal) ([]byte, bool, error) // gives a sealed value, such as the hash of a password
	Hasher  *password.Hasher
	Propose func(ctx context.Context, p core.Proposal) (core.Receipt, error) // returns when the proposal is ordered and applied at home
	Applied func(ctx context.Context, i core.Index) error                    // returns when this node has applied an index
	Failed  func(a core.Audit)                                               // notes an attempt that did not succeed
}

// Guard counts and checks attempts at a home node.
type Guard struct {
	cfg     Config
	counter counter
}

// New makes a Guard.
func New(cfg Config) (*Guard, error) {
	if cfg.Store == nil || cfg.Unseal == nil || cfg.Hasher == nil || cfg.Propose == nil || cfg.Applied == nil {
		return nil, errors.New("guard: Store, Unseal, Hasher, Propose and Applied are required")
	}
	return &Guard{cfg: cfg, counter: newCounter(cfg.Propose)}, nil
}

// resolves is how often the account of a login is looked up again because it became another one in
// the meantime.
const resolves = 3

// Verify answers a question. An error means that nothing is known about the secret; the attempt may
// count nevertheless.
func (g *Guard) Verify(ctx context.Context, q Question) (Answer, error) {
	if err := q.check(); err != nil {
		return Answer{}, err
	}
	switch q.Kind {
	case core.AttemptPassword:
		return g.password(ctx, q)
	case core.AttemptInvitation:
		return g.invitation(ctx, q)
	}
	return Answer{}, core.E(core.KindNotBuilt, "the guard knows no attempts of kind %d", q.Kind)
}

// invitation finds the team of an invitation. Who guesses learns from the time of the answer only what the answer
// says too.
func (g *Guard) invitation(ctx context.Context, q Question) (Answer, error) {
	a := attempt(q, core.User{})
	locked, err := g.locked(ctx, a)
	if err != nil {
		return Answer{}, err
	}
	granted, at := false, core.Index(0)
	if !locked {
		if granted, at, err = g.counter.reserve(ctx, a); err != nil {
			return Answer{}, err
		}
	}
	if !granted {
		g.failed(a.UserID, q, "too_many")
		return Answer{Verdict: Locked}, nil
	}
	if err := g.cfg.Applied(ctx, at); err != nil {
		return Answer{}, err
	}
	t, found, err := g.cfg.Store.TeamByInvite(ctx, q.Secret)
	if err != nil {
		return Answer{}, err
	}
	if !found {
		g.failed(a.UserID, q, "wrong")
		return Answer{Verdict: Wrong}, nil
	}
	at, err = g.counter.right(ctx, a.ID)
	return Answer{Verdict: Right, TeamID: t.ID, Attempt: a.ID, Index: at}, err
}

func (g *Guard) password(ctx context.Context, q Question) (Answer, error) {
	place, err := g.cfg.Hasher.Enter(g.who(ctx, q)) // before the attempt is counted, so that a full queue costs nobody an attempt
	if err != nil {
		return Answer{Verdict: Busy}, nil //nolint:nilerr // an error would be taken to other home nodes, again and again
	}
	defer place.Leave()
	u, a, granted, err := g.reserve(ctx, q)
	if err != nil {
		return Answer{}, err
	}
	if !granted {
		g.failed(u.ID, q, "too_many")
		return Answer{Verdict: Locked}, nil
	}
	hash, _, err := g.cfg.Unseal(ctx, u.PasswordSeal) // of nobody's password there is none, and it is not faster to find that out
	if err != nil {
		return Answer{}, err
	}
	right, err := place.Verify(ctx, string(hash), q.Secret)
	if err != nil {
		return Answer{}, err
	}
	if !right || u.ID.IsZero() {
		g.failed(u.ID, q, "wrong")
		return Answer{Verdict: Wrong}, nil
	}
	at, err := g.counter.right(ctx, a.ID)
	return Answer{Verdict: Right, UserID: u.ID, Attempt: a.ID, Index: at}, err
}

// failed tells the audit trail of an attempt that did not succeed. What was typed is not in it, not even a login: people
// type passwords there.
func (g *Guard) failed(u core.UserID, q Question, result string) {
	if g.cfg.Failed == nil {
		return
	}
	a := core.Audit{UserID: u, Address: q.Address, Action: core.AuditLoginFailed, Result: result}
	switch {
	case q.Kind == core.AttemptInvitation:
		a.Action = core.AuditInvitationFailed
	case u.IsZero():
		a.Object = "unknown account"
	}
	g.cfg.Failed(a)
}

// who says whose turn it is to have a password checked: a device or address where the account was
// signed in before, or a stranger at an address.
func (g *Guard) who(ctx context.Context, q Question) turn.Who {
	stranger := turn.Who{Name: network(q.Address)}
	u, err := g.account(ctx, q)
	if err != nil || u.ID.IsZero() {
		return stranger
	}
	who, a := stranger, attempt(q, u)
	a.Share(func(s core.SourceID) bool {
		known, err := g.cfg.Store.KnownSource(ctx, u.ID, s)
		if known = known && err == nil; known {
			who = turn.Who{Name: s.String(), Known: true}
		}
		return known
	})
	return who
}

// reserve finds the account that is meant, counts the attempt, and gives the account as it was after
// that. The node may have been behind when it looked the account up first.
func (g *Guard) reserve(ctx context.Context, q Question) (u core.User, a core.Attempt, granted bool, err error) {
	if u, err = g.account(ctx, q); err != nil {
		return u, a, false, err
	}
	for range resolves {
		a = attempt(q, u)
		if locked, err := g.locked(ctx, a); err != nil || locked {
			return u, a, false, err
		}
		granted, at, err := g.counter.reserve(ctx, a)
		if err != nil || !granted {
			return u, a, false, err
		}
		if err := g.cfg.Applied(ctx, at); err != nil {
			return u, a, false, err
		}
		before := u.ID
		if u, err = g.account(ctx, q); err != nil || u.ID == before {
			return u, a, err == nil, err
		}
	}
	return u, a, false, nil
}

// account finds the account that a question means; the zero user if there is none.
func (g *Guard) account(ctx context.Context, q Question) (core.User, error) {
	if !q.UserID.IsZero() {
		u, _, err := g.cfg.Store.User(ctx, q.UserID)
		return u, err
	}
	login := strings.ToLower(q.Login)
	u, found, err := g.cfg.Store.UserByName(ctx, login)
	if err != nil || found {
		return u, err
	}
	u, _, err = g.cfg.Store.UserByEmail(ctx, login)
	return u, err
}

// attempt gives the attempt that a question is. Its id depends on the subject too, because an edge
// might use one id for several subjects.
func attempt(q Question, u core.User) core.Attempt {
	a := core.Attempt{Kind: q.Kind, UserID: u.ID, DeviceID: q.Device}
	switch {
	case q.Kind.ByAddress():
		a.SubjectID, a.DeviceID = core.SubjectOfAll(q.Kind), core.SourceID{}
		a.AddressID = core.DeriveID[core.Source]("address", network(q.Address))
	case !u.ID.IsZero():
		a.SubjectID = core.SubjectOf(u.ID)
		if q.Address != "" {
			a.AddressID = core.DeriveID[core.Source]("address", u.ID.String(), network(q.Address))
		}
	case !q.UserID.IsZero():
		a.SubjectID = core.SubjectOf(q.UserID)
	default:
		a.SubjectID = core.DeriveID[core.Subject]("login", strings.ToLower(q.Login))
	}
	a.ID = core.AttemptAt(q.ID, a.SubjectID)
	return a
}

// network gives what counts as one address: with IPv6 a customer has a whole /64.
func network(address string) string {
	ip, err := netip.ParseAddr(address)
	if err != nil || ip.Unmap().Is4() {
		return ip.Unmap().String()
	}
	p, _ := ip.WithZone("").Prefix(64) // of a valid address
	return p.String()
}

// locked reports whether there were too many attempts already, so that those who go on guessing do not
// fill the log. Home decides again when it counts.
func (g *Guard) locked(ctx context.Context, a core.Attempt) (bool, error) {
	var failed error
	a.SourceID = a.Share(func(s core.SourceID) bool {
		known, err := g.cfg.Store.KnownSource(ctx, a.UserID, s)
		failed = errors.Join(failed, err)
		return known
	})
	if failed != nil {
		return false, failed
	}
	own, all, err := g.cfg.Store.CountingAttempts(ctx, a, time.Now().Add(-core.AttemptWindow).UnixMilli())
	return own >= core.MaxAttempts || a.Kind.ByAddress() && own > 0 && all >= core.MaxTogether, err
}
