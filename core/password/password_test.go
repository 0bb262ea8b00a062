package password_test

import (
	"context"
	"fmt"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/password"
	"github.com/nearside/nearside/core/turn"
)

var eve = turn.Who{Name: "eve"}

func TestHasher_Verify(t *testing.T) {
	// Both kinds of stored hash match their own password and no other; damaged ones match none.
	h := password.NewHasher(0, 0)
	ours, err := h.Hash(t.Context(), eve, "Pa$$word-11")
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := bcrypt.GenerateFromPassword([]byte("Pa$$word-11"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		stored, password string
		want             bool
	}{
		{ours, "Pa$$word-11", true}, {ours, "Pa$$word-12", false}, {ours, "", false},
		{string(theirs), "Pa$$word-11", true}, {string(theirs), "nope", false},
		{"", "", false}, {"$argon2id$v=19$m=99999999,t=1,p=1$AAAA$AAAA", "x", false}, {ours[:len(ours)-4], "Pa$$word-11", false},
	} {
		place, err := h.Enter(eve)
		if err != nil {
			t.Fatal(err)
		}
		got, err := place.Verify(t.Context(), c.stored, c.password)
		place.Leave()
		if got != c.want || err != nil {
			t.Errorf("%.20s… with %q: %v, %v", c.stored, c.password, got, err)
		}
	}
}

func TestHasher_FullQueueRefuses(t *testing.T) {
	// A Hasher with a full queue refuses at once; if a caller leaves, its place becomes free.
	h := password.NewHasher(1, 1)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	results := make(chan error)
	for range 8 {
		go func() { _, err := h.Hash(t.Context(), eve, "password"); results <- err }()
	}
	refused, done := 0, 0
	for range 8 {
		switch err := <-results; {
		case err == nil:
			done++
		case core.KindOf(err) == core.KindUnavailable:
			refused++
		default:
			t.Error(err)
		}
	}
	if done == 0 || done+refused != 8 {
		t.Errorf("%d done, %d refused", done, refused)
	}
	for range 8 {
		_, _ = h.Hash(ctx, eve, "password") // may be refused or served, but must not keep a place
	}
	if _, err := h.Hash(t.Context(), eve, "password"); err != nil {
		t.Error(err)
	}
}

func TestHasher_ManyWrongLoginsStopNobody(t *testing.T) {
	// Regression: 90 connections with wrong logins stopped all logins. One address fills only half of the
	// strangers' queue, all strangers together only theirs, and those who are known have room.
	h := password.NewHasher(1, 8)
	fill := func(who func(i int) turn.Who) (entered int) {
		for i := range 90 {
			if place, err := h.Enter(who(i)); err == nil {
				t.Cleanup(place.Leave)
				entered++
			} else if core.KindOf(err) != core.KindUnavailable {
				t.Fatal(err)
			}
		}
		return entered
	}
	if n := fill(func(int) turn.Who { return eve }); n != 5 {
		t.Errorf("one address has %d places, want 5", n)
	}
	if n := fill(func(i int) turn.Who { return turn.Who{Name: fmt.Sprint(i)} }); n != 4 {
		t.Errorf("all others have %d places, want 4", n)
	}
	place, err := h.Enter(turn.Who{Name: "ann", Known: true})
	if err != nil {
		t.Fatal(err)
	}
	defer place.Leave()
	if _, err := place.Verify(t.Context(), "", "x"); err != nil {
		t.Error(err)
	}
}
