package api

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/edge/session"
)

// call is one request on its way to its answer. It belongs to the goroutine of the request.
type call struct {
	api    *API
	w      http.ResponseWriter
	r      *http.Request
	ctx    context.Context
	target *target
	params []string
	values url.Values // of the query; read by query()
	id     string     // X-Request-Id

	token   string
	session core.Session // zero without one
	user    core.User    // of the session

	status   int
	body     []byte
	page     *page         // an encoded answer that is shared, instead of body
	download *download     // stored bytes, instead of body; handlers set it last
	seen     core.Position // what the client had seen, or has made, before
	stale    time.Duration // how old the answer may be, when this edge is behind what the client saw
}

// serve handles a request from its row to its answer.
func (a *API) serve(w http.ResponseWriter, r *http.Request, t *target, params []string) {
	ctx, cancel := context.WithTimeout(r.Context(), requestLimit)
	defer cancel()
	c := &call{api: a, w: w, r: r, ctx: ctx, target: t, params: params, id: core.NewID[call](time.Now()).String()}
	defer func() {
		if p := recover(); p != nil {
			if p == http.ErrAbortHandler { //nolint:errorlint // a panic with just this, which net/http knows
				panic(p)
			}
			a.log.Error("handler panicked", "method", r.Method, "path", r.URL.Path, "panic", p)
			if c.download != nil { // some of it may have been sent
				panic(http.ErrAbortHandler)
			}
			c.answerProblem(core.E(core.KindInternal, ""))
			c.write()
		}
	}()
	if err := c.run(); err != nil {
		c.answerProblem(err)
	}
	c.write()
}

func (c *call) run() error {
	if err := c.checkURL(); err != nil {
		return err
	}
	c.awaitSeen()
	if err := c.identify(); err != nil {
		return err
	}
	err := c.target.handle(c.api, c)
	if core.KindOf(err) == core.KindNotFound && c.r.Method == http.MethodGet && c.target.session && c.caughtUpWithHome(c.r.URL.Path) {
		err = c.target.handle(c.api, c)
	}
	return err
}

func (c *call) checkURL() error {
	if len(c.r.RequestURI) > maxURIBytes {
		return core.E(core.KindURITooLong, "")
	}
	query, err := url.QueryUnescape(c.r.URL.RawQuery)
	if err != nil || !plain(query) || !plain(c.r.URL.Path) {
		return core.E(core.KindInvalid, "The URL is not valid UTF-8, or holds a NUL character.").WithID("api.context.invalid_url_param.app_error")
	}
	return nil
}

// plain reports whether PostgreSQL can hold s.
func plain(s string) bool { return utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 }

// identify finds out who asks. On a route without need of a session, a dead one is ignored; a
// write whose session cannot be looked up now is not taken for nobody's.
func (c *call) identify() error {
	token, from := session.TokenFrom(c.r)
	need := c.target.session
	switch {
	case token == "" && need:
		return core.E(core.KindUnauthorized, "")
	case token == "":
		return nil
	case from == session.FromQuery && need: // for OAuth sessions only, and there are none
		return core.E(core.KindUnauthorized, "A token is not accepted in the URL.").WithID("api.context.token_provided.app_error")
	case from == session.FromQuery:
		return nil
	}
	s, u, err := c.api.Authenticate(c.ctx, token)
	forged := err == nil && from == session.FromCookie && !c.reads() && !c.target.trust && !session.PassesCSRF(c.r, token)
	if forged { // on open routes too: who ends a session must hold it
		err = core.E(core.KindUnauthorized, "")
	}
	dead := core.KindOf(err) == core.KindUnauthorized
	switch {
	case err == nil:
		c.token, c.session, c.user = token, s, u
		return nil
	case !need && !forged && (dead || c.reads()):
		return nil
	case dead:
		session.ClearCookie(c.w, c.r)
	}
	return err
}

// reads reports whether the request changes nothing.
func (c *call) reads() bool { return c.r.Method == http.MethodGet || c.r.Method == http.MethodHead }

// param gives a parameter of the path.
func (c *call) param(name string) string {
	for i, n := range c.target.params {
		if n == name {
			return c.params[i]
		}
	}
	return ""
}

// pathID gives an id in the path.
func pathID[T any](c *call, name string) (core.ID[T], error) {
	id, ok := core.ParseID[T](c.param(name))
	if !ok {
		return id, badURL(name)
	}
	return id, nil
}

// userID gives the user of the path; "me" is who asks.
func (c *call) userID() (core.UserID, error) {
	if c.param("user_id") == "me" {
		return c.user.ID, nil
	}
	return pathID[core.User](c, "user_id")
}

// isMe reports whether a user is who asks.
func (c *call) isMe(u core.UserID) bool { return u == c.user.ID && !u.IsZero() }

func (c *call) teamID() (core.TeamID, error)       { return pathID[core.Team](c, "team_id") }
func (c *call) channelID() (core.ChannelID, error) { return pathID[core.Channel](c, "channel_id") }
func (c *call) postID() (core.PostID, error)       { return pathID[core.Post](c, "post_id") }

func (c *call) header() http.Header { return c.w.Header() }
