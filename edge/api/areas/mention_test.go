package areas_test

import (
	"slices"
	"testing"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/edge/api/accounts"
	"github.com/nearside/nearside/edge/api/apitest"
	"github.com/nearside/nearside/edge/api/areas"
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

// A mention of everybody reaches each member of the channel but the author, once, unless the member does not want such
// mentions. Who comes later was not meant.
func TestMentions_Everybody(t *testing.T) {
	_, s := apitest.NewHome(t)
	me, ann, deaf, late := s.SignUp(t, "me"), s.SignUp(t, "ann"), s.SignUp(t, "deaf"), s.SignUp(t, "late")
	team := me.NewTeam("crew")
	ch := me.NewChannel(team.ID, "deck", "O")
	for _, c := range []*apitest.Client{ann, deaf, late} {
		c.JoinTeam(team.ID)
	}
	ann.Join(ch)
	deaf.Join(ch)
	deaf.Must(200, "PUT", "/users/me/patch", map[string]any{"notify_props": map[string]string{"channel": "false", "mention_keys": "x"}}, nil)
	for text, want := range map[string]int64{
		"@channel": 1, "@all!": 1, "@All, lunch": 1, "hey @channel: now": 1, "@all.Lunch": 1, "@all @channel @ann": 1,
		"`@all`": 0, "@channels": 0, "me@all.example.com": 0, "@all_x": 0,
	} {
		if got := mentions(ann, me, ch, text); got != want {
			t.Errorf("%q mentions ann %d times, want %d", text, got, want)
		}
	}
	for text, want := range map[string]int64{"@all": 0, "@all @deaf": 1} {
		if got := mentions(deaf, me, ch, text); got != want {
			t.Errorf("%q mentions %d times whoever does not listen to it, want %d", text, got, want)
		}
	}
	if got := mentions(me, me, ch, "@all"); got != 0 {
		t.Errorf("the author is mentioned %d times", got)
	}
	late.Join(ch)
	var members []struct {
		UserID   core.UserID `json:"user_id"`
		Mentions int64       `json:"mention_count"`
	}
	ann.Must(200, "POST", "/channels/members/me/view", map[string]any{"channel_id": ch}, nil)
	me.Post(ch, "@channel one")
	me.Must(201, "POST", "/posts", map[string]any{"channel_id": ch, "message": "@all two"}, nil)
	me.Must(200, "GET", "/channels/"+ch.String()+"/members", nil, &members)
	want := map[core.UserID]int64{me.Me.ID: 0, ann.Me.ID: 2, deaf.Me.ID: 1, late.Me.ID: 2}
	for _, m := range members {
		if m.Mentions != want[m.UserID] && m.UserID != deaf.Me.ID {
			t.Errorf("%v has %d mentions, want %d", m.UserID, m.Mentions, want[m.UserID])
		}
	}
	var unread []struct {
		Mentions int64 `json:"mention_count"`
	}
	ann.Must(200, "GET", "/users/me/teams/unread", nil, &unread)
	if len(unread) != 1 || unread[0].Mentions != 2 {
		t.Errorf("the team has %+v", unread)
	}
}

// A mention of those who are here reaches the members who are online and listen to such mentions, once.
func TestMentions_Here(t *testing.T) {
	var here []core.UserID
	_, s := apitest.NewHomeWith(t, func(cfg *areas.Config) {
		cfg.Presence = func(ids []core.UserID) (out []accounts.Status) {
			for _, id := range ids {
				if slices.Contains(here, id) {
					out = append(out, accounts.Status{UserID: id, Status: "online"})
				}
			}
			return out
		}
	})
	me, ann, bob := s.SignUp(t, "me"), s.SignUp(t, "ann"), s.SignUp(t, "bob")
	team := me.NewTeam("crew")
	ch := me.NewChannel(team.ID, "deck", "O")
	ann.JoinTeam(team.ID)
	ann.Join(ch)
	here = []core.UserID{me.Me.ID, ann.Me.ID, bob.Me.ID}
	for text, want := range map[string]int64{"@here": 1, "@HERE.Anybody?": 1, "@here @ann @all": 1, "`@here`": 0, "@heres": 0} {
		if got := mentions(ann, me, ch, text); got != want {
			t.Errorf("%q mentions ann %d times, want %d", text, got, want)
		}
	}
	ann.Must(200, "PUT", "/users/me/patch", map[string]any{"notify_props": map[string]string{"channel": "false"}}, nil)
	if got := mentions(ann, me, ch, "@here"); got != 0 {
		t.Errorf("ann does not listen, and is mentioned %d times", got)
	}
	here = nil
	if got := mentions(ann, me, ch, "@here"); got != 0 {
		t.Errorf("ann is away, and is mentioned %d times", got)
	}
}
