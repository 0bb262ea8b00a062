package session_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/nearside/nearside/edge/session"
)

func TestAttempts_Locks(t *testing.T) {
	// Ten wrong passwords lock a login for a minute, whichever others sign in; a right one resets
	// the count.
	now := time.Unix(1000, 0)
	a := session.NewAttempts(func() time.Time { return now })
	try := func(login string, n int) (allowed int) {
		for range n {
			if a.Allowed(login) {
				a.Wrong(login)
				allowed++
			}
		}
		return allowed
	}
	if got := try("ann", 50); got != session.MaxAttempts {
		t.Errorf("%d passwords were tried", got)
	}
	if got := try("bob", 9); got != 9 {
		t.Errorf("bob: %d", got)
	}
	a.Right("bob")
	if got := try("bob", 10); got != 10 {
		t.Errorf("bob, afterwards: %d", got)
	}
	now = now.Add(59 * time.Second)
	if try("ann", 1) != 0 {
		t.Error("unlocked too early")
	}
	now = now.Add(time.Second)
	if got := try("ann", 50); got != session.MaxAttempts {
		t.Errorf("after a minute: %d", got)
	}
	for i := range 50_000 { // memory stays bounded
		a.Wrong(fmt.Sprint(i))
	}
}
