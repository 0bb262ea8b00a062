package areas_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/edge/api"
	"github.com/nearside/nearside/edge/api/apitest"
)

var t0 = time.UnixMilli(1_800_000_000_000)

func TestInput_WithoutSession(t *testing.T) {
	// Every operation that needs a session answers 401 in the error format without one, with a
	// forged one, and with one in the URL.
	_, s := apitest.NewHome(t)
	nobody := &apitest.Client{T: t, URL: s.URL}
	forged := &apitest.Client{T: t, URL: s.URL, Token: core.NewID[core.Session](t0).String()}
	ids := map[string]string{"user_id": "me"}
	for _, r := range s.API.Routes() {
		if r.Open {
			continue
		}
		path := apitest.Filled(r.Path, ids)
		nobody.Fails(401, "api.context.session_expired.app_error", r.Method, path, nil)
		forged.Fails(401, "api.context.session_expired.app_error", r.Method, path, nil)
		nobody.Fails(401, "api.context.token_provided.app_error", r.Method, path+"?access_token="+forged.Token, nil)
	}
}

func TestInput_Malformed(t *testing.T) {
	// No body and no path, however broken, gives a 500 or an answer that is not in the error
	// format.
	_, s := apitest.NewHome(t)
	ann := s.SignUp(t, "ann")
	ids := apitest.OneOfEach(ann)
	bodies := map[string]string{
		"nothing": "", "cut off": `{"message":`, "null": "null", "a number": "7", "a string": `"x"`, "wrong types": wrongTypes,
		"not UTF-8": "{\"message\":\"\xff\xfe\",\"login_id\":\"\xff\",\"password\":\"\xff\"}", "a list of numbers": "[1,2,3]", "a list of lists": `[[["x"]]]`,
		"NUL": `{"message":"a\u0000b","term":"\u0000"}`, "too large": `{"message":"` + strings.Repeat("x", 300_000) + `"}`,
		"deep": strings.Repeat(`{"props":`, 5000) + "1" + strings.Repeat("}", 5000), "two values": `{} {}`, "bad ids": `["x","y"]`,
	}
	for _, r := range s.API.Routes() {
		if r.Method == http.MethodGet || r.Method == http.MethodDelete || strings.HasSuffix(r.Path, "/logout") {
			continue
		}
		for name, body := range bodies {
			resp := ann.Do(r.Method, apitest.Filled(r.Path, ids), body, nil)
			fine := name == "deep" || name == "bad ids" // unknown fields are ignored, and any text may be a name
			takesBody := !strings.HasSuffix(r.Path, "pin") && !strings.HasSuffix(r.Path, "/expire") && !strings.HasSuffix(r.Path, "/verify/member") && !strings.HasSuffix(r.Path, "/members/invite")
			form := strings.HasSuffix(r.Path, "/image") || strings.HasSuffix(r.Path, "/files") || strings.HasSuffix(r.Path, "/{upload_id}") // refused before it is read
			switch {
			case resp.StatusCode >= 500, takesBody && !fine && resp.StatusCode < 400:
				t.Errorf("%s %s with %s: %d", r.Method, r.Path, name, resp.StatusCode)
			case name == "too large" && takesBody && !form && resp.StatusCode != 413:
				t.Errorf("%s %s with %s: %d", r.Method, r.Path, name, resp.StatusCode)
			}
			checkShape(t, r.Method+" "+r.Path+" with "+name, resp)
		}
	}
	for _, r := range s.API.Routes() {
		for _, bad := range []string{"x", strings.Repeat("z", 27), "%ff%fe", "%00", strings.Repeat("-", 26), "..%2f..", "🦆"} {
			path := strings.TrimPrefix(r.Path, "/api/v4")
			for strings.Contains(path, "{") {
				path = path[:strings.Index(path, "{")] + bad + path[strings.Index(path, "}")+1:]
			}
			resp := ann.Do(r.Method, path+"?page=x&per_page=-3&since=z&before="+bad+"&limit_after=y", nil, nil)
			if resp.StatusCode >= 500 && resp.StatusCode != 501 {
				t.Errorf("%s %s: %d", r.Method, path, resp.StatusCode)
			}
			if strings.Contains(bad, "%2f") && r.Path == "/files/{file_id}/public" {
				continue // a page of the web client
			}
			checkShape(t, r.Method+" "+path, resp)
		}
	}
}

// wrongTypes has every field of any body, with a type that is wrong in each.
const wrongTypes = `{"id":{},"user_id":{},"user_ids":{},"team_id":[],"channel_id":{},"message":{},"username":{},"email":[],"password":7,
"login_id":{},"display_name":{},"name":{},"type":{},"props":7,"root_id":{},"is_pinned":"x","term":{},"nickname":{},"header":{},"notify_props":1}`

// checkShape checks that an answer is JSON, and an error in the error format.
func checkShape(t *testing.T, what string, resp *http.Response) {
	t.Helper()
	if ct := resp.Header.Get("Content-Type"); ct != "application/json" {
		t.Errorf("%s: Content-Type %q", what, ct)
	}
	if resp.StatusCode < 400 {
		return
	}
	var fields map[string]any
	if err := json.NewDecoder(resp.Body).Decode(&fields); err != nil {
		t.Errorf("%s: %v", what, err)
		return
	}
	for _, k := range []string{"id", "message", "detailed_error", "request_id", "status_code"} {
		if _, ok := fields[k]; !ok {
			t.Errorf("%s: no %s in %v", what, k, fields)
		}
	}
	if len(fields) != 5 || fields["status_code"] != float64(resp.StatusCode) {
		t.Errorf("%s: %d with %v", what, resp.StatusCode, fields)
	}
}

func TestInput_URITooLong(t *testing.T) {
	// A URL over the limit is refused with 414 before anything is read.
	_, s := apitest.NewHome(t)
	c := &apitest.Client{T: t, URL: s.URL}
	c.Fails(414, "basic_security_check.url.too_long_error", "GET", "/system/ping?x="+strings.Repeat("y", 2048), nil)
}

func TestInput_RestOfTheAPI(t *testing.T) {
	// Operations that are not built answer 501 with their name; an unknown path answers 404.
	_, s := apitest.NewHome(t)
	c := &apitest.Client{T: t, URL: s.URL}
	built := map[string]bool{}
	for _, r := range s.API.Routes() {
		built[r.Method+" "+r.Path] = true
	}
	n := 0
	for line := range strings.Lines(api.Operations) {
		f := strings.Split(strings.TrimSpace(line), "\t")
		if f[0] == "method" || built[f[0]+" "+f[1]] || strings.HasSuffix(f[1], "/websocket") || f[0] == "HEAD" || !strings.HasPrefix(f[1], "/api/v4") {
			continue
		}
		path := strings.TrimPrefix(f[1], "/api/v4")
		for strings.Contains(path, "{") {
			path = path[:strings.Index(path, "{")] + strings.Repeat("a", 26) + path[strings.Index(path, "}")+1:]
		}
		c.Fails(501, "api.nearside.not_built.app_error", f[0], path, nil)
		n++
	}
	if n < 300 {
		t.Errorf("only %d operations are left to build", n)
	}
	c.Fails(404, "api.context.404.app_error", "GET", "/no/such/thing", nil)
	c.Fails(404, "api.context.404.app_error", "PATCH", "/users/me", nil)
}

func TestLanding_SaysWhatThisIs(t *testing.T) {
	// A browser gets a page at the root, and the same page with 404 elsewhere.
	_, s := apitest.NewHome(t)
	for path, want := range map[string]int{"/": 200, "/crew/channels/deck": 404} {
		resp, err := http.Get(s.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html") {
			t.Errorf("%s: %d %s", path, resp.StatusCode, resp.Header.Get("Content-Type"))
		}
	}
}

func FuzzDecodeJSON(f *testing.F) {
	for _, s := range []string{`{"message":"x"}`, `[`, `"\u0000"`, `"\\u0000"`, "\xff", `null`, ` {} `, wrongTypes} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var p core.Post
		err := api.DecodeJSON(raw, &p)
		if err != nil && core.KindOf(err) != core.KindInvalid {
			t.Fatalf("%q: %v", raw, err)
		}
		if err == nil && strings.ContainsRune(p.Message, 0) {
			t.Fatalf("%q let a NUL through", raw)
		}
	})
}

func FuzzQuery(f *testing.F) {
	for _, s := range []string{"page=1&per_page=2", "since=-1", "before=%ff", "page=99999999999999999999", "per_page=0", "a=%zz", ";=&"} {
		f.Add(s)
	}
	_, s := apitest.NewHome(f)
	ann := s.SignUp(f, "ann")
	ids := apitest.OneOfEach(ann)
	f.Fuzz(func(t *testing.T, query string) {
		if _, err := url.ParseRequestURI("http://x/?" + query); err != nil || strings.ContainsAny(query, " #") || len(query) > 1000 {
			t.Skip()
		}
		c := *ann
		c.T = t
		for _, path := range []string{"/channels/" + ids["channel_id"] + "/posts", "/users", "/posts/" + ids["post_id"] + "/thread"} {
			if resp := c.Do("GET", path+"?"+query, nil, nil); resp.StatusCode >= 500 {
				t.Fatalf("%s?%s: %d", path, query, resp.StatusCode)
			}
		}
	})
}
