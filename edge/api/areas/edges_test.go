package areas_test

import (
	"context"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/edge"
	"github.com/nearside/nearside/edge/api"
	"github.com/nearside/nearside/edge/api/apitest"
)

func TestEdges_ReadYourWrites(t *testing.T) {
	// A client that moves to an edge that is behind waits there until the edge has what the
	// client has seen.
	near, away, _ := apitest.TwoEdges(t)
	ann := near.SignUp(t, "ann")
	ch, _ := apitest.ChannelOf(ann, 1)
	ann.Roams = true
	away.Hold()
	ann.Post(ch, "2")
	there := ann.At(away)
	waiting := make(chan struct{})
	away.OnWait = sync.OnceFunc(func() { close(waiting) })
	got := make(chan apitest.List)
	go func() { got <- there.List("/channels/%s/posts", ch) }()
	select {
	case l := <-got:
		t.Fatalf("answered %q before it had the post", l.Texts())
	case <-waiting:
	case <-time.After(apitest.Limit):
		t.Fatal("nobody waits")
	}
	away.Release()
	if l := <-got; l.Texts() != "2 1 ann joined the channel." {
		t.Errorf("got %q", l.Texts())
	}
}

func TestEdges_StaleSaysSo(t *testing.T) {
	// An edge that cannot catch up answers after a limited time, with the age of its data.
	near, away, _ := apitest.TwoEdges(t)
	ann := near.SignUp(t, "ann")
	ch, _ := apitest.ChannelOf(ann, 1)
	ann.Roams = true
	away.Hold()
	defer away.Release()
	ann.Post(ch, "2")
	away.SetLink(edge.Link{Lag: 1500 * time.Millisecond})
	there := ann.At(away)
	resp := there.Must(200, "GET", "/channels/"+ch.String()+"/posts", nil, nil)
	if got := resp.Header.Get("X-Nearside-Stale"); got != "1500" {
		t.Errorf("X-Nearside-Stale is %q", got)
	}
	near2 := there.At(near)
	near2.Must(200, "GET", "/channels/"+ch.String()+"/posts", nil, nil)
	a, _ := core.ParsePosition(there.Position)
	b, _ := core.ParsePosition(near2.Position)
	if b.Before(a) {
		t.Errorf("the stale edge gave %v, home %v", a, b)
	}
}

func TestEdges_CutOff(t *testing.T) {
	// While home cannot be reached, reads work and writes are refused at once with Retry-After.
	near, away, _ := apitest.TwoEdges(t)
	ann := near.SignUp(t, "ann")
	ch, _ := apitest.ChannelOf(ann, 1)
	there := ann.At(away)
	away.SetLink(edge.Link{Connected: false, Lag: time.Second})
	there.Must(200, "GET", "/channels/"+ch.String()+"/posts", nil, nil)
	resp := there.Must(503, "POST", "/posts", map[string]string{"channel_id": ch.String(), "message": "x"}, nil)
	if resp.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	away.SetLink(edge.Link{Connected: true})
	there.Post(ch, "back")
}

func TestEdges_AskHomeBeforeSayingNo(t *testing.T) {
	// If an edge does not know a session, an account or a channel, it asks home before it answers
	// 401 or 404; the same question is not asked again for a second.
	near, away, ask := apitest.TwoEdges(t)
	away.Hold()
	ann := near.SignUp(t, "ann")
	team := ann.NewTeam("crew")
	ask.Answer = func(ctx context.Context, q []byte) ([]byte, error) {
		away.Release()
		return api.AnswerPosition(near)(ctx, q)
	}
	there := ann.At(away)
	there.Must(200, "GET", "/users/me", nil, nil)
	away.Hold()
	ch := ann.NewChannel(team.ID, "deck", "O")
	there.Must(200, "GET", "/channels/"+ch.String(), nil, nil)
	away.Hold()
	bob := near.SignUp(t, "bob")
	bob.At(away).Must(200, "POST", "/users/login", map[string]string{"login_id": "bob", "password": apitest.Password}, nil)
	before := ask.Asked
	for range 3 {
		there.Fails(404, "app.channel.get.existing.app_error", "GET", "/channels/"+core.NewID[core.Channel](t0).String(), nil)
	}
	missing := core.NewID[core.Channel](t0).String()
	for range 3 {
		there.Fails(404, "app.channel.get.existing.app_error", "GET", "/channels/"+missing, nil)
	}
	if n := ask.Asked - before; n != 4 {
		t.Errorf("asked %d times", n)
	}
}

func TestEdges_UnknownTokenCutOff(t *testing.T) {
	// While home cannot be reached, a token that may be valid elsewhere is not refused with 401:
	// the client would forget it.
	near, away, ask := apitest.TwoEdges(t)
	away.Hold()
	defer away.Release()
	ann := near.SignUp(t, "ann")
	ask.Answer = func(context.Context, []byte) ([]byte, error) { return nil, core.E(core.KindUnavailable, "cut off") }
	ann.At(away).Fails(http.StatusServiceUnavailable, "api.nearside.unavailable.app_error", "GET", "/users/me", nil)
}

func TestEdges_WriteNamesWhatIsNotHereYet(t *testing.T) {
	// A write at one edge that names what was made at another a moment ago waits until the edge has it: the
	// edge knows no scope for it before.
	near, away, ask := apitest.TwoEdges(t)
	ann := near.SignUp(t, "ann")
	team := ann.NewTeam("crew")
	away.Hold()
	ch := ann.NewChannel(team.ID, "deck", "O")
	ask.Answer = func(ctx context.Context, q []byte) ([]byte, error) {
		away.Release()
		return api.AnswerPosition(near)(ctx, q)
	}
	before := ask.Asked
	there := ann.At(away)
	if p := there.Post(ch, "hello"); p.ChannelID != ch {
		t.Errorf("posted %+v", p)
	}
	there.Post(ch, "again")
	if n := ask.Asked - before; n != 1 {
		t.Errorf("home was asked %d times", n)
	}
}

func TestEdges_WriteDoesNotWaitForEver(t *testing.T) {
	// When home does not answer in time, such a write fails, and nothing was proposed.
	near, away, ask := apitest.TwoEdges(t)
	ann := near.SignUp(t, "ann")
	team := ann.NewTeam("crew")
	away.Hold()
	defer away.Release()
	ch := ann.NewChannel(team.ID, "deck", "O")
	ask.Answer = func(ctx context.Context, _ []byte) ([]byte, error) {
		<-ctx.Done()
		return nil, context.Cause(ctx)
	}
	before := near.Position()
	ann.At(away).Fails(http.StatusServiceUnavailable, "api.nearside.unavailable.app_error", "POST", "/posts", map[string]string{"channel_id": ch.String(), "message": "x"})
	if after := near.Position(); after != before {
		t.Errorf("home went on from %v to %v", before, after)
	}
}
