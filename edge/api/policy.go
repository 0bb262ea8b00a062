package api

import "github.com/nearside/nearside/core"

// Policy decides who may use an operation: it reads the path, decides, and passes the object of
// the operation to the handler.
type Policy[T any] struct {
	name  string
	open  bool // no session is needed
	check func(*Call) (T, error)
}

// Allow makes a policy for users with a session. The name says which of them are allowed.
func Allow[T any](name string, check func(*Call) (T, error)) Policy[T] {
	return Policy[T]{name: name, check: check}
}

// AllowAnybody makes a policy that needs no session.
func AllowAnybody[T any](name string, check func(*Call) (T, error)) Policy[T] {
	return Policy[T]{name: name, open: true, check: check}
}

// Nobody is the object of an operation for anybody.
type Nobody struct{}

var (
	// SignedIn allows every user with a session, and returns the user.
	SignedIn = Allow("signed in", func(c *Call) (core.User, error) { return c.User, nil })
	// Anybody allows everybody.
	Anybody = AllowAnybody("anybody", func(*Call) (Nobody, error) { return Nobody{}, nil })
)

// HomeDecides allows every user with a session, and returns an id of the path: whether the
// proposed command is refused is decided when it is applied.
func HomeDecides[T any](name string) Policy[core.ID[T]] {
	return Allow("home decides about "+name, func(c *Call) (core.ID[T], error) { return PathID[T](c, name) })
}

// Two has the two objects of an operation.
type Two[A, B any] struct {
	First  A
	Second B
}

// Both allows callers whom both policies allow; the first is checked first.
func Both[A, B any](p Policy[A], q Policy[B]) Policy[Two[A, B]] {
	return Policy[Two[A, B]]{name: p.name + "; " + q.name, open: p.open && q.open, check: func(c *Call) (t Two[A, B], err error) {
		if t.First, err = p.check(c); err != nil {
			return t, err
		}
		t.Second, err = q.check(c)
		return t, err
	}}
}

// If is a policy with a condition that is checked first.
func If[T any](refuses func(*Call) error, p Policy[T]) Policy[T] {
	check := p.check
	p.check = func(c *Call) (T, error) {
		if err := refuses(c); err != nil {
			var none T
			return none, err
		}
		return check(c)
	}
	return p
}
