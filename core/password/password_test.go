package password_test

import (
	"context"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/password"
)

func TestHasher_Verify(t *testing.T) {
	// Both kinds of stored hash match their own password and no other; damaged ones match none.
	h := password.NewHasher(0, 0)
	ours, err := h.Hash(t.Context(), "Pa$$word-11")
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
		place, err := h.Enter()
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
		go func() { _, err := h.Hash(t.Context(), "password"); results <- err }()
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
		_, _ = h.Hash(ctx, "password") // may be refused or served, but must not keep a place
	}
	if _, err := h.Hash(t.Context(), "password"); err != nil {
		t.Error(err)
	}
}
