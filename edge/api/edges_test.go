package api_test

import (
	"context"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/edge"
	"github.com/nearside/nearside/edge/api"
)

// asker asks home, or fails while home is cut off.
type asker struct {
	answer func(context.Context, []byte) ([]byte, error)
	asked  int
}

func (a *asker) Ask(ctx context.Context, q []byte) ([]byte, error) {
	a.asked++
	return a.answer(ctx, q)
}

// twoEdges makes a home with an edge at home and one away.
func twoEdges(t *testing.T) (near, away *site, ask *asker) {
	h, near := newHome(t)
	ask = &asker{answer: api.AnswerPosition(near)}
	return near, h.newSite(ask), ask
}

func TestEdges_ReadYourWrites(t *testing.T) {
	// Whoever moves to an edge that is behind waits there until it has what they have seen.
	near, away, _ := twoEdges(t)
	ann := near.signUp(t, "ann")
	ch, _ := channelOf(ann, 1)
	ann.roams = true
	away.hold()
	ann.post(ch, "2")
	there := ann.at(away)
	waiting := make(chan struct{})
	away.onWait = sync.OnceFunc(func() { close(waiting) })
	got := make(chan list)
	go func() { got <- there.list("/channels/%s/posts", ch) }()
	select {
	case l := <-got:
		t.Fatalf("answered %q before it had the post", l.texts())
	case <-waiting:
	case <-time.After(limit):
		t.Fatal("nobody waits")
	}
	away.release()
	if l := <-got; l.texts() != "2 1 ann joined the channel." {
		t.Errorf("got %q", l.texts())
	}
}

func TestEdges_StaleSaysSo(t *testing.T) {
	// An edge that cannot catch up answers after a moment all the same, and says how old that is.
	near, away, _ := twoEdges(t)
	ann := near.signUp(t, "ann")
	ch, _ := channelOf(ann, 1)
	ann.roams = true
	away.hold()
	defer away.release()
	ann.post(ch, "2")
	away.setLink(edge.Link{Lag: 1500 * time.Millisecond})
	there := ann.at(away)
	resp := there.must(200, "GET", "/channels/"+ch.String()+"/posts", nil, nil)
	if got := resp.Header.Get("X-Nearside-Stale"); got != "1500" {
		t.Errorf("X-Nearside-Stale is %q", got)
	}
	near2 := there.at(near)
	near2.must(200, "GET", "/channels/"+ch.String()+"/posts", nil, nil)
	a, _ := core.ParsePosition(there.position)
	b, _ := core.ParsePosition(near2.position)
	if b.Before(a) {
		t.Errorf("the stale edge gave %v, home %v", a, b)
	}
}

func TestEdges_CutOff(t *testing.T) {
	// Cut off from home, reads go on and writes are refused at once with Retry-After.
	near, away, _ := twoEdges(t)
	ann := near.signUp(t, "ann")
	ch, _ := channelOf(ann, 1)
	there := ann.at(away)
	away.setLink(edge.Link{Connected: false, Lag: time.Second})
	there.must(200, "GET", "/channels/"+ch.String()+"/posts", nil, nil)
	resp := there.must(503, "POST", "/posts", map[string]string{"channel_id": ch.String(), "message": "x"}, nil)
	if resp.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	away.setLink(edge.Link{Connected: true})
	there.post(ch, "back")
}

func TestEdges_AskHomeBeforeSayingNo(t *testing.T) {
	// A session, an account or a channel that an edge does not have yet is asked for at home
	// before 401 or 404 is said; the same question waits a second.
	near, away, ask := twoEdges(t)
	away.hold()
	ann := near.signUp(t, "ann")
	team := ann.newTeam("crew")
	ask.answer = func(ctx context.Context, q []byte) ([]byte, error) {
		away.release()
		return api.AnswerPosition(near)(ctx, q)
	}
	there := ann.at(away)
	there.must(200, "GET", "/users/me", nil, nil)
	away.hold()
	ch := ann.newChannel(team.ID, "deck", "O")
	there.must(200, "GET", "/channels/"+ch.String(), nil, nil)
	away.hold()
	bob := near.signUp(t, "bob")
	bob.at(away).must(200, "POST", "/users/login", map[string]string{"login_id": "bob", "password": password}, nil)
	before := ask.asked
	for range 3 {
		there.fails(404, "app.channel.get.existing.app_error", "GET", "/channels/"+core.NewID[core.Channel](t0).String(), nil)
	}
	missing := core.NewID[core.Channel](t0).String()
	for range 3 {
		there.fails(404, "app.channel.get.existing.app_error", "GET", "/channels/"+missing, nil)
	}
	if n := ask.asked - before; n != 4 {
		t.Errorf("asked %d times", n)
	}
}

func TestEdges_UnknownTokenCutOff(t *testing.T) {
	// Cut off from home, a token that may be good elsewhere is not called bad: 401 would make
	// the client forget it.
	near, away, ask := twoEdges(t)
	away.hold()
	defer away.release()
	ann := near.signUp(t, "ann")
	ask.answer = func(context.Context, []byte) ([]byte, error) { return nil, core.E(core.KindUnavailable, "cut off") }
	ann.at(away).fails(http.StatusServiceUnavailable, "api.nearside.unavailable.app_error", "GET", "/users/me", nil)
}
