package areas_test

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/edge/api/apitest"
	"github.com/nearside/nearside/edge/api/areas"
	"github.com/nearside/nearside/edge/session"
)

func TestWire_Headers(t *testing.T) {
	// Every answer has exactly the headers that clients need.
	_, s := apitest.NewHome(t)
	ann := s.SignUp(t, "ann")
	auth := map[string]string{"Authorization": "BEARER " + ann.Token}
	// What is not for everybody is not kept by browsers and proxies. Web clients take X-Version-Id only from answers
	// without Cache-Control, so what they ask for first has none.
	for path, cache := range map[string]string{"/users/me": "no-store", "/users/nobody": "no-store", "/system/ping": "", "/no/such": "",
		"/config/client?format=old": "", "/license/client?format=old": ""} {
		resp := s.Raw(t, "GET", path, "", auth)
		for k, want := range map[string]string{
			"Content-Type": "application/json", "Expires": "0", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
			"Permissions-Policy": "",
		} {
			if got, ok := resp.Header[http.CanonicalHeaderKey(k)]; !ok || got[0] != want {
				t.Errorf("%s: %s is %q", path, k, got)
			}
		}
		if v := resp.Header.Get("X-Version-Id"); !strings.HasPrefix(v, "11.6.0.test.") || !strings.HasSuffix(v, ".false") || strings.Count(v, ".") != 5 {
			t.Errorf("%s: X-Version-Id %q", path, v)
		}
		if len(resp.Header.Get("X-Request-Id")) != 26 || resp.Header.Get("Cache-Control") != cache {
			t.Errorf("%s: %v", path, resp.Header)
		}
		if p, err := core.ParsePosition(resp.Header.Get("X-Nearside-Position")); err != nil || p.Index != s.Position().Index {
			t.Errorf("%s: position %v, %v", path, p, err)
		}
		if len(resp.Cookies()) > 0 {
			t.Errorf("%s: cookies for somebody who is no browser: %v", path, resp.Cookies())
		}
	}
}

func TestWire_Gzip(t *testing.T) {
	// Large answers are compressed for clients that support it, with the same content; small ones
	// are not.
	_, s := apitest.NewHome(t)
	ann := s.SignUp(t, "ann")
	ch, _ := apitest.ChannelOf(ann, 10)
	auth := map[string]string{"Authorization": "Bearer " + ann.Token}
	packed := map[string]string{"Authorization": "Bearer " + ann.Token, "Accept-Encoding": "gzip, br"}
	for _, path := range []string{"/channels/" + ch.String() + "/posts", "/config/client?format=old"} {
		want, _ := io.ReadAll(s.Raw(t, "GET", path, "", auth).Body)
		for range 2 {
			resp := s.Raw(t, "GET", path, "", packed)
			zr, err := gzip.NewReader(resp.Body)
			if err != nil || resp.Header.Get("Content-Encoding") != "gzip" {
				t.Fatalf("%s: %v %v", path, resp.Header, err)
			}
			if got, err := io.ReadAll(zr); string(got) != string(want) || err != nil {
				t.Errorf("%s: unpacked answer differs (%v)", path, err)
			}
		}
	}
	if resp := s.Raw(t, "GET", "/users/me", "", packed); resp.Header.Get("Content-Encoding") != "" {
		t.Error("a small answer was compressed")
	}
}

func TestWire_BrowserSession(t *testing.T) {
	// A browser gets its cookies, must prove that its own page writes, and loses the cookie with
	// its session.
	_, s := apitest.NewHome(t)
	s.SignUp(t, "ann")
	xhr := map[string]string{"X-Requested-With": "XMLHttpRequest"}
	resp := s.Raw(t, "POST", "/users/login", `{"login_id":"ANN@example.com","password":"`+apitest.Password+`"}`, xhr)
	jar := map[string]*http.Cookie{}
	for _, c := range resp.Cookies() {
		jar[c.Name] = c
	}
	token, csrf := jar[session.CookieToken], jar[session.CookieCSRF]
	if token == nil || !token.HttpOnly || csrf == nil || csrf.HttpOnly || jar[session.CookieUser] == nil || jar["NSPOSITION"] == nil {
		t.Fatalf("cookies: %v", resp.Cookies())
	}
	if got := resp.Header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("the answer with the token may be kept: %q", got)
	}
	for name, c := range jar { // requests of other sites do not carry them
		if c.SameSite != http.SameSiteLaxMode || c.Secure || c.Path != "/" || c.Domain != "" {
			t.Errorf("cookie %s: %v", name, c)
		}
	}
	if token.Value != resp.Header.Get("Token") {
		t.Error("the Token header and the cookie differ")
	}
	cookie := session.CookieToken + "=" + token.Value
	const path, body = "/users/me/patch", `{"nickname":"x"}`
	for _, c := range []struct {
		headers map[string]string
		status  int
	}{
		{map[string]string{"Cookie": cookie}, 401},
		{map[string]string{"Cookie": cookie, "X-CSRF-Token": "wrong"}, 401},
		{map[string]string{"Cookie": cookie, "X-CSRF-Token": csrf.Value}, 200},
		{map[string]string{"Cookie": cookie, "X-Requested-With": "XMLHttpRequest"}, 200},
		{map[string]string{"Cookie": session.CookieToken + "=dead", "Authorization": "Bearer " + token.Value}, 401},
	} {
		resp := s.Raw(t, "PUT", path, body, c.headers)
		if resp.StatusCode != c.status {
			t.Errorf("%v: %d, not %d", c.headers, resp.StatusCode, c.status)
		}
		gone := strings.Contains(strings.Join(resp.Header["Set-Cookie"], ";"), session.CookieToken+"=;")
		if gone != (c.status == 401) {
			t.Errorf("%v: Set-Cookie %v", c.headers, resp.Header["Set-Cookie"])
		}
	}
	if resp := s.Raw(t, "POST", "/roles/names", `["system_user"]`, map[string]string{"Cookie": cookie}); resp.StatusCode != 200 {
		t.Errorf("a route that trusts its requester: %d", resp.StatusCode)
	}
	if resp := s.Raw(t, "GET", "/system/ping", "", map[string]string{"Cookie": session.CookieToken + "=dead"}); resp.StatusCode != 200 {
		t.Errorf("a dead token on an open route: %d", resp.StatusCode)
	}
}

func TestWire_CookiesByTLS(t *testing.T) {
	// By TLS every cookie is for TLS only; an embedded page may ask for those that other sites' requests carry. The
	// cookie that no client knows by its name cannot be set by another host of the domain.
	_, s := apitest.NewHome(t)
	s.SignUp(t, "ann")
	login := func(header map[string]string) map[string]*http.Cookie {
		header["X-Requested-With"], header["X-Forwarded-Proto"] = "XMLHttpRequest", "https"
		jar := map[string]*http.Cookie{}
		for _, c := range s.Raw(t, "POST", "/users/login", `{"login_id":"ann","password":"`+apitest.Password+`"}`, header).Cookies() {
			if jar[c.Name] = c; !c.Secure || c.Path != "/" || c.Domain != "" {
				t.Errorf("cookie %s: %v", c.Name, c)
			}
		}
		return jar
	}
	jar := login(map[string]string{})
	if len(jar) != 4 || jar["__Host-NSPOSITION"] == nil || jar[session.CookieToken].SameSite != http.SameSiteLaxMode {
		t.Errorf("cookies: %v", jar)
	}
	embedded := login(map[string]string{"Cookie": "MMEMBED=1"})
	if embedded[session.CookieToken].SameSite != http.SameSiteNoneMode {
		t.Errorf("cookies of an embedded page: %v", embedded)
	}
	seen := embedded["__Host-NSPOSITION"].Value
	ask := func(cookie string) *http.Response {
		return s.Raw(t, "GET", "/system/ping", "", map[string]string{"X-Forwarded-Proto": "https", "Cookie": cookie})
	}
	if resp := ask("__Host-NSPOSITION=" + seen); len(resp.Cookies()) != 0 {
		t.Errorf("a position that is known: %v", resp.Cookies())
	}
	if resp := ask("NSPOSITION=1.99999"); !strings.HasPrefix(strings.TrimPrefix(resp.Header.Get("X-Nearside-Position"), "1."), strings.TrimPrefix(seen, "1.")) {
		t.Errorf("another host of the domain sets the position to %s", resp.Header.Get("X-Nearside-Position"))
	}
}

func TestLogin_FailuresLookAlike(t *testing.T) {
	// Nobody can distinguish a wrong name from a wrong password.
	_, s := apitest.NewHome(t)
	s.SignUp(t, "ann")
	c := &apitest.Client{T: t, URL: s.URL}
	const id = "api.user.login.invalid_credentials_email_username"
	c.Fails(401, id, "POST", "/users/login", map[string]string{"login_id": "ann", "password": "wrong"})
	c.Fails(401, id, "POST", "/users/login", map[string]string{"login_id": "nobody", "password": "wrong"})
	c.Fails(401, id, "POST", "/users/login", map[string]string{"login_id": "", "password": "wrong"})
	c.Fails(401, "api.user.login.blank_pwd.app_error", "POST", "/users/login", map[string]string{"login_id": "ann"})
}

func TestConfig_ForEverybodyAndForPeople(t *testing.T) {
	// The configuration has only strings, fewer of them without a session, and says whether
	// accounts exist.
	_, s := apitest.NewHome(t)
	c := &apitest.Client{T: t, URL: s.URL}
	var limited, full map[string]string
	c.Must(200, "GET", "/config/client?format=old", nil, &limited)
	if limited["NoAccounts"] != "true" || limited["Version"] != "11.6.0" || limited["MaxPostSize"] != "" {
		t.Errorf("limited: %v", limited)
	}
	ann := s.SignUp(t, "ann")
	ann.Must(200, "GET", "/config/client?format=old", nil, &full)
	for _, key := range strings.Fields(`NoAccounts Version BuildNumber BuildHash BuildEnterpriseReady SiteURL SiteName DefaultClientLocale
		AvailableLocales EnableSignInWithEmail EnableSignInWithUsername EnableSignUpWithEmail EnableUserCreation EnableOpenServer
		PasswordMinimumLength EnableUserStatuses PluginsEnabled WebsocketURL WebsocketPort WebsocketSecurePort EnableCustomEmoji
		EnableDesktopLandingPage EnableOnboardingFlow CollapsedThreads TeammateNameDisplay MaxPostSize MaxFileSize EnableFileAttachments
		PostEditTimeLimit MaxNotificationsPerChannel TimeBetweenUserTypingUpdatesMilliseconds EnableUserTypingMessages MinimumHashtagLength
		EnableEmojiPicker EnableLinkPreviews EnablePermalinkPreviews CustomUrlSchemes ManagedResourcePaths MaxMarkdownNodes AllowSyncedDrafts
		ScheduledPosts PostPriority PostAcknowledgements UniqueEmojiReactionLimitPerPost UsersStatusAndProfileFetchingPollIntervalMilliseconds
		ExperimentalChannelCategorySorting DelayChannelAutocomplete EnableJoinLeaveMessageByDefault ExperimentalTimezone
		ExperimentalEnablePostMetadata InstallationDate SchemaVersion DiagnosticId`) {
		if _, ok := full[key]; !ok {
			t.Errorf("no %s", key)
		}
	}
	if full["NoAccounts"] != "false" || full["FeatureFlagGraphQL"] == "true" {
		t.Errorf("full: %v", full)
	}
	c.Fails(400, "api.context.invalid_param.app_error", "GET", "/license/client", nil)
}

func TestChannelMembers_Lines(t *testing.T) {
	// Page -1 of one's own memberships is lines of JSON with the names of the teams.
	_, s := apitest.NewHome(t)
	ann := s.SignUp(t, "ann")
	apitest.ChannelOf(ann, 0)
	resp := ann.Must(200, "GET", "/users/"+ann.Me.ID.String()+"/channel_members?page=-1&per_page=60", nil, nil)
	raw, _ := io.ReadAll(resp.Body)
	lines := strings.Split(strings.TrimSpace(string(raw)), "\n")
	if ct := resp.Header.Get("Content-Type"); ct != "application/x-ndjson" || len(lines) != 3 {
		t.Fatalf("%s, %d lines", ct, len(lines))
	}
	for _, line := range lines {
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil || m["team_name"] != "crew" || m["user_id"] != ann.Me.ID.String() {
			t.Errorf("%s: %v", line, err)
		}
	}
}

// What a request has changed is announced with the socket that the request names; a header that is no id names none.
func TestConnectionID(t *testing.T) {
	_, s := apitest.NewHome(t)
	ann := s.SignUp(t, "ann")
	ch, _ := apitest.ChannelOf(ann, 1)
	events := s.Subscribe()
	id := core.NewID[core.Connection](t0)
	for header, want := range map[string]core.ConnectionID{id.String(): id, "no id": {}} {
		p := ann.Post(ch, "x")
		if resp, body := ann.Fetch("DELETE", "/posts/"+p.ID.String(), "Connection-Id", header); resp.StatusCode != 200 {
			t.Fatalf("%d %s", resp.StatusCode, body)
		}
		var last core.ConnectionID
		for at := s.Position().Index; ; {
			batches, err := events.Next(context.WithoutCancel(t.Context()))
			if err != nil {
				t.Fatal(err)
			}
			b := batches[len(batches)-1]
			if last = b.Connection; b.Session.IsZero() {
				t.Error("a batch has no session")
			}
			if b.Index >= at {
				break
			}
		}
		if last != want {
			t.Errorf("%q gave %v", header, last)
		}
	}
}

func TestWire_WebSocket(t *testing.T) {
	// Upgrades reach the sockets, with and without a slash at the end.
	_, s := apitest.NewHomeWith(t, func(cfg *areas.Config) {
		cfg.WebSocket = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	})
	for _, path := range []string{"/websocket", "/websocket/"} {
		if resp := s.Raw(t, "GET", path+"?connection_id=", "", nil); resp.StatusCode != http.StatusTeapot {
			t.Errorf("%s: %d", path, resp.StatusCode)
		}
	}
}
