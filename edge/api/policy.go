package api

import "github.com/nearside/nearside/core"

// Policy says who may ask for an operation: it reads the path, decides, and gives the handler
// the object that the operation is about.
type Policy[T any] struct {
	name  string
	open  bool // nobody has to be signed in
	check func(*Call) (T, error)
}

// Allow makes a policy of people who are signed in. The name says who they are.
func Allow[T any](name string, check func(*Call) (T, error)) Policy[T] {
	return Policy[T]{name: name, check: check}
}

// AllowAnybody makes a policy that needs nobody to be signed in.
func AllowAnybody[T any](name string, check func(*Call) (T, error)) Policy[T] {
	return Policy[T]{name: name, open: true, check: check}
}

// Nobody is who is given to the handler of an operation for anybody.
type Nobody struct{}

var (
	// SignedIn allows everybody who has a session, and gives the user.
	SignedIn = Allow("signed in", func(c *Call) (core.User, error) { return c.User, nil })
	// Anybody allows everybody.
	Anybody = AllowAnybody("anybody", func(*Call) (Nobody, error) { return Nobody{}, nil })
)

// HomeDecides allows everybody who has a session, and gives an id of the path: the command that
// the operation proposes is refused or not when it is applied.
func HomeDecides[T any](name string) Policy[core.ID[T]] {
	return Allow("home decides about "+name, func(c *Call) (core.ID[T], error) { return PathID[T](c, name) })
}

// Two are the objects of an operation that is about two.
type Two[A, B any] struct {
	First  A
	Second B
}

// Both allows whom two policies allow; the first is asked first.
func Both[A, B any](p Policy[A], q Policy[B]) Policy[Two[A, B]] {
	return Policy[Two[A, B]]{name: p.name + "; " + q.name, open: p.open && q.open, check: func(c *Call) (t Two[A, B], err error) {
		if t.First, err = p.check(c); err != nil {
			return t, err
		}
		t.Second, err = q.check(c)
		return t, err
	}}
}

// If allows whom a policy allows, unless a condition refuses first.
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
