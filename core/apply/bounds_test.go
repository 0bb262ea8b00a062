package apply_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/apply"
	"github.com/nearside/nearside/core/command"
)

// One sign-in over the limit ends the oldest session of the user, and no other one.
func TestCreateSession_EndsTheOldestBeyondTheBound(t *testing.T) {
	w := newWorld(t)
	bob := w.person("bob")
	w.person("ada")
	all := []core.SessionID{w.sessions["bob"]}
	signIn := func() {
		s := core.Session{ID: core.NewID[core.Session](w.at), UserID: bob.ID, Token: core.HashToken(fmt.Sprint(len(all))).Seal()}
		w.must("", &command.CreateSession{Session: s, PasswordSeal: bob.PasswordSeal}, nil)
		all = append(all, s.ID)
	}
	live := func() (n int) {
		for _, id := range all {
			if _, ok := apply.Sessions.Get(w.rows(), id); ok {
				n++
			}
		}
		return n
	}
	for len(all) < core.MaxSessions {
		signIn()
	}
	if n := live(); n != core.MaxSessions || len(w.events) != 0 {
		t.Fatalf("%d sessions of %d are left, and %v was announced", n, len(all), w.names())
	}
	for i := range 3 {
		signIn()
		if _, ok := apply.Sessions.Get(w.rows(), all[i]); ok || live() != core.MaxSessions || len(w.events) != 1 {
			t.Fatalf("after %d sign-ins %d sessions are left, and %v was announced", len(all), live(), w.names())
		}
	}
	w.sessions["bob"] = all[len(all)-1]
	w.must("bob", &command.EndSession{SessionID: all[len(all)-2]}, nil)
	signIn() // one session less, so this is allowed
	if live() != core.MaxSessions || len(w.events) != 0 {
		t.Errorf("%d sessions are left, and %v was announced", live(), w.names())
	}
	if _, ok := apply.Sessions.Get(w.rows(), w.sessions["ada"]); !ok {
		t.Error("somebody else's session has ended")
	}
}

// The total size of the settings of one user is bounded, and so is their number. After some are shortened or
// deleted, others can be set.
func TestSetPreferences_AreBoundedTogether(t *testing.T) {
	w := newWorld(t)
	u := w.person("ada").ID
	w.person("bob")
	list := func(from, n, size int) (out []core.Preference) {
		for i := range n {
			out = append(out, core.Preference{UserID: u, Category: "c", Name: fmt.Sprint(from + i), Value: strings.Repeat("x", size)})
		}
		return out
	}
	fill := func(size int) (n int) {
		for ; w.do("ada", &command.SetPreferences{Preferences: list(n, 10, size)}, nil) == nil; n += 10 {
		}
		w.refused("ada", &command.SetPreferences{Preferences: list(n, 10, size)}, core.KindInvalid)
		return n
	}
	empty := func(n, size int) {
		for i := 0; i < n; i += 10 {
			w.must("ada", &command.DeletePreferences{Preferences: list(i, 10, 0)}, nil)
			w.must("ada", &command.DeletePreferences{Preferences: list(i, 10, 0)}, nil) // which are gone
		}
		if n > 0 && w.do("ada", &command.SetPreferences{Preferences: list(0, 10, size)}, nil) != nil {
			t.Error("nothing fits after everything was deleted")
		}
	}
	n := fill(core.MaxPreferenceValue)
	if n*core.MaxPreferenceValue > core.MaxPreferencesSize || (n+10)*(core.MaxPreferenceValue+1000) < core.MaxPreferencesSize {
		t.Errorf("%d preferences of %d bytes fit", n, core.MaxPreferenceValue)
	}
	w.must("ada", &command.SetPreferences{Preferences: list(0, 10, 5)}, nil) // shorter ones
	w.must("ada", &command.SetPreferences{Preferences: list(n, 5, core.MaxPreferenceValue)}, nil)
	empty(n+10, 1)
	if n := fill(0); n < 10_000 || n > 20_000 {
		t.Errorf("%d empty preferences fit", n)
	}
	if err := w.do("bob", &command.SetPreferences{Preferences: []core.Preference{{UserID: w.users["bob"].ID, Category: "c"}}}, nil); err != nil {
		t.Errorf("somebody else's settings: %v", err)
	}
}
