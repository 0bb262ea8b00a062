// Package proof checks, at home, what other nodes propose: that replicas can read it, that the session on whose
// behalf it is has made it, and that it says nothing in home's name.
//
// An edge is trusted no further than the people who use it. It makes a proof with the hash of a token that it was
// shown (core.ProofKey); home has the same hash, sealed. What home's own edges propose at the leader is not checked,
// because it is made by this program.
//
// Concurrency: a Checker is safe for concurrent use and starts no goroutines.
package proof

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/command"
)

// keysKept is how many sessions' keys are in memory, at about 200 bytes each; the least recently used go. A key of
// a session that has ended does no harm: apply refuses what it proposes.
const keysKept = 50_000

// Config configures a Checker. Every field is required but OpenServer and Quota.
type Config struct {
	// Token reads the hash of the token of a session from this home node's sealed values.
	Token func(ctx context.Context, session core.SessionID) (core.TokenHash, bool, error)
	// Attempt reads an attempt from this home node's replica.
	Attempt    func(ctx context.Context, id core.AttemptID) (core.Attempt, bool, error)
	LogVersion func() int64
	OpenServer bool       // anybody may sign up, whatever an edge's configuration says
	Quota      core.Quota // of stored bytes
}

// Checker checks proposals of other nodes.
type Checker struct {
	cfg Config

	mu   sync.Mutex // guards keys
	keys *simplelru.LRU[core.SessionID, core.ProofKey]
}

// New makes a Checker.
func New(cfg Config) (*Checker, error) {
	if cfg.Token == nil || cfg.Attempt == nil || cfg.LogVersion == nil {
		return nil, errors.New("proof: Token, Attempt and LogVersion are required")
	}
	keys, err := simplelru.NewLRU[core.SessionID, core.ProofKey](keysKept, nil)
	return &Checker{cfg: cfg, keys: keys}, err
}

var (
	sessionOver   = core.Refusal{Kind: core.KindUnauthorized, ID: "api.context.session_expired.app_error"}
	notProven     = core.Refusal{Kind: core.KindForbidden, ID: "api.context.permissions.app_error"}
	wrongPassword = core.Refusal{Kind: core.KindUnauthorized, ID: "api.user.login.invalid_credentials_email_username"}
)

// Check refuses a proposal of another node that must not be ordered, and gives the others as they are to be ordered:
// in them home has said what only home can say.
func (c *Checker) Check(ctx context.Context, p core.Proposal) (core.Proposal, error) {
	by, cmd, err := command.Check(p, c.cfg.LogVersion())
	if err == nil {
		err = c.proven(ctx, p, by)
	}
	if err != nil {
		return p, err
	}
	switch cmd := cmd.(type) {
	case *command.CreateSession:
		err = c.signIn(ctx, cmd)
	case *command.CreateUser:
		return says(p, by, cmd, &cmd.OpenServer, c.cfg.OpenServer)
	case *command.CreateFile:
		return says(p, by, cmd, &cmd.Quota, c.cfg.Quota)
	case *command.CreateUpload:
		return says(p, by, cmd, &cmd.Quota, c.cfg.Quota)
	}
	return p, err
}

// says puts home's word into a field of a proposal's command.
func says[T comparable](p core.Proposal, by command.Caller, cmd command.Command, field *T, word T) (core.Proposal, error) {
	if *field == word {
		return p, nil
	}
	*field = word
	data, err := command.Encode(by, cmd)
	p.Data = data
	return p, err
}

// proven refuses a proposal on behalf of a session that has not made it.
func (c *Checker) proven(ctx context.Context, p core.Proposal, by command.Caller) error {
	if by.Session.IsZero() { // command.Check has refused those that need one
		return nil
	}
	key, ok, err := c.key(ctx, by.Session)
	switch {
	case err != nil:
		return err
	case !ok:
		return sessionOver
	case !key.Proves(&p):
		return notProven
	}
	return nil
}

// signIn refuses a sign-in unless home has found the account's password right in an attempt that was made for the
// token of the session, a moment ago.
func (c *Checker) signIn(ctx context.Context, cmd *command.CreateSession) error {
	s := cmd.Session
	if cmd.Attempt != core.AttemptAt(core.AttemptFor(s.Token), core.SubjectOf(s.UserID)) || s.Token.IsZero() {
		return wrongPassword
	}
	a, ok, err := c.cfg.Attempt(ctx, cmd.Attempt)
	switch {
	case err != nil:
		return err
	case !ok || !a.Proves(s.UserID, time.Now().UnixMilli()):
		return wrongPassword
	}
	return nil
}

// key gives the key of a session; ok is false if there is no such session.
func (c *Checker) key(ctx context.Context, session core.SessionID) (k core.ProofKey, ok bool, err error) {
	if k, ok = c.kept(session); ok {
		return k, true, nil
	}
	hash, ok, err := c.cfg.Token(ctx, session)
	if err != nil || !ok { // a session that is not there yet may be there soon, so that is not kept
		return k, false, err
	}
	k = hash.ProofKey()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.keys.Add(session, k)
	return k, true, nil
}

func (c *Checker) kept(session core.SessionID) (core.ProofKey, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.keys.Get(session)
}
