package node_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/nearside/nearside/cmd/node/nodetest"
	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/apply/applytest"
	"github.com/nearside/nearside/core/command"
	"github.com/nearside/nearside/core/guard"
	hashes "github.com/nearside/nearside/core/password"
	"github.com/nearside/nearside/core/pg"
	"github.com/nearside/nearside/core/turn"
	"github.com/nearside/nearside/replication/forward"
)

// evil is an edge with a valid certificate that sends whatever it likes. It knows where its objects are, to name their scope.
type evil struct {
	t        *testing.T
	fwd      *forward.Client
	mu       sync.Mutex // guards all below
	channels map[core.ChannelID]core.TeamID
	posts    map[core.PostID]core.ChannelID
	files    map[core.FileID]core.ChannelID
	uploads  map[core.UploadID]core.ChannelID
	accepted map[reflect.Type]int
	tried    map[reflect.Type]int
	keys     map[core.SessionID]core.ProofKey // of its own users' sessions
	sealed   map[core.Seal][]byte             // what it has sealed
}

func (e *evil) TeamOfChannel(id core.ChannelID) core.TeamID     { return e.channels[id] }
func (e *evil) ChannelOfPost(id core.PostID) core.ChannelID     { return e.posts[id] }
func (e *evil) ChannelOfFile(id core.FileID) core.ChannelID     { return e.files[id] }
func (e *evil) ChannelOfUpload(id core.UploadID) core.ChannelID { return e.uploads[id] }

// send proposes a command and gives its result.
func (e *evil) send(by command.Caller, c command.Command) (made command.Made, err error) {
	data, err := command.Encode(by, c)
	if err != nil {
		return made, err
	}
	e.mu.Lock()
	p := core.Proposal{ID: core.NewID[core.Proposal](time.Now()), Scope: command.ScopeOf(c, e), Data: data}
	for _, seal := range command.Seals(c) {
		p.Sealed = append(p.Sealed, e.sealed[seal])
	}
	if key, ok := e.keys[by.Session]; ok {
		p.Proof = key.Prove(&p)
	}
	e.mu.Unlock()
	ctx, cancel := context.WithTimeout(e.t.Context(), time.Minute)
	defer cancel()
	r, err := e.fwd.Propose(ctx, p)
	if err != nil {
		return made, err
	}
	if err := command.DecodeOutcome(r.Outcome, nil); err != nil {
		return made, err
	}
	_ = command.DecodeOutcome(r.Outcome, &made) // another type of result is of no interest
	e.mu.Lock()
	defer e.mu.Unlock()
	e.accepted[reflect.TypeOf(c).Elem()]++
	switch c := c.(type) {
	case *command.CreateChannel:
		e.channels[c.Channel.ID] = c.Channel.TeamID
	case *command.CreatePost:
		e.posts[made.ID] = c.Post.ChannelID
	case *command.CreateFile:
		e.files[c.File.ID] = c.File.ChannelID
	case *command.FinishUpload:
		e.files[c.File.ID] = c.File.ChannelID
	case *command.CreateUpload:
		e.uploads[c.Upload.ID] = c.Upload.ChannelID
	}
	return made, nil
}

// evilPassword is the password of everybody at the edge.
const evilPassword = "correct horse 2"

// own makes a sign-up or a sign-in of the edge's own user one that home accepts: home asks for a password that is right.
func (e *evil) own(c command.Command, hash []byte) {
	e.t.Helper()
	switch c := c.(type) {
	case *command.CreateUser:
		c.User.PasswordSeal = core.SealOf(hash)
		e.sealed[c.User.PasswordSeal] = hash
	case *command.CreateSession:
		token := core.HashToken(c.Session.ID.String())
		c.Session.Token, c.PasswordSeal = token.Seal(), core.SealOf(hash)
		e.sealed[c.Session.Token], e.keys[c.Session.ID] = token[:], token.ProofKey()
		ask := guard.Remote{Ask: func(ctx context.Context, q []byte) ([]byte, error) { return e.fwd.Ask(ctx, 2, q) }}
		a, err := ask.Verify(e.t.Context(), guard.Question{
			ID: core.AttemptFor(c.Session.Token), Kind: core.AttemptPassword, UserID: c.Session.UserID, Secret: evilPassword,
		})
		if err != nil || a.Verdict != guard.Right {
			e.t.Fatalf("signing in: %+v, %v", a, err)
		}
		c.Attempt = a.Attempt
	}
}

// An edge with a valid certificate proposes 200 mutations of every command for its own users, with ids of somebody at another
// edge in them. Nothing of hers changes, every node stays ready, and all replicas have the same rows.
func TestHostileEdge_Mutations(t *testing.T) {
	const ofEach, days, atOnce = 200, 4, 16
	w := nodetest.Start(t, nodetest.Topology{Home: 1, Edges: []string{"oslo", "tokyo"}})
	honest, bad := w.Node("edge-oslo"), w.Node("edge-tokyo")
	carol := honest.Client(t).SignUp("carol")
	team, room := carol.Room("crew")
	said := carol.Post(room.ID, "mine")
	var me core.User
	carol.OK("GET", "/users/me", nil, &me)
	w.WaitConverged(t)
	bad.Stop()
	e := &evil{t: t, fwd: bad.Impersonate(t), channels: map[core.ChannelID]core.TeamID{room.ID: team.ID}, posts: map[core.PostID]core.ChannelID{said.ID: room.ID},
		files: map[core.FileID]core.ChannelID{}, uploads: map[core.UploadID]core.ChannelID{}, accepted: map[reflect.Type]int{}, tried: map[reflect.Type]int{},
		keys: map[core.SessionID]core.ProofKey{}, sealed: map[core.Seal][]byte{}}
	hash, err := hashes.NewHasher(0, 0).Hash(t.Context(), turn.Who{}, evilPassword)
	if err != nil {
		t.Fatal(err)
	}
	before := ofSomebody(t, honest, me.ID, team.ID)

	rnd, pool := rand.New(rand.NewPCG(2, 9)), &applytest.Pool{}
	for _, id := range []any{me.ID, team.ID, room.ID, said.ID} {
		pool.SeeID(id)
	}
	for day := range days {
		s := &applytest.Scene{Name: fmt.Sprint("evil", day)}
		s.Do = func(by command.Caller, c command.Command) command.Made {
			typ := reflect.TypeOf(c).Elem()
			e.own(c, []byte(hash))
			pool.See(c)
			var group sync.WaitGroup
			slots := make(chan struct{}, atOnce)
			for ; e.tried[typ] < (day+1)*ofEach/days; e.tried[typ]++ {
				other := pool.Mutate(rnd, c)
				slots <- struct{}{}
				group.Go(func() {
					_, _ = e.send(by, other)
					<-slots
				})
			}
			group.Wait()
			made, _ := e.send(by, c)
			if !made.ID.IsZero() {
				pool.SeeID(made.ID)
			}
			return made
		}
		s.Play()
	}
	total := 0
	for _, n := range e.accepted {
		total += n
	}
	if total < 100 {
		t.Errorf("only %d proposals were accepted: the test says little", total)
	}
	for _, n := range w.Nodes() {
		if n != bad {
			wantReady(w, n, http.StatusOK, "ready")
		}
	}
	if got := ofSomebody(t, honest, me.ID, team.ID); got != before {
		t.Errorf("carol's rows are other ones:\n%s\nbefore:\n%s", got, before)
	}
	carol.Post(room.ID, "still here")
	bad.Restart()
	w.WaitConverged(t)
}

// ofSomebody gives a person's account, sessions and settings, and what is in their team, as text. Anybody may add the person
// to a team of their own, join an open team, and then pin and answer posts there: what that changes does not count.
func ofSomebody(t *testing.T, n *nodetest.Node, u core.UserID, team core.TeamID) (out string) {
	t.Helper()
	for _, q := range []string{
		"SELECT x::text FROM nearside.users x WHERE id = $1 AND $2::uuid IS NOT NULL",
		"SELECT x::text FROM nearside.sessions x WHERE user_id = $1 AND $2::uuid IS NOT NULL ORDER BY id",
		"SELECT x::text FROM nearside.preferences x WHERE user_id = $1 AND $2::uuid IS NOT NULL ORDER BY category, name",
		"SELECT x::text FROM nearside.teams x WHERE id = $2 AND $1::uuid IS NOT NULL",
		"SELECT x::text FROM nearside.team_members x WHERE user_id = $1 AND team_id = $2",
		"SELECT x::text FROM nearside.channels x WHERE team_id = $2 AND creator_id = $1 ORDER BY id",
		"SELECT concat_ws('|', id, type, message, hashtags, props, edit_at, delete_at) FROM nearside.posts x WHERE user_id = $1 AND channel_id IN (SELECT id FROM nearside.channels WHERE team_id = $2) ORDER BY id",
	} {
		list, err := pg.Query(t.Context(), n.Database(), q, pg.Scalar[string], [16]byte(u), [16]byte(team))
		if err != nil {
			t.Fatal(err)
		}
		out += fmt.Sprintln(list)
	}
	return out
}
