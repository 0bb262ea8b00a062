package areas_test

import (
	"context"
	"encoding/json"
	"net/http"
	"testing"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/edge/api/apitest"
)

// A refusal by apply is shown in the reader's language: that of the profile, or else the one that
// the client prefers.
func TestLanguage_OfTheReader(t *testing.T) {
	_, s := apitest.NewHome(t)
	ann := s.SignUp(t, "ann")
	for locale, want := range map[string]string{
		"de": "Ein Team mit diesem Namen gibt es bereits.", "ja": "同じ名前のチームがすでに存在します。", "en": "A team with that name already exists.",
	} {
		ann.Must(200, "PUT", "/users/me/patch", map[string]string{"locale": locale}, nil)
		team := core.Team{Name: "town", DisplayName: "town", Type: "O"}
		ann.Do("POST", "/teams", team, nil) // the first request makes the team
		var p apitest.Problem
		ann.Do("POST", "/teams", team, &p)
		if p.ID != "app.team.save.existing.app_error" || p.Message != want {
			t.Errorf("locale %s: %+v", locale, p)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), apitest.Limit)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, ann.URL+apitest.Place("/users/me"), nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept-Language", "fr, ja;q=0.9, de;q=0.5")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var p apitest.Problem
	if err := json.NewDecoder(resp.Body).Decode(&p); err != nil || p.Status != 401 || p.Message != "セッションが無効か、期限が切れています。もう一度ログインしてください。" {
		t.Errorf("nobody known: %+v, %v", p, err)
	}
}
