package apply_test

import (
	"testing"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/apply"
	"github.com/nearside/nearside/core/apply/applytest"
	"github.com/nearside/nearside/core/command"
)

func init() {
	applytest.Nouns = append(applytest.Nouns, applytest.Noun{Name: "addresses", Make: addressCommand})
}

// addressCommand makes a command that verifies or changes somebody's address.
func addressCommand(c *applytest.Chaos, who int, _ core.ChannelID) command.Command {
	rows := c.Model.Rows(apply.Users.Shape)
	u := (*core.User)(applytest.Pick(c, rows))
	if c.Rnd.IntN(3) == 0 {
		mail := c.Word() + "@example.com"
		return &command.PatchUser{UserID: c.User(who), UserPatch: core.UserPatch{Email: &mail}}
	}
	return &command.VerifyEmail{UserID: u.ID, Email: applytest.Pick(c, []string{u.Email, "old@example.com"})}
}

// An address is verified by an administrator, only the one that was meant, and only until it changes.
func TestVerifyEmail(t *testing.T) {
	w := newWorld(t)
	w.person("ada")
	bob := w.person("bob")
	verified := func() bool {
		u, _ := apply.Users.Get(w.rows(), bob.ID)
		return u.EmailVerified
	}
	w.refused("bob", &command.VerifyEmail{UserID: bob.ID, Email: bob.Email}, core.KindForbidden)
	w.refused("ada", &command.VerifyEmail{UserID: core.UserID{1}, Email: bob.Email}, core.KindNotFound)
	w.must("ada", &command.VerifyEmail{UserID: bob.ID, Email: "earlier@example.com"}, nil)
	if verified() {
		t.Error("another address was verified")
	}
	w.must("ada", &command.VerifyEmail{UserID: bob.ID, Email: bob.Email}, nil)
	same := bob.Email
	w.must("bob", &command.PatchUser{UserID: bob.ID, UserPatch: core.UserPatch{Email: &same}}, &bob)
	if !verified() {
		t.Error("not verified")
	}
	other := "robert@example.org"
	w.must("bob", &command.PatchUser{UserID: bob.ID, UserPatch: core.UserPatch{Email: &other}}, &bob)
	if verified() {
		t.Error("a new address is verified because the old one was")
	}
}
