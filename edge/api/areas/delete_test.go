package areas_test

import (
	"testing"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/edge/api/apitest"
)

func TestDelete_PendingID(t *testing.T) {
	// A client that sends a post again after it was deleted learns so: it does not come back.
	_, s := apitest.NewHome(t)
	ann := s.SignUp(t, "ann")
	ch := ann.NewChannel(ann.NewTeam("crew").ID, "deck", "O")
	body := map[string]any{"channel_id": ch, "message": "ahoy", "pending_post_id": ann.Me.ID.String() + ":1"}
	var first, second core.Post
	ann.Must(201, "POST", "/posts", body, &first)
	ann.Must(201, "POST", "/posts", body, &second)
	if first.ID != second.ID {
		t.Errorf("%s, then %s", first.ID, second.ID)
	}
	ann.Must(200, "DELETE", "/posts/"+first.ID.String(), nil, nil)
	ann.Fails(404, "app.post.get.app_error", "POST", "/posts", body)
}

func TestDelete_Team(t *testing.T) {
	// An archived team takes its channels and their badges out of what its members see.
	_, s := apitest.NewHome(t)
	ann, bob := s.SignUp(t, "ann"), s.SignUp(t, "bob")
	team, other := ann.NewTeam("crew"), ann.NewTeam("ghosts")
	for _, c := range []core.Team{team, other} {
		bob.JoinTeam(c.ID)
		ch := ann.NewChannel(c.ID, "deck", "O")
		bob.Join(ch)
		ann.Post(ch, "ahoy @bob")
	}
	seen := func() (teams, channels int) {
		var unread []struct{ TeamID core.TeamID }
		var list []core.Channel
		bob.Must(200, "GET", "/users/me/teams/unread", nil, &unread)
		bob.Must(200, "GET", "/users/me/channels", nil, &list)
		return len(unread), len(list)
	}
	if teams, channels := seen(); teams != 2 || channels != 6 {
		t.Fatalf("%d teams, %d channels", teams, channels)
	}
	ann.Must(200, "DELETE", "/teams/"+other.ID.String(), nil, nil)
	if teams, channels := seen(); teams != 1 || channels != 3 {
		t.Errorf("afterwards %d teams, %d channels", teams, channels)
	}
}
