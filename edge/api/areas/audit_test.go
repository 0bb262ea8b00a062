package areas_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/read"
	"github.com/nearside/nearside/edge/api/apitest"
)

// wireAudit is an audit as clients receive it.
type wireAudit struct {
	ID        core.AuditID `json:"id"`
	UserID    core.UserID  `json:"user_id"`
	Action    string
	ExtraInfo string `json:"extra_info"`
	Address   string `json:"ip_address"`
}

// Sign-ins are in the trail with their address, and failed ones summed up, in a number of lines that does not grow with
// the guesses. Nobody but administrators reads the audits of others.
func TestAudit_Logins(t *testing.T) {
	_, s := apitest.NewHome(t)
	ann, bob := s.SignUp(t, "ann"), s.SignUp(t, "bob")
	for range 12 {
		login(t, http.DefaultClient, s.URL, map[string]string{"login_id": "bob", "password": "guess-4711"})
	}
	for i := range 80 {
		login(t, at(fmt.Sprint("127.0.1.", i+1)), s.URL, map[string]string{"login_id": "typed-secret-4712", "password": "guess-4711"})
	}
	if err := s.Home.Trail.Report(t.Context()); err != nil {
		t.Fatal(err)
	}
	var all []wireAudit
	ann.Must(200, "GET", "/audits?per_page=200", nil, &all)
	seen := map[string]int{}
	for _, a := range all {
		seen[a.Action]++
		if a.UserID == bob.Me.ID && a.Address != "127.0.0.1" {
			t.Errorf("an audit of bob's is %+v", a)
		}
	}
	if seen["create_session"] != 2 || seen[core.AuditLoginFailed] == 0 || seen[core.AuditLoginFailed] > core.MaxAuditsReport {
		t.Errorf("in the trail: %v", seen)
	}
	rows, err := read.New(s.DB, nil).Audits(t.Context(), read.AuditFilter{Action: core.AuditLoginFailed}, read.Page{Size: 1000})
	if err != nil {
		t.Fatal(err)
	}
	var times int64
	for _, a := range rows {
		times += a.Times
		for _, secret := range []string{"4711", "4712", ann.Token, bob.Token, apitest.Password} {
			if strings.Contains(fmt.Sprint(a), secret) {
				t.Errorf("%q is in the trail: %+v", secret, a)
			}
		}
	}
	if times != 92 {
		t.Errorf("%d failures are summed up, not 92", times)
	}
	bob.Must(200, "GET", "/users/me/audits", nil, &all)
	if slices.ContainsFunc(all, func(a wireAudit) bool { return a.UserID != bob.Me.ID || a.ID.IsZero() }) || len(all) == 0 {
		t.Errorf("bob's audits are %+v", all)
	}
	bob.Fails(403, "api.context.permissions.app_error", "GET", "/audits", nil)
	bob.Fails(403, "api.context.permissions.app_error", "GET", "/users/"+ann.Me.ID.String()+"/audits", nil)
}

// The trail is read page by page, filtered, and from a place on.
func TestAudit_Pages(t *testing.T) {
	_, s := apitest.NewHome(t)
	ann := s.SignUp(t, "ann")
	team := ann.NewTeam("crew")
	ann.NewChannel(team.ID, "deck", "O")
	var all, page []wireAudit
	ann.Must(200, "GET", "/audits", nil, &all)
	ann.Must(200, "GET", "/audits?page=1&per_page=1", nil, &page)
	if len(all) < 4 || all[0].Action != "create_channel" || !strings.HasPrefix(all[0].ExtraInfo, "channel_id=") || len(page) != 1 || page[0] != all[1] {
		t.Fatalf("all: %+v, the second page: %+v", all, page)
	}
	store := read.New(s.DB, nil)
	list := func(f read.AuditFilter) (out []string) {
		t.Helper()
		rows, err := store.Audits(t.Context(), f, read.Page{Size: 2})
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range rows {
			out = append(out, fmt.Sprint(a.Number, " ", a.Action))
		}
		return out
	}
	for _, c := range []struct {
		f    read.AuditFilter
		want string
	}{
		{read.AuditFilter{After: 1, Onward: true}, "[2 create_session 3 create_team]"},
		{read.AuditFilter{Before: 3}, "[2 create_session 1 create_user]"},
		{read.AuditFilter{Action: "create_team", UserID: ann.Me.ID, Result: read.AuditDone, Until: 1 << 60}, "[3 create_team]"},
		{read.AuditFilter{Result: "wrong"}, "[]"},
		{read.AuditFilter{Since: 1 << 60}, "[]"},
	} {
		if got := fmt.Sprint(list(c.f)); got != c.want {
			t.Errorf("%+v: %s, not %s", c.f, got, c.want)
		}
	}
}

// What somebody is refused permission for is in the trail, by operation and object and with how often, whether this edge
// refused it or apply; also of a session that ends before it is reported. It is a bounded number of lines, whatever they try.
func TestAudit_Refusals(t *testing.T) {
	_, s := apitest.NewHome(t)
	ann, bob, cal := s.SignUp(t, "ann"), s.SignUp(t, "bob"), s.SignUp(t, "cal")
	team := ann.NewTeam("crew")
	for range 3 {
		bob.Fails(403, "api.context.permissions.app_error", "GET", "/users/"+ann.Me.ID.String()+"/audits", nil)
	}
	bob.Fails(403, "api.context.permissions.app_error", "DELETE", "/teams/"+team.ID.String(), nil)
	for i := range 100 {
		cal.Fails(403, "api.context.permissions.app_error", "GET", "/users/"+core.DeriveID[core.User](fmt.Sprint(i)).String()+"/audits", nil)
	}
	cal.Must(200, "POST", "/users/logout", nil, nil)
	bob.Must(404, "GET", "/teams/"+core.TeamID{1}.String(), nil, nil)
	s.API.ReportRefusals(t.Context())
	rows, err := read.New(s.DB, nil).Audits(t.Context(), read.AuditFilter{Result: "api.context.permissions.app_error"}, read.Page{Size: 1000})
	if err != nil {
		t.Fatal(err)
	}
	of, times := map[string]int64{}, map[core.UserID]int64{}
	for _, a := range rows {
		times[a.UserID] += a.Times
		if a.UserID == bob.Me.ID {
			of[a.Action+" "+a.Object] = a.Times
		}
		if a.Kind != core.AuditRefusal || a.Address != "127.0.0.1" || a.SessionID.IsZero() || a.CreateAt == 0 {
			t.Errorf("a refusal is %+v", a)
		}
	}
	want := map[string]int64{
		"GET /api/v4/users/{user_id}/audits user_id=" + ann.Me.ID.String(): 3,
		"DELETE /api/v4/teams/{team_id} team_id=" + team.ID.String():       1,
	}
	if d := cmp.Diff(want, of); d != "" {
		t.Errorf("bob's refusals (-want +got):\n%s", d)
	}
	if times[cal.Me.ID] != 100 || len(rows) > len(want)+core.MaxRefusals {
		t.Errorf("cal was refused %d times, in %d lines", times[cal.Me.ID], len(rows)-len(want))
	}
}

// The check with which every test of the API ends finds what it looks for: a password that was typed as an operation's
// object, if that were in the trail, and what is in it is written.
func TestAudit_NothingSecret(t *testing.T) {
	h, s := apitest.NewHome(t)
	ann := s.SignUp(t, "ann")
	login(t, http.DefaultClient, s.URL, map[string]string{"login_id": "ann", "password": "a wrong password"})
	if err := h.Trail.Report(t.Context()); err != nil {
		t.Fatal(err)
	}
	lines, err := s.AuditLines(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(lines, "\n"); n < 3 || !strings.Contains(lines, core.AuditLoginFailed) {
		t.Errorf("the trail has %d lines:\n%s", n, lines)
	}
	for _, secret := range []string{apitest.Password, "a wrong password", ann.Token} {
		if h.Secrets.Found(lines) != "" || h.Secrets.Found(lines+secret) == "" {
			t.Errorf("%q would not be found", secret)
		}
	}
}
