package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"github.com/nearside/nearside/bench/load"
	"github.com/nearside/nearside/bench/world"
	"github.com/nearside/nearside/cmd/node"
	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/apply/applytest"
	"github.com/nearside/nearside/core/backoff"
	"github.com/nearside/nearside/core/command"
	"github.com/nearside/nearside/core/guard"
	"github.com/nearside/nearside/core/password"
	"github.com/nearside/nearside/core/turn"
	"github.com/nearside/nearside/replication/forward"
	"github.com/nearside/nearside/replication/link"
	"github.com/nearside/nearside/replication/wire"
)

const (
	mutationsOfEach = 4  // of each command in each of its days
	hostilePerSec   = 40 // proposals
	garbageEvery    = 200 * time.Millisecond
	hostileLimit    = 10 * time.Second // for one answer
	hostilePassword = "correct horse 2"
)

// hostile is an edge with a valid certificate of its own that sends home whatever it likes: mutations of every command on
// behalf of its own users, with ids of other people in them; garbage on streams of every class; requests for the whole log.
type hostile struct {
	ep    *link.Endpoint
	homes []string
	fwd   *forward.Client
	hash  []byte // of the password of everybody at this edge

	rnd    *rand.Rand // of the goroutine that proposes
	pool   applytest.Pool
	keys   map[core.SessionID]core.ProofKey
	sealed map[core.Seal][]byte
	places places
	day    int
	budget *time.Ticker

	mu    sync.Mutex // guards the counts below
	count struct{ proposed, accepted, refused, unanswered, garbage, logs int }
}

// places says where the hostile edge's objects are, to name their scope.
type places struct {
	channels map[core.ChannelID]core.TeamID
	posts    map[core.PostID]core.ChannelID
	files    map[core.FileID]core.ChannelID
	uploads  map[core.UploadID]core.ChannelID
}

func (p places) TeamOfChannel(id core.ChannelID) core.TeamID     { return p.channels[id] }
func (p places) ChannelOfPost(id core.PostID) core.ChannelID     { return p.posts[id] }
func (p places) ChannelOfFile(id core.FileID) core.ChannelID     { return p.files[id] }
func (p places) ChannelOfUpload(id core.UploadID) core.ChannelID { return p.uploads[id] }

// newHostile has the deployment's authority sign a certificate for one more edge, and an operator admit it. The edge is
// then not run but imitated.
func newHostile(ctx context.Context, w *world.World, program string) (*hostile, error) {
	edges, err := w.Edges()
	if err != nil {
		return nil, err
	}
	some, err := node.Load(filepath.Join(w.Data(), "nodes", edges[0].Name, "config.yaml"))
	if err != nil {
		return nil, fmt.Errorf("read an edge's configuration: %w", err)
	}
	cred, err := certificate(ctx, program, w.Data(), some.Region)
	if err != nil {
		return nil, err
	}
	socket, err := link.Bind("127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	h := &hostile{
		rnd: rand.New(rand.NewPCG(1, 9)), keys: map[core.SessionID]core.ProofKey{}, sealed: map[core.Seal][]byte{},
		places: places{map[core.ChannelID]core.TeamID{}, map[core.PostID]core.ChannelID{}, map[core.FileID]core.ChannelID{}, map[core.UploadID]core.ChannelID{}},
		budget: time.NewTicker(time.Second / hostilePerSec),
	}
	if h.ep, err = link.New(link.Config{Conn: socket, Credentials: cred}); err != nil {
		return nil, err
	}
	for _, peer := range some.Home {
		h.homes = append(h.homes, peer.Addr)
	}
	if h.fwd, err = forward.New(forward.Config{Endpoint: h.ep, Candidates: func() []string { return h.homes }}); err != nil {
		return nil, err
	}
	hash, err := password.NewHasher(0, 0).Hash(ctx, turn.Who{}, hostilePassword)
	h.hash = []byte(hash)
	return h, err
}

func certificate(ctx context.Context, program, data, region string) (*link.Credentials, error) {
	dir, err := os.MkdirTemp("", "nearside-hostile-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	now := time.Now()
	ca, err := node.Authority(filepath.Join(data, "pki"), "", now)
	if err != nil {
		return nil, err
	}
	if err := node.Certify(ca, node.Config{Name: "edge-mallory", Region: region, Roles: []string{node.RoleEdge}, PKI: dir}, now); err != nil {
		return nil, err
	}
	if err := admit(ctx, program, data, dir); err != nil {
		return nil, err
	}
	return link.LoadCredentials(dir)
}

// admit admits a node by its certificate. Programs of earlier versions let every certificate of the authority in, and have
// no such command.
func admit(ctx context.Context, program, data, dir string) error {
	help, err := exec.CommandContext(ctx, program, "--help").Output()
	if err != nil || !bytes.Contains(help, []byte("  pki ")) {
		return err
	}
	if out, err := exec.CommandContext(ctx, program, "pki", "admit", dir, "--data", data).CombinedOutput(); err != nil {
		return fmt.Errorf("admit the hostile edge: %w: %s", err, out)
	}
	return nil
}

// learn gives the hostile edge ids of other people, as it may have seen them in the log.
func (h *hostile) learn(who load.Person, channels ...string) error {
	user, ok := core.ParseID[core.User](who.ID)
	if !ok {
		return fmt.Errorf("%q is no id", who.ID)
	}
	h.pool.SeeID(user)
	for _, c := range channels {
		id, ok := core.ParseID[core.Channel](c)
		if !ok {
			return fmt.Errorf("%q is no id", c)
		}
		h.pool.SeeID(id)
	}
	return nil
}

// serve runs the edge's end of its links until ctx ends.
func (h *hostile) serve(ctx context.Context) error {
	defer h.fwd.Close()
	return h.ep.Run(ctx)
}

// attack attacks until ctx ends.
func (h *hostile) attack(ctx context.Context) {
	var wg sync.WaitGroup
	wg.Go(func() {
		for n := 0; backoff.Pause(ctx, garbageEvery); n++ {
			h.garbage(ctx, n)
		}
	})
	for ctx.Err() == nil {
		h.day++
		s := &applytest.Scene{Name: fmt.Sprint("hostile", h.day)}
		s.Do = func(by command.Caller, c command.Command) command.Made { return h.do(ctx, by, c) }
		s.Play()
	}
	wg.Wait()
}

// do proposes mutations of a command and then the command itself.
func (h *hostile) do(ctx context.Context, by command.Caller, c command.Command) (made command.Made) {
	if ctx.Err() != nil {
		return made
	}
	if err := h.own(ctx, c); err != nil {
		h.note(err)
		return made
	}
	h.pool.See(c)
	for range mutationsOfEach {
		_, err := h.send(ctx, by, h.pool.Mutate(h.rnd, c))
		h.note(err)
	}
	made, err := h.send(ctx, by, c)
	h.note(err)
	if !made.ID.IsZero() {
		h.pool.SeeID(made.ID)
	}
	return made
}

func (h *hostile) note(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.count.proposed++
	switch {
	case err == nil:
		h.count.accepted++
	case core.KindOf(err) == core.KindUnavailable || core.KindOf(err) == core.KindInternal || errors.Is(err, context.DeadlineExceeded):
		h.count.unanswered++
	default:
		h.count.refused++
	}
}

// own makes a sign-up or a sign-in of the edge's own user one that home accepts.
func (h *hostile) own(ctx context.Context, c command.Command) error {
	switch c := c.(type) {
	case *command.CreateUser:
		c.User.PasswordSeal = core.SealOf(h.hash)
		h.sealed[c.User.PasswordSeal] = h.hash
	case *command.CreateSession:
		token := core.HashToken(c.Session.ID.String())
		c.Session.Token, c.PasswordSeal = token.Seal(), core.SealOf(h.hash)
		h.sealed[c.Session.Token], h.keys[c.Session.ID] = token[:], token.ProofKey()
		ctx, cancel := context.WithTimeout(ctx, hostileLimit)
		defer cancel()
		ask := guard.Remote{Ask: func(ctx context.Context, q []byte) ([]byte, error) { return h.fwd.Ask(ctx, askGuard, q) }}
		a, err := ask.Verify(ctx, guard.Question{
			ID: core.AttemptFor(c.Session.Token), Kind: core.AttemptPassword, UserID: c.Session.UserID, Secret: hostilePassword,
		})
		if err != nil {
			return err
		}
		c.Attempt = a.Attempt
	}
	return nil
}

// askGuard is the kind of question by which edges have secrets checked.
const askGuard = 2

// send proposes a command and gives its result.
func (h *hostile) send(ctx context.Context, by command.Caller, c command.Command) (made command.Made, err error) {
	select {
	case <-h.budget.C:
	case <-ctx.Done():
		return made, ctx.Err()
	}
	data, err := command.Encode(by, c)
	if err != nil {
		return made, err
	}
	p := core.Proposal{ID: core.NewID[core.Proposal](time.Now()), Scope: command.ScopeOf(c, h.places), Data: data}
	for _, seal := range command.Seals(c) {
		p.Sealed = append(p.Sealed, h.sealed[seal])
	}
	if key, ok := h.keys[by.Session]; ok {
		p.Proof = key.Prove(&p)
	}
	ctx, cancel := context.WithTimeout(ctx, hostileLimit)
	defer cancel()
	r, err := h.fwd.Propose(ctx, p)
	if err != nil {
		return made, err
	}
	if err := command.DecodeOutcome(r.Outcome, nil); err != nil {
		return made, err
	}
	_ = command.DecodeOutcome(r.Outcome, &made) // another type of result is of no interest
	switch c := c.(type) {
	case *command.CreateChannel:
		h.places.channels[c.Channel.ID] = c.Channel.TeamID
	case *command.CreatePost:
		h.places.posts[made.ID] = c.Post.ChannelID
	case *command.CreateFile:
		h.places.files[c.File.ID] = c.File.ChannelID
	case *command.FinishUpload:
		h.places.files[c.File.ID] = c.File.ChannelID
	case *command.CreateUpload:
		h.places.uploads[c.Upload.ID] = c.Upload.ChannelID
	}
	return made, nil
}

var classes = []link.Class{link.ClassRaft, link.ClassLog, link.ClassForward, link.ClassBlob, link.ClassGossip}

// garbage opens a stream of some class at some home node and sends what does not belong there; every tenth time it asks for
// the log from its beginning and stops reading.
func (h *hostile) garbage(ctx context.Context, n int) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	rnd := rand.New(rand.NewPCG(uint64(n), 10))
	class := classes[n%len(classes)]
	asksLog := n%10 == 1
	conn, err := h.ep.Dial(ctx, h.homes[rnd.IntN(len(h.homes))], class)
	if err != nil {
		h.noteGarbage(false)
		return
	}
	defer conn.Close(link.CodeDone, "")
	st, err := conn.OpenStream(ctx)
	if err != nil {
		h.noteGarbage(false)
		return
	}
	defer st.Abort()
	_ = st.SetDeadline(time.Now().Add(time.Second)) // it must not wait for an answer
	if asksLog {
		_ = wire.NewWriter(st).Write(wire.KindHello, wire.AppendHello(nil, wire.Hello{Version: wire.Version}))
	} else {
		// Half of it has the head of a frame.
		junk := make([]byte, 1+rnd.IntN(4096))
		for i := range junk {
			junk[i] = byte(rnd.Uint32())
		}
		if rnd.IntN(2) == 0 {
			_ = wire.NewWriter(st).Write(wire.Kind(rnd.IntN(24)), junk)
		} else {
			_, _ = st.Write(junk)
		}
	}
	_, _ = st.Read(make([]byte, 1024)) // an answer, or the end
	h.noteGarbage(asksLog)
}

func (h *hostile) noteGarbage(asksLog bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if asksLog {
		h.count.logs++
	} else {
		h.count.garbage++
	}
}

// carol is somebody whom the hostile edge knows and who does nothing: all that is hers must stay as it is.
type carol struct {
	me     load.Person
	room   load.Room
	before string
}

func newCarol(ctx context.Context, base string) (*carol, error) {
	me, err := load.Person{Base: base, Name: "carol", From: "127.0.201.1"}.SignUp(ctx)
	if err != nil {
		return nil, fmt.Errorf("sign up: %w", err)
	}
	k := &carol{me: me}
	c := me.Conn()
	defer c.Close()
	var team, room struct{ ID string }
	if _, err := c.Call(ctx, http.MethodPost, "teams", map[string]string{"name": "carols", "display_name": "Carols", "type": "I"}, &team); err != nil {
		return nil, err
	}
	if _, err := c.Call(ctx, http.MethodPost, "channels", map[string]string{"team_id": team.ID, "name": "hers", "display_name": "Hers", "type": "O"}, &room); err != nil {
		return nil, err
	}
	k.room = load.Room{Team: team.ID, Channel: room.ID}
	if _, err := c.Call(ctx, http.MethodPost, "posts", map[string]string{"channel_id": room.ID, "message": "mine"}, nil); err != nil {
		return nil, err
	}
	k.before, err = k.all(ctx)
	return k, err
}

// all gives what is hers, as text.
func (k *carol) all(ctx context.Context) (out string, err error) {
	c := k.me.Conn()
	defer c.Close()
	for _, path := range []string{
		"users/me", "users/me/preferences", "users/me/sessions", "teams/" + k.room.Team, "teams/" + k.room.Team + "/members", "channels/" + k.room.Channel, "channels/" + k.room.Channel + "/members",
		"channels/" + k.room.Channel + "/posts",
	} {
		var v any
		if _, err := c.Call(ctx, http.MethodGet, path, nil, &v); err != nil {
			return "", err
		}
		forget(v)
		text, err := json.Marshal(v)
		if err != nil {
			return "", err
		}
		out += path + " " + string(text) + "\n"
	}
	return out, nil
}

// forget removes what changes by reading.
func forget(v any) {
	switch v := v.(type) {
	case map[string]any:
		for name, inner := range v {
			if name == "last_activity_at" || name == "last_viewed_at" || name == "last_update_at" {
				delete(v, name)
			}
			forget(inner)
		}
	case []any:
		for _, inner := range v {
			forget(inner)
		}
	}
}
