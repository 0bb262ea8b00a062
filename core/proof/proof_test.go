package proof_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/command"
	"github.com/nearside/nearside/core/proof"
)

// world is what a home node knows.
type world struct {
	*testing.T
	tokens   map[core.SessionID]core.TokenHash
	attempts map[core.AttemptID]core.Attempt
	reads    int
	broken   error
}

func newWorld(t *testing.T) *world {
	return &world{T: t, tokens: map[core.SessionID]core.TokenHash{}, attempts: map[core.AttemptID]core.Attempt{}}
}

func (w *world) checker(open bool, quota ...core.Quota) *proof.Checker {
	w.Helper()
	c, err := proof.New(proof.Config{
		OpenServer: open, Quota: append(quota, core.Quota{})[0], LogVersion: func() int64 { return core.LogVersion },
		Token: func(_ context.Context, s core.SessionID) (core.TokenHash, bool, error) {
			w.reads++
			h, ok := w.tokens[s]
			return h, ok, w.broken
		},
		Attempt: func(_ context.Context, id core.AttemptID) (core.Attempt, bool, error) {
			a, ok := w.attempts[id]
			return a, ok, w.broken
		},
	})
	if err != nil {
		w.Fatal(err)
	}
	return c
}

func (w *world) proposal(by core.SessionID, c command.Command, sealed ...[]byte) core.Proposal {
	w.Helper()
	data, err := command.Encode(command.Caller{Session: by}, c)
	if err != nil {
		w.Fatal(err)
	}
	return core.Proposal{ID: core.ProposalID{7}, Scope: core.Scope{Team: core.TeamID{8}}, Data: data, Sealed: sealed}
}

func (w *world) kind(c *proof.Checker, p core.Proposal, want core.Kind) {
	w.Helper()
	if _, err := c.Check(w.Context(), p); core.KindOf(err) != want {
		w.Errorf("got %v, want the kind %v", err, want)
	}
}

// A proof is for one proposal of one session. The key is read once; that a session is not there is asked again, because
// it may begin, and an error is not taken for that.
func TestCheck_Proof(t *testing.T) {
	w, session := newWorld(t), core.SessionID{1}
	c, key := w.checker(true), core.HashToken("a token").ProofKey()
	p := w.proposal(session, &command.EndSession{SessionID: session})
	p.Proof = key.Prove(&p)
	w.kind(c, p, core.KindUnauthorized)
	w.broken = errors.New("the database is away")
	w.kind(c, p, core.KindInternal)
	w.broken, w.tokens[session] = nil, core.HashToken("a token")
	for range 3 {
		if got, err := c.Check(t.Context(), p); err != nil || string(got.Data) != string(p.Data) {
			t.Fatal(err)
		}
	}
	if w.reads != 3 {
		t.Errorf("the key was read %d times", w.reads)
	}
	for name, change := range map[string]func(*core.Proposal){
		"the id": func(p *core.Proposal) { p.ID[0]++ }, "the scope": func(p *core.Proposal) { p.Scope.Team[0]++ },
		"the proof": func(p *core.Proposal) { p.Proof[31]++ }, "no proof": func(p *core.Proposal) { p.Proof = core.Proof{} },
		"the command": func(p *core.Proposal) { p.Data = w.proposal(session, &command.EndSession{}).Data },
		"the token":   func(p *core.Proposal) { p.Proof = core.HashToken("another").ProofKey().Prove(p) },
		"the seal":    func(p *core.Proposal) { p.Proof = core.TokenHash(core.HashToken("a token").Seal()).ProofKey().Prove(p) },
	} {
		other := p
		change(&other)
		if _, err := c.Check(t.Context(), other); core.KindOf(err) != core.KindForbidden {
			t.Errorf("%s was changed: %v", name, err)
		}
	}
}

// Whether anybody may sign up is what home says, whatever the edge has said.
func TestCheck_OpenServer(t *testing.T) {
	w := newWorld(t)
	for _, home := range []bool{false, true} {
		for _, edge := range []bool{false, true} {
			p := w.proposal(core.SessionID{}, &command.CreateUser{OpenServer: edge, User: core.User{Username: "eve"}})
			got, err := w.checker(home).Check(t.Context(), p)
			if err != nil || got.ID != p.ID || got.Scope != p.Scope {
				t.Fatal(got, err)
			}
			_, cmd, err := command.Decode(got.Data)
			if err != nil || cmd.(*command.CreateUser).OpenServer != home || cmd.(*command.CreateUser).User.Username != "eve" {
				t.Errorf("home %v, edge %v: %+v, %v", home, edge, cmd, err)
			}
		}
	}
}

// What people and teams may store is what home says, whatever the edge has said.
func TestCheck_Quota(t *testing.T) {
	w := newWorld(t)
	session, home := core.SessionID{1}, core.Quota{Person: 5, Team: 7}
	w.tokens[session] = core.HashToken("a token")
	key := core.HashToken("a token").ProofKey()
	c := w.checker(true, home)
	for _, said := range []core.Quota{{}, {Person: 1 << 40, Team: 7}, home} {
		for _, cmd := range []command.Command{&command.CreateFile{Quota: said}, &command.CreateUpload{Quota: said}} {
			p := w.proposal(session, cmd)
			p.Proof = key.Prove(&p)
			got, err := c.Check(t.Context(), p)
			if err != nil {
				t.Fatal(err)
			}
			_, cmd, err = command.Decode(got.Data)
			var quota core.Quota
			switch cmd := cmd.(type) {
			case *command.CreateFile:
				quota = cmd.Quota
			case *command.CreateUpload:
				quota = cmd.Quota
			}
			if err != nil || quota != home {
				t.Errorf("%T: %+v, %v", cmd, quota, err)
			}
		}
	}
}

// A sign-in needs an attempt that home found right a moment ago, for that account and for that token.
func TestCheck_SignIn(t *testing.T) {
	w, user := newWorld(t), core.UserID{3}
	c, hash := w.checker(true), core.HashToken("a token")
	id := core.AttemptAt(core.AttemptFor(hash.Seal()), core.SubjectOf(user))
	now := time.Now().UnixMilli()
	p := w.proposal(core.SessionID{}, &command.CreateSession{Session: core.Session{ID: core.SessionID{1}, UserID: user, Token: hash.Seal()}, Attempt: id}, hash[:])
	w.kind(c, p, core.KindUnauthorized) // no attempt
	for _, a := range []core.Attempt{
		{ID: id, UserID: user},                                                      // not found right
		{ID: id, UserID: core.UserID{4}, RightAt: now},                              // of somebody else
		{ID: id, UserID: user, RightAt: now - 1 - core.AttemptValid.Milliseconds()}, // long ago
	} {
		w.attempts[id] = a
		w.kind(c, p, core.KindUnauthorized)
	}
	w.attempts[id] = core.Attempt{ID: id, UserID: user, RightAt: now}
	if _, err := c.Check(t.Context(), p); err != nil {
		t.Error(err)
	}
	other := core.HashToken("another token")
	w.kind(c, w.proposal(core.SessionID{}, &command.CreateSession{Session: core.Session{ID: core.SessionID{1}, UserID: user, Token: other.Seal()}, Attempt: id}, other[:]), core.KindUnauthorized)
	w.kind(c, w.proposal(core.SessionID{}, &command.CreateSession{Session: core.Session{ID: core.SessionID{1}, UserID: user, Token: hash.Seal()}, Attempt: id}), core.KindInvalid) // without what is sealed
	w.kind(c, w.proposal(core.SessionID{}, &command.CreateSession{Session: core.Session{ID: core.SessionID{1}, UserID: user}, Attempt: id}), core.KindUnauthorized)                // without a token
}
