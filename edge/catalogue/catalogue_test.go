package catalogue_test

import (
	"testing"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/edge/catalogue"
)

// The profile's locale decides, then the client's preference, then English.
func TestFor(t *testing.T) {
	const id = "app.post.get.app_error"
	for _, c := range []struct{ locale, accept, want string }{
		{"", "", "Unable to get the post."},
		{"de", "ja", "Der Beitrag wurde nicht gefunden."},
		{"de-AT", "", "Der Beitrag wurde nicht gefunden."},
		{"fr", "ja,en;q=0.5", "投稿が見つかりません。"},
		{"", "fr, de;q=0.4, ja;q=0.8", "投稿が見つかりません。"},
		{"", "de;q=0, en;q=0.1", "Unable to get the post."},
		{"../en", "de;q=x,,;", "Unable to get the post."},
	} {
		if got := catalogue.For(c.locale, c.accept).Text(id, nil); got != c.want {
			t.Errorf("locale %q, Accept-Language %q: %q", c.locale, c.accept, got)
		}
	}
}

// The server's messages are made from the post's type and props. What people write is shown
// unchanged, even if its type is a key of the catalogue.
func TestMessage(t *testing.T) {
	for _, c := range []struct {
		post core.Post
		want string
	}{
		{core.Post{Message: "hi"}, "hi"},
		{core.Post{Type: "custom_poll", Message: "hi"}, "hi"},
		{core.Post{Type: "nearside.home.busy"}, ""},
		{core.Post{Type: "system_of_a_newer_version", Props: map[string]any{"username": "ada"}}, ""},
		{core.Post{Type: core.TypeJoinTeam, Props: map[string]any{"username": "ada", "deleteBy": 1}}, "ada joined the team."},
		{core.Post{Type: core.TypeAddToChannel, Props: map[string]any{"username": "ada", "addedUsername": "bob"}}, "bob added to the channel by ada."},
		{core.Post{Type: core.TypeHeaderChange, Props: map[string]any{"username": "ada", "old_header": "{username}", "new_header": ""}}, "ada updated the channel header from: {username} to: "},
	} {
		if got := catalogue.Message(&c.post); got != c.want {
			t.Errorf("%+v: %q, want %q", c.post, got, c.want)
		}
	}
}

// A text is chosen by the reason, filled with the arguments, and given in English if the language
// lacks it. An argument is never used as a template.
func TestText(t *testing.T) {
	german := catalogue.For("de", "")
	for _, c := range []struct {
		id   string
		args core.Args
		want string
	}{
		{"model.user.is_valid.pwd_min_length.app_error", core.Args{"min": "8"}, "Ein Passwort hat mindestens 8 Zeichen."},
		{"api.context.invalid_param.app_error", core.Args{"name": "{name}"}, "Der Parameter {name} ist ungültig."},
		{"api.context.invalid_body_param.app_error", core.Args{"reason": "of a newer version"}, "Die Anfrage ist ungültig."},
		{"api.context.invalid_body_param.app_error", core.Args{"reason": "null"}, "The request body is null."},
		{"of.a.newer.version", nil, ""},
	} {
		if got := german.Text(c.id, c.args); got != c.want {
			t.Errorf("%s %v: %q", c.id, c.args, got)
		}
	}
}
