package areas_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/read"
	"github.com/nearside/nearside/edge/api/apitest"
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
