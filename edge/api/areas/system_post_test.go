package areas_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/edge/api/apitest"
)

// The server's messages are the same wherever a post is shown, although neither log nor database
// has their text.
func TestSystemPosts_AreWorded(t *testing.T) {
	_, s := apitest.NewHome(t)
	ann, bob, cyd := s.SignUp(t, "ann"), s.SignUp(t, "bob"), s.SignUp(t, "cyd")
	team := ann.NewTeam("crew")
	ch := ann.NewChannel(team.ID, "deck", "O")
	inTeam, inChannel := "/teams/"+team.ID.String()+"/members", "/channels/"+ch.String()+"/members"
	bob.JoinTeam(team.ID)
	ann.Must(201, "POST", inTeam, map[string]string{"team_id": team.ID.String(), "user_id": cyd.Me.ID.String()}, nil)
	bob.Join(ch)
	ann.Must(201, "POST", inChannel, map[string]string{"user_id": cyd.Me.ID.String()}, nil)
	ann.Must(200, "PUT", "/channels/"+ch.String()+"/patch", map[string]string{"header": "{username}", "purpose": "talk", "display_name": "Deck"}, nil)
	bob.Must(200, "DELETE", inChannel+"/"+bob.Me.ID.String(), nil, nil)
	ann.Must(200, "DELETE", inChannel+"/"+cyd.Me.ID.String(), nil, nil)
	bob.Must(200, "DELETE", inTeam+"/"+bob.Me.ID.String(), nil, nil)
	ann.Must(200, "DELETE", inTeam+"/"+cyd.Me.ID.String(), nil, nil)
	ann.Must(200, "DELETE", "/channels/"+ch.String(), nil, nil)

	var square core.Channel
	ann.Must(200, "GET", "/teams/"+team.ID.String()+"/channels/name/town-square", nil, &square)
	if square.DisplayName != "Town Square" {
		t.Errorf("the first channel is called %q", square.DisplayName)
	}
	for id, want := range map[core.ChannelID][]string{
		square.ID: {
			"ann joined the team.", "bob joined the team.", "cyd added to the team by ann.", "bob left the team.", "cyd was removed from the team.",
		},
		ch: {
			"ann joined the channel.", "bob joined the channel.", "cyd added to the channel by ann.",
			"ann updated the channel header from:  to: {username}", "ann updated the channel purpose from:  to: talk",
			"ann updated the channel display name from: deck to: Deck",
			"bob left the channel.", "cyd was removed from the channel.", "ann archived the channel.",
		},
	} {
		page := ann.List("/channels/%s/posts", id)
		var got []string
		for _, post := range slices.Backward(page.Order) {
			got = append(got, page.Posts[post].Message)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		one := page.Posts[page.Order[0]]
		var alone core.Post
		ann.Must(200, "GET", "/posts/"+one.ID.String(), nil, &alone)
		if diff := cmp.Diff(one, alone); diff != "" {
			t.Errorf("in a page and alone:\n%s", diff)
		}
	}
}
