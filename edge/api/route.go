package api

import (
	"net/http"
	"strings"
	"time"

	"github.com/nearside/nearside/edge/rate"
)

// base is the prefix of every operation's path, except those that are AtRoot.
const base = "/api/v4"

// Route is one operation: its path, its policy and its handler.
type Route struct {
	Method, Path string
	Policy       string // who may use it, in words
	Open         bool   // no session is needed
	status       int    // of a successful answer that is a value
	trusted      bool   // may be requested by another site's page: no CSRF check
	class        rate.Class
	flows        bool               // mostly waits for bytes, or for home
	login        func(*Call) string // of a login: the account that the caller says it is
	handle       func(c *Call, status int) (Answer, error)
}

// Get makes the route of an operation, like Post, Put, Patch and Delete. The handler gets the
// object that the policy has found and allowed, so it cannot run without a policy. Its value is
// the answer, in JSON unless it is an Answer.
func Get[T, R any](path string, p Policy[T], h func(*Call, T) (R, error)) Route {
	return newRoute(http.MethodGet, path, p, h)
}

// Post is like Get.
func Post[T, R any](path string, p Policy[T], h func(*Call, T) (R, error)) Route {
	return newRoute(http.MethodPost, path, p, h)
}

// Put is like Get.
func Put[T, R any](path string, p Policy[T], h func(*Call, T) (R, error)) Route {
	return newRoute(http.MethodPut, path, p, h)
}

// Patch is like Get.
func Patch[T, R any](path string, p Policy[T], h func(*Call, T) (R, error)) Route {
	return newRoute(http.MethodPatch, path, p, h)
}

// Delete is like Get.
func Delete[T, R any](path string, p Policy[T], h func(*Call, T) (R, error)) Route {
	return newRoute(http.MethodDelete, path, p, h)
}

func newRoute[T, R any](method, path string, p Policy[T], h func(*Call, T) (R, error)) Route {
	class := rate.Write
	if method == http.MethodGet {
		class = rate.Read
	}
	return Route{
		Method: method, Path: base + path, Policy: p.name, Open: p.open, status: http.StatusOK, class: class,
		handle: func(c *Call, status int) (Answer, error) {
			begin := time.Now()
			object, err := p.check(c)
			since(begin, &c.Spent.Policy)
			if err != nil {
				return nil, err
			}
			v, err := h(c, object)
			if err != nil {
				return nil, err
			}
			if a, ok := any(v).(Answer); ok {
				return a, nil
			}
			return Value(status, v), nil
		},
	}
}

// Created makes the operation answer 201.
func (r Route) Created() Route {
	r.status = http.StatusCreated
	return r
}

// AtRoot makes the path absolute, without the prefix of the API.
func (r Route) AtRoot() Route {
	r.Path = strings.TrimPrefix(r.Path, base)
	return r
}

// Trusted allows another site's page to request the operation. It must change nothing.
func (r Route) Trusted() Route {
	r.trusted = true
	return r
}

// Counts makes the operation spend tokens of another class than its method says: Read for GET, and
// Write for the others.
func (r Route) Counts(c rate.Class) Route {
	r.class = c
	return r
}

// Flows says that the operation mostly waits for bytes that come from elsewhere, or for home: other requests of
// the account do not wait for it.
func (r Route) Flows() Route {
	r.flows = true
	return r
}

// SignsIn makes the operation spend tokens of the class Login. The body has the login as name.
func SignsIn[B any](r Route, name func(B) string) Route {
	r.class = rate.Login
	r.login = func(c *Call) string {
		var in B
		if c.Decode(&in) != nil {
			return "" // the handler says what is wrong
		}
		return Lower(name(in))
	}
	return r
}

// Class says whose tokens the operation spends.
func (r Route) Class() rate.Class { return r.class }

// Body also passes the decoded body of the request to a handler. It is read after the policy has
// allowed the request.
func Body[T, B, R any](h func(*Call, T, B) (R, error)) func(*Call, T) (R, error) {
	return func(c *Call, object T) (r R, err error) {
		var in B
		if err := c.Decode(&in); err != nil {
			return r, err
		}
		return h(c, object, in)
	}
}
