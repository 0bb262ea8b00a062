package node_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/nearside/nearside/cmd/node"
	"github.com/nearside/nearside/cmd/node/nodetest"
	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/command"
	"github.com/nearside/nearside/core/pg"
	"github.com/nearside/nearside/replication/follower"
	"github.com/nearside/nearside/replication/forward"
	"github.com/nearside/nearside/replication/link"
	"github.com/nearside/nearside/replication/wire"
)

// spy is a stolen edge: it has a valid certificate, keeps all that home sends to edges, and proposes whatever it
// likes.
type spy struct {
	t       *testing.T
	home    string
	ep      *link.Endpoint
	forward *forward.Client

	entries  []core.Entry
	snapshot []byte
}

func newSpy(t *testing.T, w *nodetest.World) *spy {
	t.Helper()
	s := &spy{t: t, home: w.Leader().LinkAddr(), ep: w.Hostile()}
	fwd, err := forward.New(forward.Config{Endpoint: s.ep, Candidates: s.candidates})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = fwd.Close() })
	s.forward = fwd
	return s
}

func (s *spy) candidates() []string { return []string{s.home} }

// read reads the whole log up to an index, and a snapshot.
func (s *spy) read(upTo core.Index) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	defer cancel()
	dialer := s.ep.Dialer(link.ClassLog)
	defer dialer.Close()
	conn, err := dialer.Conn(ctx, s.home)
	if err != nil {
		s.t.Fatal(err)
	}
	st, err := conn.OpenStream(ctx)
	if err != nil {
		s.t.Fatal(err)
	}
	defer st.Abort()
	if err := wire.NewWriter(st).Write(wire.KindHello, wire.AppendHello(nil, wire.Hello{Version: wire.Version})); err != nil {
		s.t.Fatal(err)
	}
	r := wire.NewReader(st, 0)
	if _, err := r.Expect(wire.KindWelcome); err != nil {
		s.t.Fatal(err)
	}
	for s.entries = nil; len(s.entries) == 0 || s.entries[len(s.entries)-1].Index < upTo; {
		body, err := r.Expect(wire.KindBatch)
		if err != nil {
			s.t.Fatal(err)
		}
		b, err := wire.DecodeBatch(bytes.Clone(body))
		if err != nil {
			s.t.Fatal(err)
		}
		s.entries = append(s.entries, b.Entries...)
	}
	if err := follower.Fetch(ctx, follower.FetchConfig{Endpoint: s.ep, Candidates: s.candidates, Sink: (*hoard)(s)}); err != nil {
		s.t.Fatal(err)
	}
}

// hoard is a spy as the sink of a snapshot.
type hoard spy

func (h *hoard) Position() core.Position                 { return core.Position{} }
func (h *hoard) Apply(context.Context, core.Batch) error { return errors.New("not asked for") }
func (h *hoard) Restore(_ context.Context, _ core.Position, r io.Reader) (err error) {
	h.snapshot, err = io.ReadAll(r)
	return err
}

// knows reports whether something that home has sent contains a secret, as it is or in hexadecimal digits.
func (s *spy) knows(secret []byte) bool {
	text := []byte(hex.EncodeToString(secret))
	for _, all := range append(s.parts(), s.snapshot) {
		if bytes.Contains(all, secret) || bytes.Contains(all, text) {
			return true
		}
	}
	return false
}

func (s *spy) parts() (out [][]byte) {
	for _, e := range s.entries {
		out = append(append(out, e.Data), e.Sealed...)
	}
	return out
}

// commands gives the commands of a type in the log.
func commands[C any](s *spy) (out []*C) {
	s.t.Helper()
	for _, e := range s.entries {
		_, cmd, err := command.Decode(e.Data)
		if err != nil {
			s.t.Fatal(err)
		}
		if c, ok := cmd.(*C); ok {
			out = append(out, c)
		}
	}
	return out
}

// proposal makes a proposal on behalf of a session.
func (s *spy) proposal(as core.SessionID, cmd command.Command, sealed ...[]byte) core.Proposal {
	s.t.Helper()
	data, err := command.Encode(command.Caller{Session: as}, cmd)
	if err != nil {
		s.t.Fatal(err)
	}
	return core.Proposal{ID: core.NewID[core.Proposal](time.Now()), Data: data, Sealed: sealed}
}

// refused fails the test if a proposal is ordered.
func (s *spy) refused(what string, p core.Proposal, kinds ...core.Kind) {
	s.t.Helper()
	got, err := s.forward.Propose(s.t.Context(), p)
	if err == nil {
		s.t.Errorf("%s: ordered at %d with the outcome %v", what, got.Index, command.DecodeOutcome(got.Outcome, nil))
		return
	}
	for _, k := range kinds {
		if core.KindOf(err) == k {
			return
		}
	}
	s.t.Errorf("%s: %v", what, err)
}

// Somebody who has an edge's certificate reads the whole log and a snapshot, and finds no password hash, no hash of a
// token and nothing else that lets them act: proposals on behalf of sessions whose tokens they were not shown, altered
// and repeated ones, sign-ins and what only home may say are refused.
func TestStolenEdge(t *testing.T) {
	closed := false
	w := nodetest.Start(t, nodetest.Topology{Home: 1, Edges: []string{"tokyo"}, Configure: func(c *node.Config) {
		if c.Is(node.RoleHome) {
			c.Open = &closed
		}
	}})
	tokyo := w.Node("edge-tokyo")
	ann := tokyo.Client(t).SignUp("ann") // the first account, an administrator
	ann.OK("POST", "/users", map[string]string{"username": "bob", "email": "bob@example.com", "password": "correct horse 1"}, nil)
	bob := tokyo.Client(t).Login("bob")
	team, square := ann.Room("crew")
	bob.Position = ann.Position
	bob.Join(team)
	post := ann.Post(square.ID, "ann was here")
	at := w.WaitConverged(t)

	s := newSpy(t, w)
	s.read(core.Index(at.Index))
	t.Run("finds no secret", func(t *testing.T) {
		db := w.Leader().Database()
		secrets, err := pg.Query(t.Context(), db, "SELECT value FROM sealed", pg.Scalar[[]byte])
		if err != nil || len(secrets) != 4 { // two passwords, two sessions
			t.Errorf("home has %d sealed values, %v", len(secrets), err)
		}
		for _, token := range []string{ann.Token, bob.Token} {
			hash := sha256.Sum256([]byte(token))
			key := core.HashToken(token).ProofKey()
			secrets = append(secrets, []byte(token), hash[:], key[:])
		}
		for i, secret := range append(secrets, []byte("$argon2id$"), []byte("correct horse 1")) {
			if s.knows(secret) {
				t.Errorf("secret %d was sent to an edge", i)
			}
		}
		n, _, err := pg.QueryOne(t.Context(), tokyo.Database(), "SELECT count(*) FROM sealed", pg.Scalar[int])
		if err != nil || n != 0 {
			t.Errorf("an edge has %d sealed values, %v", n, err)
		}
	})

	var anns, bobs core.SessionID
	var annsSeal core.Seal
	for _, c := range commands[command.CreateSession](s) {
		if c.Session.UserID == ann.User.ID {
			anns, annsSeal = c.Session.ID, c.Session.Token
		} else {
			bobs = c.Session.ID
		}
	}
	if anns.IsZero() || bobs.IsZero() {
		t.Fatal("the log has no sign-ins")
	}
	bobsKey := core.HashToken(bob.Token).ProofKey() // bob uses the stolen edge
	scope := core.Scope{Team: team.ID}
	t.Run("does not act for others", func(t *testing.T) {
		s.t = t
		message := "eve was here"
		for name, key := range map[string]core.ProofKey{
			"no key": {}, "the key of another session": bobsKey, "a key from the seal": core.TokenHash(annsSeal).ProofKey(),
		} {
			p := s.proposal(anns, &command.PatchPost{PostID: post.ID, PostPatch: core.PostPatch{Message: &message}})
			p.Scope = scope
			if name != "no key" {
				p.Proof = key.Prove(&p)
			}
			s.refused(name, p, core.KindForbidden)
		}
		s.refused("nobody's post", s.proposal(core.SessionID{}, &command.CreatePost{Post: core.Post{ChannelID: square.ID, Message: message}}), core.KindUnauthorized)
		s.refused("a session that does not exist", s.proposal(core.SessionID{9}, &command.CreatePost{Post: core.Post{ChannelID: square.ID, Message: message}}), core.KindUnauthorized)
	})

	t.Run("acts only as asked for", func(t *testing.T) {
		s.t = t
		p := s.proposal(bobs, &command.CreatePost{Post: core.Post{ChannelID: square.ID, Message: "bob was here"}})
		p.Scope = scope
		p.Proof = bobsKey.Prove(&p)
		altered := p
		altered.Data = bytes.Replace(p.Data, []byte("bob was"), []byte("eve was"), 1)
		s.refused("an altered command", altered, core.KindForbidden)
		altered = p
		altered.ID = core.NewID[core.Proposal](time.Now())
		s.refused("a second proposal with the proof of the first", altered, core.KindForbidden)
		altered = p
		altered.Scope = core.Scope{}
		s.refused("another scope", altered, core.KindForbidden)
		altered = p
		altered.Sealed = [][]byte{[]byte("what nobody names")}
		s.refused("a sealed value that nobody names", altered, core.KindInvalid)
		var wg sync.WaitGroup
		receipts := make([]core.Receipt, 4)
		for i := range receipts {
			wg.Go(func() {
				var err error
				if receipts[i], err = s.forward.Propose(t.Context(), p); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		for _, r := range receipts {
			if r.Index != receipts[0].Index || command.DecodeOutcome(r.Outcome, nil) != nil {
				t.Errorf("a repeated proposal was ordered at %d and %d", receipts[0].Index, r.Index)
			}
		}
		w.WaitConverged(t)
		if got := ann.Messages(square.ID); len(got) != 2 || got[0] != "bob was here" || got[1] != "ann was here" {
			t.Errorf("the channel has %q", got)
		}
	})

	t.Run("signs nobody in", func(t *testing.T) {
		s.t = t
		token := core.HashToken("a token of eve's")
		users := commands[command.CreateUser](s)
		attempts := []core.AttemptID{{}, core.AttemptAt(core.AttemptFor(token.Seal()), core.SubjectOf(ann.User.ID))}
		for _, c := range commands[command.CountAttempts](s) {
			attempts = append(attempts, c.Right...)
		}
		for _, id := range attempts {
			c := &command.CreateSession{
				Session:      core.Session{ID: core.NewID[core.Session](time.Now()), UserID: ann.User.ID, Token: token.Seal()},
				PasswordSeal: users[0].User.PasswordSeal, Attempt: id,
			}
			s.refused("a sign-in as ann", s.proposal(core.SessionID{}, c, token[:]), core.KindUnauthorized)
		}
		c := &command.CreateSession{Session: core.Session{ID: core.NewID[core.Session](time.Now()), UserID: bob.User.ID, Token: annsSeal}}
		s.refused("a session for ann's token", s.proposal(core.SessionID{}, c), core.KindInvalid)
	})

	t.Run("does not speak for home", func(t *testing.T) {
		s.t = t
		hash := []byte("$argon2id$ of eve's own")
		u := core.User{ID: core.NewID[core.User](time.Now()), Username: "eve", Email: "eve@example.com", PasswordSeal: core.SealOf(hash)}
		got, err := s.forward.Propose(t.Context(), s.proposal(core.SessionID{}, &command.CreateUser{User: u, OpenServer: true}, hash))
		if err != nil || core.KindOf(command.DecodeOutcome(got.Outcome, nil)) != core.KindForbidden {
			t.Errorf("a sign-up where home is closed: %v, %v", err, command.DecodeOutcome(got.Outcome, nil))
		}
		for _, c := range []command.Command{&command.RaiseVersion{To: 1}, &command.ContinueTask{}, &command.CountAttempts{}} {
			s.refused("what only home may propose", s.proposal(core.SessionID{}, c), core.KindForbidden)
			p := s.proposal(bobs, c)
			p.Proof = bobsKey.Prove(&p)
			s.refused("what only home may propose, for bob", p, core.KindForbidden)
		}
	})
}
