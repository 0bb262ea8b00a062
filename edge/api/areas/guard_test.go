package areas_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync/atomic"
	"testing"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/read"
	"github.com/nearside/nearside/edge/api/apitest"
	"github.com/nearside/nearside/edge/api/areas"
	"github.com/nearside/nearside/edge/rate"
)

const (
	wrongLogin  = "api.user.login.invalid_credentials_email_username"
	lockedLogin = "api.user.check_user_login_attempts.too_many.app_error"
)

// at gives a client with an address of its own.
func at(addr string) *http.Client {
	return &http.Client{Transport: &http.Transport{
		DialContext:       (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(addr)}}).DialContext,
		DisableKeepAlives: true,
	}}
}

// login signs in and gives the id of the refusal, or "" if there is none.
func login(t testing.TB, c *http.Client, url string, body map[string]string) string {
	raw, err := json.Marshal(body)
	if err != nil {
		t.Error(err)
	}
	resp, err := c.Post(url+"/api/v4/users/login", "application/json", bytes.NewReader(raw))
	if err != nil {
		t.Error(err)
		return "no answer"
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	var p apitest.Problem
	if err := json.Unmarshal(text, &p); err != nil {
		t.Errorf("%s: %v", text, err)
	}
	if resp.StatusCode == http.StatusOK {
		return ""
	}
	return p.ID
}

// guesses makes wrong guesses all at once and gives how many of them were checked.
func guesses(t testing.TB, n int, guess func(i int) string) (checked int) {
	t.Helper()
	ids := make(chan string, n)
	for i := range n {
		go func() { ids <- guess(i) }()
	}
	for range n {
		switch id := <-ids; id {
		case wrongLogin:
			checked++
		case lockedLogin:
		default:
			t.Errorf("a guess got %q", id)
		}
	}
	return checked
}

func TestLogin_ParallelGuesses(t *testing.T) {
	// Of 60 guesses that arrive together ten are checked, whether the account exists or not, and however
	// its name is spelled.
	_, s := apitest.NewHome(t)
	ann := s.SignUp(t, "ann")
	for _, names := range [][]string{{"nobody"}, {"ann", "ANN", "ann@example.com", "Ann@Example.com", ann.Me.ID.String()}} {
		n := guesses(t, 60, func(i int) string {
			name := names[i%len(names)]
			// One address alone would fill its share of the queue of password hashes.
			stranger := at(fmt.Sprintf("127.0.0.%d", 2+i%10))
			return login(t, stranger, s.URL, map[string]string{"login_id": name, "id": name, "password": fmt.Sprint("guess ", i)})
		})
		if n != core.MaxAttempts {
			t.Errorf("%v: %d of 60 guesses were checked", names, n)
		}
	}
	s.SignUp(t, "bob") // others are not affected
}

func TestLogin_GuessesAtTwoEdges(t *testing.T) {
	// Guesses at two edges, which ask different home nodes, are counted together.
	near, away, _ := apitest.TwoEdges(t)
	near.SignUp(t, "ann")
	other, err := near.Home.NewGuard(read.New(away.DB, nil), away.Replica, near.DB)
	if err != nil {
		t.Fatal(err)
	}
	away.Guard = other
	edges := []string{near.URL, away.URL}
	n := guesses(t, 60, func(i int) string {
		return login(t, http.DefaultClient, edges[i%2], map[string]string{"login_id": "ann", "password": "a guess"})
	})
	if n != core.MaxAttempts {
		t.Errorf("%d of 60 guesses were checked", n)
	}
}

func TestLogin_StrangersDoNotLockOut(t *testing.T) {
	// Whatever strangers guess, the owner signs in from an address or with a device that has signed in before.
	_, s := apitest.NewHome(t)
	s.SignUp(t, "ann")
	right := map[string]string{"login_id": "ann", "password": apitest.Password, "device_id": "apple_rn:ann's phone"}
	if id := login(t, http.DefaultClient, s.URL, right); id != "" {
		t.Fatal(id)
	}
	strangers := func(addr string) {
		t.Helper()
		for range 3 {
			guesses(t, 15, func(int) string {
				return login(t, at(addr), s.URL, map[string]string{"login_id": "ann", "password": "a guess"})
			})
		}
	}
	strangers("127.0.0.2")
	if id := login(t, at("127.0.0.3"), s.URL, map[string]string{"login_id": "ann", "password": apitest.Password}); id != lockedLogin {
		t.Errorf("a stranger goes on guessing: %q", id)
	}
	if id := login(t, http.DefaultClient, s.URL, map[string]string{"login_id": "ann", "password": apitest.Password}); id != "" {
		t.Errorf("the owner at home: %q", id)
	}
	strangers("127.0.0.1") // somebody behind the same address
	if id := login(t, at("127.0.0.3"), s.URL, right); id != "" {
		t.Errorf("the owner's phone elsewhere: %q", id)
	}
}

func TestLogin_ConfirmationsCountToo(t *testing.T) {
	// Who has somebody's session cannot guess the password by confirming changes, and a right password gives
	// back what was counted.
	_, s := apitest.NewHome(t)
	ann := s.SignUp(t, "ann")
	change := func(password string) int {
		return ann.Do("PUT", "/users/me/patch", map[string]string{"email": "ann2@example.com", "password": password}, nil).StatusCode
	}
	for range core.MaxAttempts - 1 {
		if change("a guess") != http.StatusBadRequest {
			t.Fatal("a guess was right")
		}
	}
	if got := change(apitest.Password); got != http.StatusOK {
		t.Fatalf("the right password: %d", got)
	}
	guesses(t, 15, func(int) string {
		return login(t, http.DefaultClient, s.URL, map[string]string{"login_id": "ann2@example.com", "password": "a guess"})
	})
	if ann.Do("PUT", "/users/me/patch", map[string]string{"email": "ann3@example.com", "password": apitest.Password}, nil).StatusCode != http.StatusBadRequest {
		t.Error("the password is checked although there were too many guesses at login")
	}
}

// behindProxy gives a home whose edge believes what a proxy at this machine says about clients' addresses.
func behindProxy(t *testing.T, open bool) *apitest.Site {
	_, s := apitest.NewHomeWith(t, func(cfg *areas.Config) {
		var err error
		cfg.Limiter, err = rate.New(rate.Config{Off: true, Trusted: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
		if err != nil {
			t.Fatal(err)
		}
		cfg.OpenServer = open
	})
	return s
}

// invited shows an invitation from an address and gives the status.
func invited(t testing.TB, s *apitest.Site, from, invite string) int {
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/api/v4/teams/invite/"+invite, nil)
	if err != nil {
		t.Error(err)
		return 0
	}
	req.Header.Set("X-Forwarded-For", from)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Error(err)
		return 0
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode
}

func TestInvitation_ThousandGuesses(t *testing.T) {
	// Of 1,000 guesses from one address ten are checked, and of 1,000 from everywhere a share that all have together.
	// Whoever has an invitation and has not guessed still gets in.
	s := behindProxy(t, true)
	ann := s.SignUp(t, "ann")
	invite := ann.NewTeam("crew").InviteID
	guess := func(n int, from func(i int) string) map[int]int {
		got := make(chan int, n)
		limit := make(chan struct{}, 64)
		for i := range n {
			go func() {
				limit <- struct{}{}
				defer func() { <-limit }()
				got <- invited(t, s, from(i), fmt.Sprint("guess", i))
			}()
		}
		statuses := map[int]int{}
		for range n {
			statuses[<-got]++
		}
		return statuses
	}
	got := guess(1000, func(i int) string { return fmt.Sprintf("2001:db8:0:7::%x", i) }) // one customer has a /64
	if got[http.StatusNotFound] != core.MaxAttempts || got[http.StatusTooManyRequests] != 1000-core.MaxAttempts {
		t.Errorf("1,000 guesses from one address: %v", got)
	}
	if status := invited(t, s, "2001:db8:0:7::ffff", invite); status != http.StatusTooManyRequests {
		t.Errorf("the invitation from there: %d", status)
	}
	const addresses = 50
	got = guess(1000, func(i int) string { return fmt.Sprint("192.0.2.", i%addresses) })
	if n := got[http.StatusNotFound]; n > core.MaxTogether+addresses || n+got[http.StatusTooManyRequests] != 1000 {
		t.Errorf("1,000 guesses from %d addresses: %v", addresses, got)
	}
	if status := invited(t, s, "198.51.100.1", invite); status != http.StatusOK {
		t.Errorf("the invitation from elsewhere: %d", status)
	}
	bob := s.SignUp(t, "bob")
	var m core.TeamMember
	bob.Must(http.StatusCreated, "POST", "/teams/members/invite?invite_id="+invite, nil, &m)
	bob.Fails(http.StatusNotFound, "app.team.get_by_invite_id.finding.app_error", "POST", "/teams/members/invite?invite_id=guess", nil)
}

func TestInvitation_SignUp(t *testing.T) {
	// On a server that is not open one signs up with an invitation only, and guesses at it cost no hash of a password and end.
	s := behindProxy(t, false)
	ann := s.SignUp(t, "ann") // the first one may
	invite := ann.NewTeam("crew").InviteID
	signUp := func(name, invite string) (*http.Response, core.User) {
		var u core.User
		nobody := &apitest.Client{T: t, Site: s, URL: s.URL}
		resp := nobody.Do("POST", "/users?iid="+invite, map[string]string{"username": name, "email": name + "@example.com", "password": apitest.Password}, nil)
		if resp.StatusCode == http.StatusCreated {
			if err := json.NewDecoder(resp.Body).Decode(&u); err != nil {
				t.Fatal(err)
			}
		}
		return resp, u
	}
	resp, bob := signUp("bob", invite)
	if resp.StatusCode != http.StatusCreated {
		t.Fatalf("with an invitation: %d", resp.StatusCode)
	}
	var teams []core.Team
	ann.Must(http.StatusOK, "GET", "/users/"+bob.ID.String()+"/teams", nil, &teams)
	if len(teams) != 1 {
		t.Errorf("bob is in %d teams", len(teams))
	}
	var statuses []int
	for range core.MaxAttempts + 2 {
		resp, _ := signUp("eve", "guess")
		statuses = append(statuses, resp.StatusCode)
	}
	if statuses[core.MaxAttempts-1] != http.StatusNotFound || statuses[core.MaxAttempts] != http.StatusTooManyRequests {
		t.Errorf("guesses: %v", statuses)
	}
}

func TestSessions_OutOfTouch(t *testing.T) {
	// An edge that has not heard from home for too long answers 503 to everybody who is signed in, and 200 again afterwards.
	var lost atomic.Bool
	_, s := apitest.NewHomeWith(t, func(cfg *areas.Config) { cfg.InTouch = func() bool { return !lost.Load() } })
	ann := s.SignUp(t, "ann")
	lost.Store(true)
	ann.Fails(http.StatusServiceUnavailable, "api.nearside.unavailable.app_error", "GET", "/users/me", nil)
	lost.Store(false)
	ann.Must(http.StatusOK, "GET", "/users/me", nil, nil)
}
