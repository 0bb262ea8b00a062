package areas_test

import (
	"testing"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/edge/api/apitest"
)

// mentions gives how many mentions a message makes for somebody.
func mentions(to, from *apitest.Client, ch core.ChannelID, text string) int64 {
	var unread struct {
		Mentions int64 `json:"mention_count"`
	}
	to.Must(200, "POST", "/channels/members/me/view", map[string]any{"channel_id": ch}, nil)
	from.Post(ch, text)
	to.Must(200, "GET", "/users/me/channels/"+ch.String()+"/unread", nil, &unread)
	return unread.Mentions
}

// A mention reaches the person whose name is written, whatever punctuation the writer put behind it. The longest name that is
// somebody's counts, and what is code where it is shown is no mention.
func TestMentions(t *testing.T) {
	_, s := apitest.NewHome(t)
	me, ann, both := s.SignUp(t, "me"), s.SignUp(t, "ann"), s.SignUp(t, "ann.b")
	team := me.NewTeam("crew")
	ch := me.NewChannel(team.ID, "deck", "O")
	for _, c := range []*apitest.Client{ann, both} {
		c.JoinTeam(team.ID)
		c.Join(ch)
	}
	for text, want := range map[string]int64{
		"@ann hi": 1, "@ANN.": 1, "@ann.Could you look?": 1, "@ann...thanks": 1, "@ann-thanks": 1, "@ann.. please, @ann": 1,
		"@ann_x": 0, "@ann.b hi": 0, "@annb": 0, "ann@example.com": 0,
		"- item\n  ```\n  @ann\n  ```": 0, "1. ~~~\n   @ann\n   ~~~": 0, "- item\n\n      @ann": 0, "- item\n\n    @ann please": 1,
	} {
		if got := mentions(ann, me, ch, text); got != want {
			t.Errorf("%q mentions ann %d times, want %d", text, got, want)
		}
	}
	if got := mentions(both, me, ch, "@ann.b.Could you?"); got != 1 {
		t.Errorf("ann.b is mentioned %d times", got)
	}
}
