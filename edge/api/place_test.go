package api

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/command"
	"github.com/nearside/nearside/core/event"
	"github.com/nearside/nearside/edge"
	"github.com/nearside/nearside/edge/rate"
)

// crowd is an API whose operations say what they do and wait until they may go on.
type crowd struct {
	*testing.T
	api     *API
	events  *event.Tail
	steps   chan string   // what a request does now, with the path
	release chan struct{} // lets one go on
}

func (*crowd) Position() core.Position                       { return core.Position{} }
func (*crowd) WaitApplied(context.Context, core.Index) error { return nil }
func (c *crowd) Subscribe() *event.Cursor                    { return c.events.Subscribe() }
func (*crowd) Link() edge.Link                               { return edge.Link{Connected: true} }

// Propose implements edge.Proposer.
func (c *crowd) Propose(context.Context, core.Proposal) (core.Receipt, error) {
	c.step("propose")
	return core.Receipt{}, core.E(core.KindNotFound, "")
}

func (c *crowd) step(what string) {
	c.steps <- what
	<-c.release
}

// reader is a client that reads its answer late.
type reader struct {
	*httptest.ResponseRecorder
	c *crowd
}

func (r reader) Write(p []byte) (int, error) {
	r.c.step("send")
	return r.ResponseRecorder.Write(p)
}

// late is a body that comes late.
type late struct{ c *crowd }

func (l late) Read([]byte) (int, error) {
	l.c.step("body")
	return 0, io.EOF
}

func newCrowd(t *testing.T, cfg rate.Config) *crowd {
	t.Helper()
	c := &crowd{T: t, events: event.NewTail(), steps: make(chan string, 1000), release: make(chan struct{})}
	local, err := NewLocal(LocalConfig{View: c, Position: func(context.Context) (core.Position, error) { return core.Position{}, nil }})
	if err != nil {
		t.Fatal(err)
	}
	limiter, err := rate.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	work := func(*Call, core.User) (Done, error) { c.step("work"); return Done{}, nil }
	c.api, err = New(Config{
		Proposer: c, Local: local, Limiter: limiter, Assets: http.NotFoundHandler(),
		Scope: func(context.Context, command.Command) (core.Scope, error) { return core.Scope{}, nil },
		Authenticate: func(_ context.Context, token string) (core.Session, core.User, error) {
			return core.Session{}, core.User{ID: core.UserID{token[0]}}, nil
		},
		Routes: []Route{
			Get("/work", SignedIn, work), Post("/work", SignedIn, work), Get("/bytes", SignedIn, work).Flows(),
			Post("/change", SignedIn, func(c *Call, _ core.User) (Done, error) {
				return Done{}, c.Propose(&command.EndSession{}, nil)
			}),
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// ask begins n requests of an account.
func (c *crowd) ask(n int, who, method, path string, body io.Reader) {
	for range n {
		go func() {
			r := httptest.NewRequest(method, "/api/v4"+path, body)
			r.Header.Set("Authorization", "Bearer "+strings.Repeat(who, 26))
			c.api.ServeHTTP(reader{httptest.NewRecorder(), c}, r)
		}()
	}
	synctest.Wait()
}

// now gives what requests have begun to do since the last look.
func (c *crowd) now() string {
	synctest.Wait()
	did := map[string]int{}
	for len(c.steps) > 0 {
		did[<-c.steps]++
	}
	return strings.TrimSuffix(strings.TrimPrefix(fmt.Sprint(did), "map["), "]")
}

func (c *crowd) want(want string) {
	c.Helper()
	if got := c.now(); got != want {
		c.Fatalf("requests do %q, want %q", got, want)
	}
}

// finish lets everything go on to its end.
func (c *crowd) finish() { close(c.release); synctest.Wait() }

// One account works on few requests at once, however many it sends: the others wait for these, and nobody else
// waits for them. What an account's requests wait for elsewhere keeps none of its others: a body that comes late, home,
// a client that reads late, bytes from another node.
func TestPlaces_OneAccountWaitsForItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(t, rate.Config{})
		share := fmt.Sprintf("work:%d", workOfOne())
		c.ask(200, "e", "GET", "/work", nil)
		c.want(share)
		c.ask(1, "a", "GET", "/work", nil)
		c.want("work:1")
		c.ask(3, "e", "GET", "/bytes", nil)
		c.want("work:3")
		c.finish()
		c.want(fmt.Sprintf("send:204 work:%d", 200-workOfOne()))
	})
	for name, step := range map[string]struct {
		method, path, does string
		body               func(*crowd) io.Reader
	}{
		"a body that comes late": {"POST", "/work", "body:5", func(c *crowd) io.Reader { return late{c} }},
		"home":                   {"POST", "/change", "propose:5", nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCrowd(t, rate.Config{})
				var body io.Reader = strings.NewReader("")
				if step.body != nil {
					body = step.body(c)
				}
				c.ask(5, "e", step.method, step.path, body)
				c.want(step.does)
				c.ask(1, "e", "GET", "/work", nil)
				c.want("work:1")
				c.finish()
			})
		})
	}
	t.Run("a client that reads late", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c := newCrowd(t, rate.Config{})
			c.ask(1, "e", "GET", "/work", nil)
			c.release <- struct{}{}
			c.want("send:1 work:1")
			c.ask(1, "e", "GET", "/work", nil)
			c.want("work:1")
			c.finish()
		})
	})
}

// An account has few proposals under way, and one if it has spent more than half of what it may; more than so many
// waiting requests are refused.
func TestPlaces_Proposals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(t, rate.Config{Rates: rate.Rates{"write": {PerSec: 0.001, MaxBurst: 100}, "read": {PerSec: 1, MaxBurst: 1000}}})
		c.ask(40, "e", "POST", "/change", nil)
		c.want(fmt.Sprintf("propose:%d", proposalsOfOne))
		c.ask(30, "f", "POST", "/change", nil)
		c.want(fmt.Sprintf("propose:%d", proposalsOfOne))
		c.finish()
		c.now()
		c.release = make(chan struct{})
		c.ask(50, "e", "POST", "/change", nil)
		c.want(fmt.Sprintf("propose:%d", proposalsOfOne+hastyProposals)) // ten of them have not spent so much
		c.finish()
	})
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(t, rate.Config{})
		c.ask(workOfOne()+waitingOfOne+7, "e", "GET", "/work", nil)
		c.want(fmt.Sprintf("send:7 work:%d", workOfOne())) // seven refusals
		c.finish()
	})
}
