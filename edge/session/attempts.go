package session

import (
	"sync"
	"time"
)

// Limits of Attempts.
const (
	MaxAttempts  = 10          // wrong passwords in a row
	lockedFor    = time.Minute // after the last attempt that counted
	attemptsKept = 20_000      // logins remembered; beyond that, all are forgotten
)

// Attempts counts wrong passwords, so that passwords cannot be guessed. It counts per edge and by
// the login as typed, whether the account exists or not, so that a lock does not reveal which
// accounts exist.
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

// Allowed reports whether a password may be tried for a login. Attempts that are still being
// checked do not count yet; a Hasher's queue bounds them.
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

// Right resets a login's count.
func (a *Attempts) Right(login string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.tries, login)
}
