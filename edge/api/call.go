package api

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"runtime/debug"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/edge/rate"
	"github.com/nearside/nearside/edge/session"
)

// Call is one request on its way to its answer. It belongs to the goroutine of the request. As
// a context it ends with the request, or with the request's limit.
type Call struct {
	context.Context
	Request *http.Request
	Writer  http.ResponseWriter
	ID      string // X-Request-Id; in every log record of the request

	Token   string
	Session core.Session // zero without one
	User    core.User    // of the session
	Address netip.Addr   // of the client

	Spent Timings

	api     *API
	target  *target
	params  []string
	values  url.Values    // of the query; read by Query
	seen    core.Position // the position that the client has seen, or has caused
	stale   time.Duration // how old the answer may be, if this edge is behind what the client has seen
	behind  bool          // this edge has not applied what was proposed
	sending bool          // a part of the answer may have been sent
	body    []byte        // of the request, once ReadBody has read it
	bodyErr error         // why it could not
	purse   rate.Verdict  // how the caller's tokens stand
	limited bool          // purse says something
	place   func()        // leaves the place that enter gave; nil without one
}

// slowLimit is the duration of a request above which it is logged.
const slowLimit = time.Second

// Timings is how long a request waited for each step.
type Timings struct {
	Begun   time.Time
	CatchUp time.Duration // until this edge had what the client has seen
	Turn    time.Duration // for other requests of the account
	Policy  time.Duration // until the caller was known and allowed
	Body    time.Duration // for the body to arrive
	Propose time.Duration // for home to order and apply
	Follow  time.Duration // for this edge to apply it too
	Send    time.Duration // for the client to read the answer
}

// since adds the time since begin to d.
func since(begin time.Time, d *time.Duration) { *d += time.Since(begin) }

// serve handles a request from its route to its answer.
func (a *API) serve(w http.ResponseWriter, r *http.Request, t *target, params []string) {
	began := time.Now()
	ctx := &limit{Context: r.Context(), at: began.Add(RequestLimit)}
	defer ctx.end()
	c := &Call{
		Context: ctx, Request: r, Writer: w, ID: core.NewID[Call](began).String(), Address: a.cfg.Limiter.Address(r), api: a, target: t, params: params,
	}
	ctx.answer = &answer{call: c}
	defer ctx.answer.release()
	c.Spent.Begun = began
	defer c.leave()
	defer c.logSlow()
	defer func() {
		if p := recover(); p != nil {
			c.panicked(p, debug.Stack())
		}
	}()
	answer, err := c.run()
	if err != nil {
		c.api.refused.note(c, err)
		answer = c.problem(err)
	}
	c.send(answer)
}

func (c *Call) panicked(p any, stack []byte) {
	if p == http.ErrAbortHandler { //nolint:errorlint // a panic with just this, which net/http knows
		panic(p)
	}
	c.Log().Error("handler panicked", "method", c.Request.Method, "path", c.Request.URL.Path, "panic", p, "stack", string(stack))
	if c.sending {
		panic(http.ErrAbortHandler)
	}
	c.send(c.problem(core.E(core.KindInternal, "")))
}

// logSlow logs a request that took long for other reasons than its client.
func (c *Call) logSlow() {
	s := c.Spent
	if total := time.Since(s.Begun); total-s.Body-s.Send > slowLimit {
		rest := total - s.CatchUp - s.Turn - s.Policy - s.Body - s.Propose - s.Follow - s.Send
		c.Log().Warn("slow request", "method", c.Request.Method, "path", c.Request.URL.Path, "total", total, "catch_up", s.CatchUp, "turn", s.Turn, "policy", s.Policy,
			"body", s.Body, "propose", s.Propose, "follow", s.Follow, "read", rest, "send", s.Send)
	}
}

// Log returns a logger with the request's id in every record.
func (c *Call) Log() *slog.Logger { return c.api.log.With("request", c.ID) }

func (c *Call) run() (Answer, error) {
	if err := c.checkURL(); err != nil {
		return nil, err
	}
	if c.target.class != rate.Socket { // it tells its client what it has by itself
		c.awaitSeen()
	}
	unknown := c.identify()
	if err := c.pay(); err != nil { // also without a session: looking for one has a price
		return nil, err
	}
	if unknown != nil {
		return nil, unknown
	}
	answer, err := c.handle()
	if core.KindOf(err) == core.KindNotFound && c.Request.Method == http.MethodGet && !c.target.Open {
		c.leave()
		if c.CaughtUpWithHome(c.Request.URL.Path) {
			answer, err = c.handle()
		}
	}
	return answer, err
}

func (c *Call) handle() (Answer, error) {
	if err := c.enter(); err != nil {
		return nil, err
	}
	return c.target.handle(c, c.target.status)
}

func (c *Call) checkURL() error {
	if len(c.Request.RequestURI) > maxURIBytes {
		return core.E(core.KindURITooLong, "")
	}
	query, err := url.QueryUnescape(c.Request.URL.RawQuery)
	if err != nil || !Plain(query) || !Plain(c.Request.URL.Path) {
		return badURL.With("reason", "text")
	}
	return nil
}

// Plain reports whether PostgreSQL can hold s.
func Plain(s string) bool { return utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 }

// identify finds out who the caller is. If the route needs no session, an invalid one is ignored;
// but a write whose session cannot be looked up now does not count as anonymous.
func (c *Call) identify() error {
	defer since(time.Now(), &c.Spent.Policy)
	token, from := session.TokenFrom(c.Request)
	need := !c.target.Open
	switch {
	case token == "" && need:
		return core.E(core.KindUnauthorized, "")
	case token == "":
		return nil
	case from == session.FromQuery && need: // only for OAuth sessions, which do not exist here
		return noToken
	case from == session.FromQuery:
		return nil
	}
	s, u, err := c.api.cfg.Authenticate(c, token)
	forged := err == nil && from == session.FromCookie && !c.reads() && !c.target.trusted && !session.PassesCSRF(c.Request, token)
	if forged { // on open routes too: only the holder of a session may end it
		err = core.E(core.KindUnauthorized, "")
	}
	dead := core.KindOf(err) == core.KindUnauthorized
	switch {
	case err == nil:
		c.Token, c.Session, c.User = token, s, u
		return nil
	case !need && !forged && (dead || c.reads()):
		return nil
	case dead:
		session.ClearCookie(c.Writer, c.Request)
	}
	return err
}

// reads reports whether the request changes nothing.
func (c *Call) reads() bool {
	return c.Request.Method == http.MethodGet || c.Request.Method == http.MethodHead
}

// Within runs f with its own time limit.
func (c *Call) Within(limit time.Duration, f func() error) error {
	before := c.Context
	ctx, cancel := context.WithTimeout(before, limit)
	defer cancel()
	c.Context = ctx
	defer func() { c.Context = before }()
	return f()
}

// Param returns a parameter of the path.
func (c *Call) Param(name string) string {
	for i, n := range c.target.params {
		if n == name {
			return c.params[i]
		}
	}
	return ""
}

// PathID returns an id in the path.
func PathID[T any](c *Call, name string) (core.ID[T], error) {
	id, ok := core.ParseID[T](c.Param(name))
	if !ok {
		return id, BadURL(name)
	}
	return id, nil
}

// IsMe reports whether a user is the caller.
func (c *Call) IsMe(u core.UserID) bool { return u == c.User.ID && !u.IsZero() }

// Header returns the headers of the answer.
func (c *Call) Header() http.Header { return c.Writer.Header() }
