package session

import (
	"sync"
	"time"
)

// Limits of Attempts.
const (
	MaxAttempts  = 10          // wrong passwords in a row
	lockedFor    = time.Minute // after the last attempt that counted
	attemptsKept = 20_000      // logins remembered; past it all are forgotten
)

// Attempts counts wrong passwords, so that nobody guesses one: per edge, and by what was typed
// as login whether there is such an account or not, so that being locked tells nothing.
type Attempts struct {
	now func() time.Time

	mu    sync.Mutex // guards tries
	tries map[string]try
}

type try struct {
	n    int
	last time.Time
}

// NewAttempts makes an Attempts; now may be nil.
func NewAttempts(now func() time.Time) *Attempts {
	if now == nil {
		now = time.Now
	}
	return &Attempts{now: now, tries: map[string]try{}}
}

// Allowed reports whether a password may be tried for a login. Those already on their way count
// once they turn out wrong; a Hasher's queue bounds them.
func (a *Attempts) Allowed(login string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	t := a.tries[login]
	return t.n < MaxAttempts || a.now().Sub(t.last) >= lockedFor
}

// Wrong counts a wrong password.
func (a *Attempts) Wrong(login string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.now()
	t, known := a.tries[login]
	if now.Sub(t.last) >= lockedFor {
		t.n = 0
	}
	if !known && len(a.tries) >= attemptsKept {
		clear(a.tries)
	}
	a.tries[login] = try{t.n + 1, now}
}

// Right forgets a login's wrong passwords.
func (a *Attempts) Right(login string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.tries, login)
}
