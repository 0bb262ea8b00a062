package address

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/nearside/nearside/core"
)

func TestParse(t *testing.T) {
	for text, want := range map[string]string{
		"https://chat.example.com":      "https://chat.example.com",
		"https://chat.example.com/":     "https://chat.example.com", // clients put paths behind it
		"HTTPS://Chat.Example.com:443/": "https://chat.example.com",
		"http://chat.example.com:80":    "http://chat.example.com",
		"http://chat.example.com:443":   "http://chat.example.com:443",
		"https://chat.example.com:8443": "https://chat.example.com:8443",
		"http://[::1]:8065":             "http://[::1]:8065",
		"https://[2001:DB8::1]:443":     "https://[2001:db8::1]",
		"http://127.0.0.1:8065":         "http://127.0.0.1:8065",
		"https://Bücher.example":        "https://xn--bcher-kva.example", // as browsers write it
	} {
		if got, err := Parse([]string{text}); err != nil || got.Main() != want {
			t.Errorf("%s: %q, %v", text, got, err)
		}
	}
	for text, want := range map[string]string{
		"":                                  "not an address",
		"chat.example.com":                  "not an address",
		"chat.example.com:8065":             "not an address",
		"ftp://chat.example.com":            "not an address",
		"https://":                          "not an address",
		"https:///x":                        "not an address",
		"https://chat.example.com/?x=1":     "behind ? or #",
		"https://chat.example.com?":         "behind ? or #",
		"https://chat.example.com/#":        "behind ? or #",
		"https://ann:secret@chat.example":   "name or password",
		"https://@chat.example":             "name or password",
		"https://chat.example.com/chat":     "has a path",
		"https://chat.example.com//":        "has a path",
		"https://chat.example.com:":         "port",
		"https://chat.example.com:0":        "port",
		"https://chat.example.com:99999":    "port",
		"https://chat exa.example":          "not an address",
		"https://chat_.example":             "host name",
		"https://chat.example.com\nevil: x": "not an address",
		" https://chat.example.com":         "not an address",
	} {
		got, err := Parse([]string{text})
		if core.KindOf(err) != core.KindInvalid || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
	two, err := Parse([]string{"https://eu.example", "https://us.example/", "https://EU.example:443"})
	if err != nil || len(two) != 2 || two.Main() != "https://eu.example" {
		t.Errorf("several: %q, %v", two, err)
	}
	if _, err := Parse(make([]string, maxAddresses+1)); err == nil {
		t.Error("any number of addresses")
	}
	if none, err := Parse(nil); err != nil || none.Main() != "" {
		t.Errorf("none: %q, %v", none, err)
	}
}

// TestOwn: behind a proxy that gives its own Host to the server, the page's origin is the configured address.
func TestOwn(t *testing.T) {
	for _, c := range []struct {
		site, host, origin string
		want               bool
	}{
		{"https://chat.example.com", "127.0.0.1:8065", "https://chat.example.com", true},
		{"https://chat.example.com", "127.0.0.1:8065", "https://chat.example.com:443", true},
		{"https://chat.example.com:443", "127.0.0.1:8065", "https://CHAT.example.com", true},
		{"https://chat.example.com", "127.0.0.1:8065", "", true},
		{"https://chat.example.com", "127.0.0.1:8065", "http://chat.example.com", false},
		{"https://chat.example.com", "127.0.0.1:8065", "https://chat.example.com:8443", false},
		{"https://chat.example.com", "127.0.0.1:8065", "https://evil.example.net", false},
		{"https://chat.example.com", "evil.example.net", "https://evil.example.net", false}, // its name points at this server
		{"https://chat.example.com", "127.0.0.1:8065", "https://chat.example.com.evil.example", false},
		{"https://chat.example.com", "127.0.0.1:8065", "null", false},
		{"https://eu.example https://us.example", "x", "https://us.example", true},
		{"https://eu.example https://us.example", "x", "https://as.example", false},
		{"", "chat.example.com", "https://chat.example.com", true},
		{"", "chat.example.com:443", "https://chat.example.com", true},
		{"", "Chat.example.com:80", "http://chat.example.com", true},
		{"", "chat.example.com:8065", "http://chat.example.com:8065", true},
		{"", "chat.example.com:8065", "http://chat.example.com", false},
		{"", "[::1]:8065", "http://[::1]:8065", true},
		{"", "chat.example.com", "https://evil.example.net", false},
		{"", "chat.example.com", "null", false},
		{"", "", "http://", false},
	} {
		site, err := Parse(strings.Fields(c.site))
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Host = c.host
		if c.origin != "" {
			r.Header.Set("Origin", c.origin)
		}
		if got := site.Own(r); got != c.want {
			t.Errorf("%q asked as %q by a page of %q: %v", c.site, c.host, c.origin, got)
		}
	}
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header["Origin"] = []string{"http://example.com", "https://evil.example.net"}
	if List(nil).Own(r) {
		t.Error("two origins at once are a page of ours")
	}
}

func TestCORS(t *testing.T) {
	site, err := Parse([]string{"https://eu.example", "https://us.example"})
	if err != nil {
		t.Fatal(err)
	}
	reached := false
	next := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true })
	ask := func(h http.Handler, method, origin, preflight string) http.Header {
		reached = false
		r := httptest.NewRequest(method, "https://us.example/api/v4/users/me", nil)
		if origin != "" {
			r.Header.Set("Origin", origin)
		}
		if preflight != "" {
			r.Header.Set("Access-Control-Request-Method", preflight)
			r.Header.Set("Access-Control-Request-Headers", "x-csrf-token")
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Result().Header
	}
	const allow = "Access-Control-Allow-Origin"
	h := site.Handler(false, next)
	if got := ask(h, "GET", "https://eu.example", ""); got.Get(allow) != "https://eu.example" || !reached || got.Get("Access-Control-Expose-Headers") == "" || got.Get("Vary") != "Origin" {
		t.Errorf("a page of another edge: %v", got)
	}
	if got := ask(h, "OPTIONS", "https://eu.example", "PUT"); got.Get(allow) != "https://eu.example" || reached || got.Get("Access-Control-Allow-Headers") != "x-csrf-token" {
		t.Errorf("it asks first: %v", got)
	}
	for _, origin := range []string{"https://evil.example.net", "null", ""} {
		if got := ask(h, "GET", origin, ""); got.Get(allow) != "" || !reached || got.Get("Vary") != "Origin" {
			t.Errorf("a page of %q: %v", origin, got)
		}
		if got := ask(h, "OPTIONS", origin, "PUT"); got.Get(allow) != "" || got.Get("Access-Control-Allow-Methods") != "" || !reached {
			t.Errorf("a page of %q asks first: %v", origin, got)
		}
	}
	r := httptest.NewRequest(http.MethodGet, "https://us.example/static/main.js", nil)
	r.Header.Set("Origin", "https://eu.example")
	w := httptest.NewRecorder()
	if h.ServeHTTP(w, r); len(w.Header()) != 0 {
		t.Errorf("a file of the web client: %v", w.Header())
	}
	if got := ask(List(nil).Handler(false, next), "GET", "https://us.example", ""); len(got) != 0 || !reached {
		t.Errorf("no address is configured: %v", got)
	}
}

// Browsers that use TLS up to a proxy get cookies and HSTS for it, whatever the proxy says.
func TestHandler_Secure(t *testing.T) {
	for _, c := range []struct {
		site       string
		hsts, tls  bool
		want, said string // of X-Forwarded-Proto, and HSTS
	}{
		{"https://eu.example https://us.example", true, false, "https", hstsValue},
		{"https://eu.example", false, false, "https", ""},
		{"https://eu.example http://10.0.0.1", true, false, "http", ""}, // some of its browsers have no TLS
		{"http://eu.example", true, false, "http", ""},
		{"", true, false, "http", ""},
		{"", true, true, "http", hstsValue},
		{"", false, true, "http", ""},
	} {
		site, err := Parse(strings.Fields(c.site))
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest(http.MethodGet, "/api/v4/users/me", nil)
		r.Header.Set("X-Forwarded-Proto", "http")
		if c.tls {
			r.TLS = &tls.ConnectionState{}
		}
		w, proto := httptest.NewRecorder(), ""
		site.Handler(c.hsts, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { proto = r.Header.Get("X-Forwarded-Proto") })).ServeHTTP(w, r)
		if got := w.Header().Get("Strict-Transport-Security"); got != c.said || proto != c.want {
			t.Errorf("%+v: %q, %q", c, proto, got)
		}
	}
}
