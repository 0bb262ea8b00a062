package api_test

import (
	"testing"

	"github.com/nearside/nearside/core"
)

func TestAPI_FirstSteps(t *testing.T) {
	// Somebody signs up, signs in, makes a team and a channel, posts, and finds the post.
	_, s := newHome(t)
	ann := s.signUp(t, "ann")
	if ann.me.Roles != "system_admin system_user" {
		t.Errorf("the first account has roles %q", ann.me.Roles)
	}
	team := ann.newTeam("crew")
	ch := ann.newChannel(team.ID, "deck", "O")
	p := ann.post(ch, "hello #world")
	if p.Message != "hello #world" || p.Hashtags != "#world" || p.UserID != ann.me.ID || p.CreateAt == 0 {
		t.Errorf("the post is %+v", p)
	}
	got := ann.list("/channels/%s/posts", ch)
	if got.texts() != "hello #world ann joined the channel." {
		t.Errorf("the channel holds %q", got.texts())
	}
	var me core.User
	ann.must(200, "GET", "/users/me", nil, &me)
	if me.Username != "ann" || me.NotifyProps["email"] != "true" || me.PasswordHash != "" {
		t.Errorf("users/me is %+v", me)
	}
	ann.must(200, "POST", "/users/logout", nil, nil)
	ann.fails(401, "api.context.session_expired.app_error", "GET", "/users/me", nil)
}
