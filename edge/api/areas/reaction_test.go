package areas_test

import (
	"testing"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/edge/api/apitest"
)

// A reaction, or the picture of a bookmark, is an emoji that exists: clients show a hole for any other.
func TestReactions_EmojiExists(t *testing.T) {
	_, s := apitest.NewHome(t)
	ann := s.SignUp(t, "ann")
	ch := ann.NewChannel(ann.NewTeam("crew").ID, "deck", "O")
	p := ann.Post(ch, "look")
	react := func(name string) map[string]any {
		return map[string]any{"user_id": ann.Me.ID, "post_id": p.ID, "emoji_name": name}
	}
	for _, name := range []string{"definitely_not_an_emoji", "SMILE", "-", "", "no such emoji"} {
		ann.Fails(404, "app.emoji.get_by_name.no_result", "POST", "/reactions", react(name))
	}
	ann.Must(200, "POST", "/reactions", react("+1_dark_skin_tone"), nil)
	var kept []core.Reaction
	ann.Must(200, "GET", "/posts/"+p.ID.String()+"/reactions", nil, &kept)
	if len(kept) != 1 || kept[0].EmojiName != "+1_dark_skin_tone" {
		t.Errorf("kept %+v", kept)
	}
	mark := map[string]string{"display_name": "Log", "type": "link", "link_url": "https://example.com", "emoji": ":nothing:"}
	ann.Fails(400, "model.channel_bookmark.is_valid.emoji.app_error", "POST", "/channels/"+ch.String()+"/bookmarks", mark)
	mark["emoji"] = ":scroll:"
	ann.Must(201, "POST", "/channels/"+ch.String()+"/bookmarks", mark, nil)
}
