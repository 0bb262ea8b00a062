package areas_test

import (
	"testing"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/edge/api/apitest"
)

func TestValues_OneAnswerEverywhere(t *testing.T) {
	// A bad value has the same error id wherever it is sent: when an object is made, and when it is
	// changed.
	_, s := apitest.NewHome(t)
	ann := s.SignUp(t, "ann")
	team := ann.NewTeam("crew")
	ch := ann.NewChannel(team.ID, "ducks", "O")
	turned := "\u202egnp.sserdda"
	user := func(field string, value any) map[string]any {
		return map[string]any{"username": "bob", "email": "bob@example.com", "password": "a-good-password", field: value}
	}
	for field, value := range map[string]any{
		"nickname": turned, "first_name": "\u200b", "last_name": "\u2066x", "position": "a\ab", "locale": "../..",
		"timezone": map[string]string{"manualTimezone": "Eu rope"}, "props": map[string]string{"customStatus": "null"},
	} {
		id := "model.user.is_valid." + field + ".app_error"
		ann.Fails(400, id, "POST", "/users", user(field, value))
		ann.Fails(400, id, "PUT", "/users/me/patch", map[string]any{field: value})
	}
	for _, mail := range []string{"a@b@example.com", "a..b@example.com", "Bob <b@example.com>", "a@b\u200b.de"} {
		ann.Fails(400, "model.user.is_valid.email.app_error", "POST", "/users", user("email", mail))
		ann.Fails(400, "model.user.is_valid.email.app_error", "PUT", "/users/me/patch", map[string]string{"email": mail, "password": apitest.Password})
	}
	for _, name := range []string{turned, "\u2066x", "\u200b", "   ", "\u3164", "a\ab"} {
		ann.Fails(400, "model.team.is_valid.name.app_error", "POST", "/teams", map[string]string{"name": "other", "display_name": name, "type": "O"})
		ann.Fails(400, "model.team.is_valid.name.app_error", "PUT", "/teams/"+team.ID.String()+"/patch", map[string]string{"display_name": name})
		ann.Fails(400, "model.channel.is_valid.display_name.app_error", "POST", "/channels", map[string]string{
			"team_id": team.ID.String(), "name": "other", "display_name": name, "type": "O",
		})
		ann.Fails(400, "model.channel.is_valid.display_name.app_error", "PUT", "/channels/"+ch.String()+"/patch", map[string]string{"display_name": name})
	}
	set := func(value string) []core.Preference {
		return []core.Preference{{UserID: ann.Me.ID, Category: "theme", Value: value}}
	}
	for _, theme := range []string{"zz", "[]", "null", `{"sidebarBg":5}`, `{"sidebarBg":"red;}body{display:none"}`} {
		ann.Fails(400, "model.preference.is_valid.value.app_error", "PUT", "/users/me/preferences", set(theme))
	}
	ann.Must(200, "PUT", "/users/me/preferences", set(`{"sidebarBg":"#145dbf"}`), nil)
}
