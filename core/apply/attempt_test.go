package apply_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/apply"
	"github.com/nearside/nearside/core/apply/applytest"
	"github.com/nearside/nearside/core/command"
)

func init() {
	applytest.Nouns = append(applytest.Nouns, applytest.Noun{Name: "sign-ins", Make: attemptCommand})
}

// attemptCommand makes a command about attempts at the passwords of a few accounts, or uses one that was right.
func attemptCommand(c *applytest.Chaos, who int, _ core.ChannelID) command.Command {
	var tried []core.Attempt
	for _, row := range c.Model.Rows(apply.Attempts.Shape) {
		tried = append(tried, *(*core.Attempt)(row))
	}
	if len(tried) > 0 && c.Rnd.IntN(3) == 0 {
		a := applytest.Pick(c, tried)
		if c.Rnd.IntN(2) == 0 {
			return &command.CountAttempts{Right: []core.AttemptID{a.ID}}
		}
		return &command.CreateSession{Attempt: a.ID, PasswordSeal: applytest.PasswordSeal, Session: core.Session{ID: applytest.ID[core.Session](c.Log), UserID: a.UserID}}
	}
	var cmd command.CountAttempts
	for range 1 + c.Rnd.IntN(3) {
		u := c.User(c.Rnd.IntN(2))
		a := core.Attempt{
			ID: applytest.ID[core.Attempt](c.Log), Kind: core.AttemptPassword, UserID: u, SubjectID: core.DeriveID[core.Subject](u.String()),
			AddressID: core.DeriveID[core.Source](c.Word()), DeviceID: core.DeriveID[core.Source](c.Word(), c.Word()),
		}
		if len(tried) > 0 && c.Rnd.IntN(8) == 0 {
			a.ID = applytest.Pick(c, tried).ID
		}
		cmd.Attempts = append(cmd.Attempts, a)
	}
	return &cmd
}

// tries gives attempts at somebody's password.
func (w *world) tries(name string, n int, from ...string) (out []core.Attempt) {
	u := w.users[name].ID
	for range n {
		a := core.Attempt{ID: core.NewID[core.Attempt](w.at), Kind: core.AttemptPassword, UserID: u, SubjectID: core.DeriveID[core.Subject](name)}
		for i, s := range from {
			*[...]*core.SourceID{&a.AddressID, &a.DeviceID}[i] = core.DeriveID[core.Source](s)
		}
		out = append(out, a)
	}
	return out
}

// count reserves attempts and gives how many may be checked.
func (w *world) count(tries []core.Attempt) (granted int) {
	w.Helper()
	w.told = nil
	w.must("", &command.CountAttempts{Attempts: tries}, nil)
	var out command.Counted
	if err := command.DecodeOutcome(w.told, &out); err != nil {
		w.Fatal(err)
	}
	for _, ok := range out.Granted {
		if ok {
			granted++
		}
	}
	return granted
}

// Of many attempts at one account only ten are granted, in one entry or in several, until their window is over.
// Those at another account are not affected.
func TestAttempts_Bounded(t *testing.T) {
	w := newWorld(t)
	w.person("ada")
	w.person("bob")
	if n := w.count(w.tries("ada", 25)); n != core.MaxAttempts {
		t.Errorf("of 25 at once %d are granted", n)
	}
	if n := w.count(w.tries("ada", 3)); n != 0 {
		t.Errorf("afterwards %d more are granted", n)
	}
	for range 12 {
		w.count(w.tries("bob", 1))
	}
	if n := w.count(w.tries("bob", 1)); n != 0 {
		t.Errorf("bob: %d more after 12", n)
	}
	w.at = w.at.Add(core.AttemptWindow)
	if n := w.count(w.tries("ada", 25)); n != core.MaxAttempts {
		t.Errorf("in the next window %d of 25 are granted", n)
	}
	w.refused("", &command.CountAttempts{Attempts: w.tries("ada", core.MaxAttemptsOnce+1)}, core.KindInvalid)
}

// A right attempt gives back those of its share. It may be used once, for its own account and soon.
func TestAttempts_RightGivesBack(t *testing.T) {
	w := newWorld(t)
	ada, bob := w.person("ada"), w.person("bob")
	w.count(w.tries("ada", 8))
	mine := w.tries("ada", 1, "home")
	w.count(mine)
	w.must("", &command.CountAttempts{Right: []core.AttemptID{mine[0].ID, mine[0].ID, {1}}}, nil)
	if n := w.count(w.tries("ada", 25)); n != core.MaxAttempts {
		t.Errorf("after a right one %d of 25 are granted", n)
	}
	signIn := func(u core.User) {
		s := core.Session{ID: core.NewID[core.Session](w.at), UserID: u.ID}
		w.must("", &command.CreateSession{Session: s, PasswordSeal: u.PasswordSeal, Attempt: mine[0].ID}, nil)
	}
	known := func() int { return len(w.store.Rows(apply.KnownSources.Shape)) }
	signIn(bob)
	if known() != 0 {
		t.Error("another account's attempt made a source known")
	}
	signIn(ada)
	signIn(ada)
	if known() != 1 {
		t.Errorf("%d known sources", known())
	}
}

// Strangers do not use up the attempts of a device or an address that has signed in before; and what is known of
// an account is bounded.
func TestAttempts_KnownSourcesHaveTheirShare(t *testing.T) {
	w := newWorld(t)
	w.person("bob")
	ada := w.person("ada")
	signIn := func(from ...string) {
		t.Helper()
		a := w.tries("ada", 1, from...)
		if w.count(a) != 1 {
			t.Fatalf("not granted from %v", from)
		}
		w.must("", &command.CountAttempts{Right: []core.AttemptID{a[0].ID}}, nil)
		w.must("", &command.CreateSession{Session: core.Session{ID: core.NewID[core.Session](w.at), UserID: ada.ID}, PasswordSeal: ada.PasswordSeal, Attempt: a[0].ID}, nil)
	}
	signIn("home", "laptop")
	for _, c := range []struct {
		from []string
		want int
	}{
		{[]string{"elsewhere"}, core.MaxAttempts},
		{[]string{"nowhere", "unknown"}, 0},            // all strangers share
		{[]string{"home"}, core.MaxAttempts},           // somebody behind the same address
		{[]string{"home", "other"}, 0},                 // likewise
		{[]string{"cafe", "laptop"}, core.MaxAttempts}, // the device, wherever it is
	} {
		if n := w.count(w.tries("ada", 15, c.from...)); n != c.want {
			t.Errorf("from %v: %d of 15 are granted, not %d", c.from, n, c.want)
		}
	}
	w.at = w.at.Add(core.AttemptWindow)
	for i := range core.MaxKnownSources {
		signIn(fmt.Sprint("hotel", i), "laptop")
	}
	if n := len(w.store.Rows(apply.KnownSources.Shape)); n != core.MaxKnownSources+1 {
		t.Errorf("%d known sources", n)
	}
	w.count(w.tries("ada", core.MaxAttempts, "elsewhere"))
	if n := w.count(w.tries("ada", 1, "home")); n != 0 {
		t.Error("the address that was not used for longest is still known")
	}
}

// An attempt that is asked again at another home node counts once, but not without end, and not for another
// subject.
func TestAttempts_AskedAgain(t *testing.T) {
	w := newWorld(t)
	w.person("ada")
	w.person("bob")
	a := w.tries("ada", 1)
	for i := range 5 {
		if n := w.count(a); (n == 1) != (i < core.MaxAttemptUses) {
			t.Errorf("asked %d times: %d", i+1, n)
		}
	}
	other := w.tries("bob", 1)
	other[0].ID = w.tries("bob", 1)[0].ID
	w.count(other)
	other[0].SubjectID = core.DeriveID[core.Subject]("ada")
	if w.count(other) != 0 {
		t.Error("granted for another subject")
	}
	if n := w.count(w.tries("ada", 15)); n != core.MaxAttempts-1 {
		t.Errorf("%d of 15 are granted after one", n)
	}
}

// Attempts that no longer count are forgotten, however many there were.
func TestAttempts_Forgotten(t *testing.T) {
	w := newWorld(t)
	w.person("ada")
	for i := range 100 {
		w.users[fmt.Sprint(i)] = core.User{}
		w.count(w.tries(fmt.Sprint(i), 3))
	}
	w.at = w.at.Add(core.AttemptWindow - time.Second)
	for i := range 10 {
		if i == 2 {
			w.at = w.at.Add(time.Second)
		}
		w.count(w.tries(fmt.Sprint("later", i), 1))
	}
	if n := len(w.store.Rows(apply.Attempts.Shape)); n != 10 {
		t.Errorf("%d attempts stay", n)
	}
}

// guesses gives attempts at invitations from an address.
func (w *world) guesses(n int, from string) (out []core.Attempt) {
	for range n {
		out = append(out, core.Attempt{
			ID: core.NewID[core.Attempt](w.at), Kind: core.AttemptInvitation, SubjectID: core.SubjectOfAll(core.AttemptInvitation), AddressID: core.DeriveID[core.Source](from),
		})
	}
	return out
}

// Guesses at invitations are counted for each address, and together: once all addresses have used up what the
// deployment allows, an address that has not tried yet has one try. Whoever has an invitation cannot guess more with it.
func TestAttempts_AtInvitations(t *testing.T) {
	w := newWorld(t)
	if n := w.count(w.guesses(25, "one")); n != core.MaxAttempts {
		t.Errorf("of 25 from one address %d are granted", n)
	}
	right := w.guesses(1, "two")
	w.count(append(w.guesses(4, "two"), right...))
	w.must("", &command.CountAttempts{Right: []core.AttemptID{right[0].ID}}, nil)
	if n := w.count(w.guesses(25, "two")); n != core.MaxAttempts-4 {
		t.Errorf("with 4 wrong ones and a right one %d of 25 are granted", n)
	}
	all := 2 * core.MaxAttempts
	for i := range 60 {
		all += w.count(w.guesses(core.MaxAttempts, fmt.Sprint("many", i)))
	}
	beyond := 60 - (core.MaxTogether-20+core.MaxAttempts-1)/core.MaxAttempts
	if all != core.MaxTogether+beyond {
		t.Errorf("%d are granted from many addresses, not %d and one for each of %d others", all, core.MaxTogether, beyond)
	}
	if n := w.count(append(w.guesses(3, "last"), w.guesses(3, "other")...)); n != 2 {
		t.Errorf("of 3 and 3 from new addresses %d are granted", n)
	}
	w.person("ada")
	if n := w.count(append(w.guesses(1, "last"), w.tries("ada", 2)...)); n != 2 {
		t.Errorf("%d of 2 at a password are granted", n)
	}
	w.at = w.at.Add(core.AttemptWindow)
	if n := w.count(w.guesses(25, "last")); n != core.MaxAttempts {
		t.Errorf("in the next window %d of 25 are granted", n)
	}
}
