package areas_test

import (
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/edge/api/apitest"
)

// People are found by their names in any case, whatever the alphabet, in a search as in the suggestions while one types.
func TestNames_Found(t *testing.T) {
	_, s := apitest.NewHome(t)
	me, who := s.SignUp(t, "me"), s.SignUp(t, "who")
	team := me.NewTeam("crew")
	who.JoinTeam(team.ID)
	isWho := func(u core.User) bool { return u.ID == who.Me.ID }
	for _, name := range []string{"Zed", "Jürgen", "Élodie", "Иван", "Łukasz", "Αθηνά"} {
		who.Must(200, "PUT", "/users/me/patch", map[string]string{"first_name": name}, nil)
		for _, term := range []string{name, strings.ToLower(name), strings.ToUpper(name), string([]rune(strings.ToLower(name))[:3])} {
			var found []core.User
			me.Must(200, "POST", "/users/search", map[string]any{"term": term, "team_id": team.ID}, &found)
			var suggested struct {
				Users []core.User `json:"users"`
			}
			me.Must(200, "GET", "/users/autocomplete?in_team="+team.ID.String()+"&name="+url.QueryEscape(term), nil, &suggested)
			if !slices.ContainsFunc(found, isWho) || !slices.ContainsFunc(suggested.Users, isWho) {
				t.Errorf("%s by %q: found %v, suggested %v", name, term, slices.ContainsFunc(found, isWho), slices.ContainsFunc(suggested.Users, isWho))
			}
		}
	}
}

// Channels are listed in the order of the language of whoever reads the list.
func TestNames_Order(t *testing.T) {
	_, s := apitest.NewHome(t)
	me := s.SignUp(t, "me")
	team := me.NewTeam("crew")
	names := []string{"zeta", "Alpha", "émile", "beta", "Ärger", "Delta"}
	for i, name := range names {
		me.Must(201, "POST", "/channels", map[string]any{"team_id": team.ID, "name": "ch-" + string(rune('a'+i)), "display_name": name, "type": "O"}, nil)
	}
	for locale, want := range map[string]string{"en": "Alpha Ärger beta Delta émile zeta", "sv": "Alpha beta Delta émile zeta Ärger"} {
		me.Must(200, "PUT", "/users/me/patch", map[string]string{"locale": locale}, nil)
		for _, path := range []string{"/teams/" + team.ID.String() + "/channels", "/users/me/teams/" + team.ID.String() + "/channels"} {
			var list []core.Channel
			me.Must(200, "GET", path, nil, &list)
			var got []string
			for _, ch := range list {
				if slices.Contains(names, ch.DisplayName) {
					got = append(got, ch.DisplayName)
				}
			}
			if strings.Join(got, " ") != want {
				t.Errorf("%s in %s: %v", path, locale, got)
			}
		}
	}
}
