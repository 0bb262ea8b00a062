package areas_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/edge/api/apitest"
	"github.com/nearside/nearside/edge/session"
)

func TestPrivacy_OutsiderReadsNothing(t *testing.T) {
	// A user who is neither in a team nor in its private channel can read nothing of either by
	// any operation, and no answer contains their texts or names.
	_, s := apitest.NewHome(t)
	ann := s.SignUp(t, "ann")
	var team core.Team
	ann.Must(201, "POST", "/teams", core.Team{Name: "vault", DisplayName: "vault", Type: "I"}, &team)
	ch := ann.NewChannel(team.ID, "plans", "P")
	root := ann.Post(ch, "the treasure is buried")
	ann.Reply(root, "the treasure lies deep")
	ann.Must(200, "PUT", "/posts/"+root.ID.String()+"/patch", map[string]string{"message": "the treasure moved"}, nil)
	eve := s.SignUp(t, "eve")
	ids := map[string]string{
		"user_id": eve.Me.ID.String(), "team_id": team.ID.String(), "name": "vault", "team_name": "vault", "channel_id": ch.String(),
		"channel_name": "plans", "post_id": root.ID.String(), "username": "eve", "email": "eve@example.com", "category": "tutorial_step",
		"preference_name": eve.Me.ID.String(), "role_id": strings.Repeat("a", 26), "role_name": "system_user",
	}
	bodies := map[string]string{
		"/api/v4/posts/ids": `["` + root.ID.String() + `"]`, "/api/v4/users/search": `{"term":"a","in_channel_id":"` + ch.String() + `"}`,
		"/api/v4/channels/{channel_id}/members":   `{"user_id":"` + eve.Me.ID.String() + `"}`,
		"/api/v4/teams/{team_id}/members":         `{"team_id":"` + team.ID.String() + `","user_id":"` + eve.Me.ID.String() + `"}`,
		"/api/v4/teams/{team_id}/members/batch":   `[{"team_id":"` + team.ID.String() + `","user_id":"` + eve.Me.ID.String() + `"}]`,
		"/api/v4/channels":                        `{"team_id":"` + team.ID.String() + `","name":"door","display_name":"door","type":"O"}`,
		"/api/v4/posts":                           `{"channel_id":"` + ch.String() + `","message":"knock"}`,
		"/api/v4/posts/{post_id}":                 `{"id":"` + root.ID.String() + `","message":"knock"}`,
		"/api/v4/channels/members/{user_id}/view": `{"channel_id":"` + ch.String() + `"}`,
		"/api/v4/users/{user_id}/typing":          `{"channel_id":"` + ch.String() + `"}`,
	}
	for _, who := range []string{eve.Me.ID.String(), ann.Me.ID.String()} {
		ids["user_id"] = who
		for _, r := range s.API.Routes() {
			if strings.Contains(r.Path, "logout") {
				continue
			}
			var body any
			if r.Method == http.MethodPost || r.Method == http.MethodPut {
				body = `{"message":"knock","display_name":"knock"}`
				if b := bodies[r.Path]; b != "" {
					body = b
				} else if strings.HasSuffix(r.Path, "/ids") {
					body = `["` + ann.Me.ID.String() + `"]`
				}
			}
			path := apitest.Filled(r.Path, ids)
			if r.Method == http.MethodGet {
				path += "?in_team=" + team.ID.String() + "&include_deleted=true&format=old"
			}
			resp := eve.Do(r.Method, path, body, nil)
			raw, _ := io.ReadAll(resp.Body)
			about := strings.Contains(r.Path, "{team_id}") || strings.Contains(r.Path, "{channel_id}") || strings.Contains(r.Path, "{post_id}") ||
				strings.Contains(r.Path, "{channel_name}") || bodies[r.Path] != "" && !strings.HasSuffix(r.Path, "/posts/ids")
			if about && (resp.StatusCode < 400 || resp.StatusCode >= 500) {
				t.Errorf("%s %s: %d %.200s", r.Method, path, resp.StatusCode, raw)
			}
			for _, secret := range []string{"treasure", `"plans"`, `"vault"`, team.InviteID} {
				if strings.Contains(string(raw), secret) {
					t.Errorf("%s %s tells %q: %.300s", r.Method, path, secret, raw)
				}
			}
			if strings.Contains(string(raw), ann.Me.ID.String()) && strings.Contains(string(raw), "desktop_sound") {
				t.Errorf("%s %s tells how somebody else is notified: %.300s", r.Method, path, raw)
			}
		}
	}
}

func TestPrivacy_WhatOthersHaveRead(t *testing.T) {
	// The time when a user last viewed a channel is shown only to that user.
	_, s := apitest.NewHome(t)
	ann := s.SignUp(t, "ann")
	bob := s.SignUp(t, "bob")
	team := ann.NewTeam("crew")
	ch := ann.NewChannel(team.ID, "deck", "O")
	bob.JoinTeam(team.ID)
	bob.Join(ch)
	ann.Post(ch, "1")
	ann.Must(200, "POST", "/channels/members/me/view", map[string]string{"channel_id": ch.String()}, nil)
	type member struct {
		User   core.UserID `json:"user_id"`
		Viewed int64       `json:"last_viewed_at"`
		Update int64       `json:"last_update_at"`
	}
	check := func(what string, m member) {
		t.Helper()
		mine := m.User == bob.Me.ID
		if hidden := m.Viewed == -1 && m.Update == -1; hidden == mine || mine && m.Update == 0 {
			t.Errorf("%s shows bob %+v; bob is %v", what, m, bob.Me.ID)
		}
	}
	base := "/channels/" + ch.String() + "/members"
	var one member
	var all []member
	bob.Must(200, "GET", base+"/"+ann.Me.ID.String(), nil, &one)
	check("one member", one)
	bob.Must(200, "GET", base+"/me", nil, &one)
	check("oneself", one)
	bob.Must(200, "GET", base, nil, &all)
	for _, m := range all {
		check("the list", m)
	}
	bob.Must(200, "POST", base+"/ids", []string{ann.Me.ID.String(), bob.Me.ID.String()}, &all)
	for _, m := range all {
		check("members by id", m)
	}
	bob.Must(201, "POST", base, map[string]string{"user_id": ann.Me.ID.String()}, &one)
	check("adding who is there already", one)
	if len(all) != 2 {
		t.Errorf("%d members", len(all))
	}
}

func TestPrivacy_ListsForAdministrators(t *testing.T) {
	// Users without a team, and the number of a team's members, are not shown to everybody.
	_, s := apitest.NewHome(t)
	ann := s.SignUp(t, "ann")
	eve := s.SignUp(t, "eve")
	team := ann.NewTeam("crew")
	const id = "api.context.permissions.app_error"
	eve.Fails(403, id, "GET", "/users?without_team=true", nil)
	eve.Fails(403, id, "GET", "/teams/"+team.ID.String()+"/stats", nil)
	ann.Must(200, "GET", "/users?without_team=true", nil, nil)
	ann.Must(200, "GET", "/teams/"+team.ID.String()+"/stats", nil, nil)
}

func TestUser_OwnEmailTakesPassword(t *testing.T) {
	// Somebody who finds an open session cannot take over the account by changing its address:
	// this needs the password. Administrators change others' addresses without.
	_, s := apitest.NewHome(t)
	ann := s.SignUp(t, "ann")
	bob := s.SignUp(t, "bob")
	const id = "api.context.invalid_body_param.app_error"
	bob.Fails(400, id, "PUT", "/users/me/patch", map[string]string{"email": "eve@example.com"})
	bob.Fails(400, id, "PUT", "/users/me/patch", map[string]string{"email": "eve@example.com", "password": "a guess"})
	bob.Must(200, "PUT", "/users/me/patch", map[string]string{"email": "bob@example.com", "nickname": "b"}, nil)
	bob.Must(200, "PUT", "/users/me/patch", map[string]string{"email": "bobby@example.com", "password": apitest.Password}, nil)
	ann.Must(200, "PUT", "/users/"+bob.Me.ID.String()+"/patch", map[string]string{"email": "robert@example.com"}, nil)
	bob.Fails(403, "api.context.permissions.app_error", "PUT", "/users/"+ann.Me.ID.String()+"/patch", map[string]string{"email": "eve@example.com", "password": apitest.Password})
}

func TestWire_ForgedRequestOnOpenRoute(t *testing.T) {
	// Another site's page cannot use a browser's cookie, even on routes that need no session; and
	// no answer claims that the user is signed out while the session is valid.
	_, s := apitest.NewHome(t)
	ann := s.SignUp(t, "ann")
	cookie := map[string]string{"Cookie": session.CookieToken + "=" + ann.Token}
	resp := s.Raw(t, "POST", "/users/logout", "", cookie)
	if resp.StatusCode != 401 || !strings.Contains(strings.Join(resp.Header["Set-Cookie"], ";"), session.CookieToken+"=;") {
		t.Errorf("signed out by another site: %d %v", resp.StatusCode, resp.Header["Set-Cookie"])
	}
	ann.Must(200, "GET", "/users/me", nil, nil)
	cookie["X-CSRF-Token"] = session.CSRF(ann.Token)
	if resp := s.Raw(t, "POST", "/users/logout", "", cookie); resp.StatusCode != 200 {
		t.Errorf("signing out oneself: %d", resp.StatusCode)
	}
	ann.Fails(401, "api.context.session_expired.app_error", "GET", "/users/me", nil)
}

func TestServer_HasEveryTimeout(t *testing.T) {
	// A client that writes or reads slowly does not occupy a connection for ever.
	_, s := apitest.NewHome(t)
	srv := s.API.Server()
	if srv.ReadHeaderTimeout <= 0 || srv.ReadTimeout <= 0 || srv.WriteTimeout <= 0 || srv.IdleTimeout <= 0 || srv.MaxHeaderBytes <= 0 {
		t.Errorf("%+v", srv)
	}
}

func TestUser_SettingsAreBounded(t *testing.T) {
	// A profile's settings are sent to every socket when they change, so their size is bounded.
	_, s := apitest.NewHome(t)
	ann := s.SignUp(t, "ann")
	big := map[string]string{"x": strings.Repeat("y", 5000)}
	for _, field := range []string{"props", "notify_props", "timezone"} {
		raw, _ := json.Marshal(map[string]any{field: big})
		ann.Fails(400, "model.user.is_valid."+field+".app_error", "PUT", "/users/me/patch", string(raw))
		raw, _ = json.Marshal(map[string]any{"username": "bob", "email": "b@example.com", "password": apitest.Password, field: big})
		ann.Fails(400, "model.user.is_valid."+field+".app_error", "POST", "/users", string(raw))
	}
	ann.Must(200, "PUT", "/users/me/patch", map[string]any{"props": map[string]string{"customStatus": `{"emoji":"palm_tree","text":"away"}`}}, nil)
}

func TestLogin_GuessingLocks(t *testing.T) {
	// Passwords cannot be guessed: after ten wrong ones even the right one fails for a while.
	// This does not reveal whether an account exists, and does not affect other users.
	_, s := apitest.NewHome(t)
	s.SignUp(t, "ann")
	bobID := s.SignUp(t, "bob").Me.ID.String()
	s.SignUp(t, "cyd")
	c := &apitest.Client{T: t, URL: s.URL}
	for _, login := range []string{"ann", "nobody"} {
		for range core.MaxAttempts {
			c.Fails(401, "api.user.login.invalid_credentials_email_username", "POST", "/users/login", map[string]string{"login_id": login, "password": "a guess"})
		}
		c.Fails(401, "api.user.check_user_login_attempts.too_many.app_error", "POST", "/users/login", map[string]string{"login_id": strings.ToUpper(login), "password": apitest.Password})
	}
	bob := map[string]string{"id": bobID, "login_id": "", "password": "a guess"}
	for i := range core.MaxAttempts {
		bob["login_id"] = fmt.Sprint(i) // it is ignored
		c.Fails(401, "api.user.login.invalid_credentials_email_username", "POST", "/users/login", bob)
	}
	c.Fails(401, "api.user.check_user_login_attempts.too_many.app_error", "POST", "/users/login", bob)
	bob["id"], bob["login_id"] = "", "bob"
	c.Fails(401, "api.user.check_user_login_attempts.too_many.app_error", "POST", "/users/login", bob)
	c.Must(200, "POST", "/users/login", map[string]string{"login_id": "cyd", "password": apitest.Password}, nil)
}

func TestPrivacy_NothingLeftOfDeletedPosts(t *testing.T) {
	// Text that was deleted or replaced is nowhere in a list of changes: not in the tags, nor in
	// the attachments.
	_, s := apitest.NewHome(t)
	ann := s.SignUp(t, "ann")
	ch, first := apitest.ChannelOf(ann, 1)
	body := map[string]any{"channel_id": ch.String(), "message": "a #secret", "props": map[string]any{"attachments": []any{map[string]any{"text": "the secret"}}}}
	for range 2 {
		var p core.Post
		ann.Must(201, "POST", "/posts", body, &p)
		ann.Must(200, "PUT", "/posts/"+p.ID.String()+"/patch", map[string]any{"message": "harmless", "props": map[string]any{}}, nil)
		ann.Must(201, "POST", "/posts", body, &p)
		ann.Must(200, "DELETE", "/posts/"+p.ID.String(), nil, nil)
	}
	resp := ann.Must(200, "GET", fmt.Sprintf("/channels/%s/posts?since=%d", ch, first[0].CreateAt), nil, nil)
	if raw, _ := io.ReadAll(resp.Body); strings.Contains(string(raw), "secret") || !strings.Contains(string(raw), "harmless") {
		t.Errorf("%s", raw)
	}
}
