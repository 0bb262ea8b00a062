package areas_test

import (
	"testing"

	"github.com/nearside/nearside/edge/api/apitest"
)

func TestUnbuilt_FieldsAreRefused(t *testing.T) {
	// A field of the API that has no effect here is refused, not ignored. What clients send in whole
	// objects without meaning it is accepted.
	_, s := apitest.NewHome(t)
	ann := s.SignUp(t, "ann")
	team := ann.NewTeam("crew")
	ch := ann.NewChannel(team.ID, "deck", "O")
	post := func(priority any) map[string]any {
		return map[string]any{"channel_id": ch, "message": "ahoy", "metadata": map[string]any{"priority": priority}}
	}
	for _, nothing := range []any{nil, map[string]any{}, map[string]any{"priority": "", "requested_ack": false, "persistent_notifications": nil}} {
		ann.Must(201, "POST", "/posts", post(nothing), nil)
	}
	user := map[string]any{"username": "bob", "email": "bob@example.com", "password": apitest.Password, "auth_service": "", "auth_data": nil}
	ann.Must(201, "POST", "/users", user, nil)
	user["username"], user["email"], user["auth_service"] = "eve", "eve@example.com", "ldap"
	for _, c := range []struct {
		method, path string
		body         any
	}{
		{"POST", "/posts", post(map[string]any{"priority": "urgent"})},
		{"POST", "/users", user},
		{"POST", "/users/login", map[string]string{"login_id": "ann", "password": apitest.Password, "ldap_only": "true"}},
		{"POST", "/users/search", map[string]any{"term": "a", "in_group_id": ch}},
		{"GET", "/users?in_group=" + ch.String(), nil},
		{"POST", "/channels", map[string]any{"team_id": team.ID, "name": "x", "display_name": "X", "type": "O", "group_constrained": true}},
		{"PUT", "/channels/" + ch.String() + "/patch", map[string]any{"banner_info": map[string]any{"enabled": true, "text": "x"}}},
		{"POST", "/teams", map[string]any{"name": "other", "display_name": "X", "type": "O", "scheme_id": ch}},
		{"PUT", "/teams/" + team.ID.String() + "/patch", map[string]any{"group_constrained": true}},
	} {
		ann.Fails(501, "api.nearside.not_built.app_error", c.method, c.path, c.body)
	}
}
