package areas_test

import (
	"testing"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/edge/api/apitest"
)

func TestAPI_FirstSteps(t *testing.T) {
	// A user signs up, signs in, makes a team and a channel, posts, and finds the post.
	_, s := apitest.NewHome(t)
	ann := s.SignUp(t, "ann")
	if ann.Me.Roles != "system_admin system_user" {
		t.Errorf("the first account has roles %q", ann.Me.Roles)
	}
	team := ann.NewTeam("crew")
	ch := ann.NewChannel(team.ID, "deck", "O")
	p := ann.Post(ch, "hello #world")
	if p.Message != "hello #world" || p.Hashtags != "#world" || p.UserID != ann.Me.ID || p.CreateAt == 0 {
		t.Errorf("the post is %+v", p)
	}
	got := ann.List("/channels/%s/posts", ch)
	if got.Texts() != "hello #world ann joined the channel." {
		t.Errorf("the channel holds %q", got.Texts())
	}
	var me core.User
	ann.Must(200, "GET", "/users/me", nil, &me)
	if me.Username != "ann" || me.NotifyProps["email"] != "true" || !me.PasswordSeal.IsZero() {
		t.Errorf("users/me is %+v", me)
	}
	ann.Must(200, "POST", "/users/logout", nil, nil)
	ann.Fails(401, "api.context.session_expired.app_error", "GET", "/users/me", nil)
}
