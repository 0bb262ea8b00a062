package assets

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"github.com/nearside/nearside/core/eventually"
)

const page = "<!doctype html><title>client</title>"

var script = strings.Repeat("console.log('nearside');\n", 400)

func testBuild() fstest.MapFS {
	file := func(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s)} }
	return fstest.MapFS{
		"root.html":                  file(page),
		"robots.txt":                 file("User-agent: *\n"),
		"main.0123456789abcdef01.js": file(script),
		"remote_entry.js":            file(script),
		"manifest.json":              file("{}"),
		"i18n/de.json":               file(`{"a":"` + strings.Repeat("ä", 2000) + `"}`),
		"images/logo.png":            file(strings.Repeat("png", 1000)),
		".git/config":                file("secret"),
		"a/.env":                     file("secret"),
	}
}

// started returns a handler that makes forms until the test ends.
func started(t *testing.T, cfg Config) *Handler {
	t.Helper()
	h, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- h.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		h.Close()
	})
	return h
}

// get requests a path, with header fields and values in pairs.
func get(h http.Handler, path string, fields ...string) *http.Response {
	return ask(h, http.MethodGet, path, fields...)
}

func ask(h http.Handler, method, path string, fields ...string) *http.Response {
	r := httptest.NewRequest(method, "/", nil)
	r.URL.Path = path
	for i := 0; i < len(fields); i += 2 {
		r.Header.Add(fields[i], fields[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func content(t *testing.T, r *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func unpacked(t *testing.T, r *http.Response) string {
	t.Helper()
	for _, c := range codings {
		if c.name == r.Header.Get("Content-Encoding") {
			u, err := c.unpack(r.Body)
			if err != nil {
				t.Fatal(err)
			}
			b, err := io.ReadAll(u)
			if err != nil {
				t.Fatal(err)
			}
			return string(b)
		}
	}
	return content(t, r)
}

// Every path has the status, type and caching that web clients expect.
func TestHandler_Paths(t *testing.T) {
	h := started(t, Config{FS: testBuild()})
	for path, want := range map[string]struct {
		status      int
		kind, cache string
	}{
		"/":                                  {200, "text/html; charset=utf-8", cacheAsk},
		"/team/channels/town":                {200, "text/html; charset=utf-8", cacheAsk},
		"/static2/x.js":                      {200, "text/html; charset=utf-8", cacheAsk},
		"/robots.txt":                        {200, "text/plain; charset=utf-8", cacheAsk},
		"/static/manifest.json":              {200, "application/json", cacheLong},
		"/static/i18n/de.json":               {200, "application/json", cacheLong},
		"/static/main.0123456789abcdef01.js": {200, "text/javascript; charset=utf-8", cacheHashed},
		"/static/remote_entry.js":            {200, "text/javascript; charset=utf-8", cacheAsk},
		"/static/images/logo.png":            {200, "image/png", cacheLong},
		"/static/root.html":                  {200, "text/html; charset=utf-8", cacheAsk},
		"/static":                            {404, "text/plain; charset=utf-8", cacheNever},
		"/static/":                           {404, "text/plain; charset=utf-8", cacheNever},
		"/static/i18n/":                      {404, "text/plain; charset=utf-8", cacheNever},
		"/static/i18n":                       {404, "text/plain; charset=utf-8", cacheNever},
		"/static/none.js":                    {404, "text/plain; charset=utf-8", cacheNever},
		"/unsupported_browser.js":            {404, "text/plain; charset=utf-8", cacheNever},
	} {
		r := get(h, path)
		if r.StatusCode != want.status || r.Header.Get("Content-Type") != want.kind || r.Header.Get("Cache-Control") != want.cache {
			t.Errorf("%s: %d %q %q", path, r.StatusCode, r.Header.Get("Content-Type"), r.Header.Get("Cache-Control"))
		}
		for name, value := range map[string]string{
			"X-Frame-Options": "SAMEORIGIN", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
			"Content-Security-Policy": policy, "Age": "", "Set-Cookie": "",
		} {
			if r.Header.Get(name) != value {
				t.Errorf("%s: %s is %q", path, name, r.Header.Get(name))
			}
		}
	}
}

// No path leads out of the build or to a hidden file, whatever its spelling.
func TestHandler_Traversal(t *testing.T) {
	dir := t.TempDir()
	build := filepath.Join(dir, "build")
	if err := os.CopyFS(build, testBuild()); err != nil {
		t.Fatal(err)
	}
	secret := filepath.Join(dir, "secret.txt")
	if err := os.WriteFile(secret, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, target := range map[string]string{"link.txt": secret, "up.txt": "../secret.txt", "dir": dir} {
		if err := os.Symlink(target, filepath.Join(build, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(build, "pipe.js"), 0o600); err != nil {
		t.Fatal(err)
	}
	h := started(t, Config{Dir: build})
	for _, path := range []string{
		"/static/../secret.txt", "/static/..", "/static/./root.html", "/static//root.html", "/static/i18n/../../secret.txt",
		"/static/..\\secret.txt", "/static/.git/config", "/static/a/.env", "/static/link.txt", "/static/up.txt", "/static/dir/secret.txt",
		"/static/root.html\x00.js", "/static//etc/passwd", "/static/" + secret, "/static/pipe.js", "/static/%2e%2e/secret.txt",
	} {
		if r := get(h, path); r.StatusCode != http.StatusNotFound || strings.Contains(content(t, r), "secret") {
			t.Errorf("%q: %d", path, r.StatusCode)
		}
	}
}

// The client's preferred coding is used, a refused one never, and all give the same bytes.
func TestHandler_Codings(t *testing.T) {
	h := started(t, Config{FS: testBuild()})
	for accept, want := range map[string]string{
		"":                                  "",
		"identity":                          "",
		"gzip, deflate, br, zstd":           "br",
		"gzip, zstd":                        "zstd",
		"gzip":                              "gzip",
		"GZIP;q=0.5, br;q=0":                "gzip",
		"br;q=0.1, gzip;q=0.9":              "gzip",
		"*":                                 "br",
		"*;q=0.5, br;q=0":                   "zstd",
		"gzip;q=0, br;q=0.000, zstd; q = 0": "",
		"br;q=banana":                       "",
		"br;q=NaN":                          "",
		"identity;q=1, gzip;q=0.5":          "",
		"identity;q=0, deflate":             "",
	} {
		r := get(h, "/static/main.0123456789abcdef01.js", "Accept-Encoding", accept)
		if got := r.Header.Get("Content-Encoding"); got != want || r.Header.Get("Vary") != "Accept-Encoding" {
			t.Errorf("%q: %q, vary %q", accept, got, r.Header.Get("Vary"))
		}
		length := r.ContentLength
		body := content(t, r)
		r.Body = io.NopCloser(strings.NewReader(body))
		if int(length) != len(body) || unpacked(t, r) != script {
			t.Errorf("%q: other bytes, length %d of %d", accept, length, len(body))
		}
	}
}

// A file that does not get smaller, or is small, is served uncompressed, and its answer does not
// vary.
func TestHandler_NotPacked(t *testing.T) {
	h := started(t, Config{FS: testBuild()})
	for _, path := range []string{"/static/images/logo.png", "/static/manifest.json", "/"} {
		r := get(h, path, "Accept-Encoding", "br, gzip")
		if r.Header.Get("Content-Encoding") != "" || r.Header.Get("Vary") != "" {
			t.Errorf("%s: %v", path, r.Header)
		}
	}
}

// An entity tag identifies the bytes of one coding: it revalidates that one, by GET and HEAD, and
// no other.
func TestHandler_Revalidation(t *testing.T) {
	h := started(t, Config{FS: testBuild()})
	tags := map[string]string{}
	for _, coding := range []string{"", "gzip", "br", "zstd"} {
		tag := get(h, "/static/remote_entry.js", "Accept-Encoding", coding).Header.Get("ETag")
		if !strings.HasPrefix(tag, `"`) {
			t.Errorf("%s: tag %s is not strong", coding, tag)
		}
		for other, used := range tags {
			if used == tag {
				t.Errorf("%q and %q share a tag", coding, other)
			}
		}
		tags[coding] = tag
	}
	for coding, tag := range tags {
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			r := ask(h, method, "/static/remote_entry.js", "Accept-Encoding", coding, "If-None-Match", `"x", W/`+tag)
			if r.StatusCode != http.StatusNotModified || r.Header.Get("ETag") != tag || r.Header.Get("Cache-Control") != cacheAsk ||
				r.Header.Get("Vary") != "Accept-Encoding" || content(t, r) != "" {
				t.Errorf("%s %q: %d %v", method, coding, r.StatusCode, r.Header)
			}
		}
	}
	if r := get(h, "/static/remote_entry.js", "Accept-Encoding", "br", "If-None-Match", tags["gzip"]); r.StatusCode != http.StatusOK {
		t.Errorf("another coding's tag: %d", r.StatusCode)
	}
}

// The same content has the same tag at every edge, whatever the file's time.
func TestHandler_TagsAreOfContent(t *testing.T) {
	other := testBuild()
	for _, f := range other {
		f.ModTime = time.Unix(1e9, 0)
	}
	a, b := started(t, Config{FS: testBuild()}), started(t, Config{FS: other})
	if x, y := get(a, "/").Header.Get("ETag"), get(b, "/").Header.Get("ETag"); x != y || x == "" {
		t.Errorf("%s and %s", x, y)
	}
}

// A range is a range of the plain file, with the plain file's tag.
func TestHandler_Ranges(t *testing.T) {
	h := started(t, Config{FS: testBuild()})
	const path = "/static/remote_entry.js"
	r := get(h, path, "Accept-Encoding", "br", "Range", "bytes=5-14")
	if r.StatusCode != http.StatusPartialContent || r.Header.Get("Content-Encoding") != "" || content(t, r) != script[5:15] {
		t.Errorf("%d %v", r.StatusCode, r.Header)
	}
	packedTag := get(h, path, "Accept-Encoding", "br").Header.Get("ETag")
	if r := get(h, path, "Range", "bytes=5-14", "If-Range", packedTag); r.StatusCode != http.StatusOK || content(t, r) != script {
		t.Errorf("a part under another coding's tag: %d", r.StatusCode)
	}
	if r := get(h, path, "Range", "bytes=999999-"); r.StatusCode != http.StatusRequestedRangeNotSatisfiable {
		t.Errorf("past the end: %d", r.StatusCode)
	}
}

// HEAD gives the same header as GET and no body; other methods are refused.
func TestHandler_Methods(t *testing.T) {
	h := started(t, Config{FS: testBuild()})
	g := get(h, "/static/remote_entry.js", "Accept-Encoding", "gzip")
	r := ask(h, http.MethodHead, "/static/remote_entry.js", "Accept-Encoding", "gzip")
	if r.ContentLength != g.ContentLength || r.Header.Get("ETag") != g.Header.Get("ETag") || content(t, r) != "" {
		t.Errorf("%v, not %v", r.Header, g.Header)
	}
	if r := ask(h, http.MethodPost, "/static/remote_entry.js"); r.StatusCode != http.StatusMethodNotAllowed || r.Header.Get("Allow") == "" {
		t.Errorf("POST: %d", r.StatusCode)
	}
}

// Forms are stored by digest: a restart uses them, a damaged one is made again, and one without a
// file is removed.
func TestHandler_KeepsForms(t *testing.T) {
	cache := t.TempDir()
	const path = "/static/remote_entry.js"
	h := started(t, Config{FS: testBuild(), Cache: cache})
	want := content(t, get(h, path, "Accept-Encoding", "br"))
	kept := kept(t, cache, ".br")
	if b, err := os.ReadFile(kept); err != nil || string(b) != want {
		t.Fatalf("%v", err)
	}
	if err := os.WriteFile(kept, []byte("damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	stale, foreign := filepath.Join(cache, strings.Repeat("00", 32)+".br"), filepath.Join(cache, "notes.txt")
	for _, name := range []string{stale, foreign} {
		if err := os.WriteFile(name, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	again := started(t, Config{FS: testBuild(), Cache: cache})
	if r := get(again, path, "Accept-Encoding", "br"); content(t, r) != want || r.Header.Get("Content-Encoding") != "br" {
		t.Error("a damaged form is served")
	}
	eventually.True(t, "a form that nobody needs goes", func() bool {
		_, err := os.Stat(stale)
		return err != nil
	})
	if _, err := os.Stat(foreign); err != nil {
		t.Error("another's file is removed")
	}
}

// kept returns the path of the script's form, which is the larger one.
func kept(t *testing.T, dir, suffix string) string {
	t.Helper()
	h, err := New(Config{FS: testBuild()})
	if err != nil {
		t.Fatal(err)
	}
	f, e, err := h.open("remote_entry.js")
	if err != nil {
		t.Fatal(err)
	}
	_ = f.Close()
	for i, c := range codings {
		if c.suffix == suffix {
			return filepath.Join(dir, formName(e, i))
		}
	}
	t.Fatal("no such coding")
	return ""
}

// A form in the build is used only if it belongs to the file.
func TestHandler_FormsBeside(t *testing.T) {
	build := testBuild()
	var b bytes.Buffer
	w, err := codings[2].pack(&b)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(w, script)
	_ = w.Close()
	own := bytes.Clone(b.Bytes())
	own[9] = 42 // the byte of a gzip header with the operating system: shows that this form is not ours
	build["remote_entry.js.gz"] = &fstest.MapFile{Data: own}
	build["remote_entry.js.br"] = &fstest.MapFile{Data: []byte("not brotli of anything")}
	build["main.0123456789abcdef01.js.gz"] = &fstest.MapFile{Data: []byte("x")}
	h := started(t, Config{FS: build})
	if got := content(t, get(h, "/static/remote_entry.js", "Accept-Encoding", "gzip")); got != string(own) {
		t.Error("the build's own form is not used")
	}
	if r := get(h, "/static/remote_entry.js", "Accept-Encoding", "br"); unpacked(t, r) != script {
		t.Error("a wrong form is used")
	}
}

// After a change of the build, the new files are served with new tags.
func TestHandler_NewBuild(t *testing.T) {
	dir := t.TempDir()
	if err := os.CopyFS(dir, testBuild()); err != nil {
		t.Fatal(err)
	}
	h := started(t, Config{Dir: dir})
	before := get(h, "/").Header.Get("ETag")
	next := filepath.Join(dir, "next")
	if err := os.WriteFile(next, []byte(page+" two"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(next, filepath.Join(dir, rootPage)); err != nil {
		t.Fatal(err)
	}
	r := get(h, "/", "If-None-Match", before)
	if r.StatusCode != http.StatusOK || content(t, r) != page+" two" || r.Header.Get("ETag") == before {
		t.Errorf("%d, tag %s", r.StatusCode, r.Header.Get("ETag"))
	}
}

// Without Run, files are served plain, and no cache may store that.
func TestHandler_WithoutForms(t *testing.T) {
	h, err := New(Config{FS: testBuild()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // like a client that does not wait
	r := httptest.NewRequest(http.MethodGet, "/static/remote_entry.js", nil).WithContext(ctx)
	r.Header.Set("Accept-Encoding", "br")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Body.String() != script || w.Header().Get("Cache-Control") != cacheNever || w.Header().Get("Vary") == "" {
		t.Errorf("%v", w.Header())
	}
}

// A build without a root page, or a missing directory, is refused.
func TestNew_Refuses(t *testing.T) {
	for name, cfg := range map[string]Config{
		"nothing": {}, "both": {FS: testBuild(), Dir: "/"}, "no page": {FS: fstest.MapFS{}}, "no directory": {Dir: filepath.Join(t.TempDir(), "none")},
	} {
		if _, err := New(cfg); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// Any header is understood or refused: the chosen coding is one that the client named, or
// accepted by a star.
func FuzzAccepted(f *testing.F) {
	for _, s := range []string{"gzip, br;q=0", "*;q=0.1", "identity;q=0", ";;,,=q", "br;q=1e-400"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, i := range accepted([]string{s}) {
			if low := strings.ToLower(s); !strings.Contains(low, codings[i].name) && !strings.Contains(low, "*") {
				t.Fatalf("%q gives %s", s, codings[i].name)
			}
		}
	})
}

// Any path gives the page, a file of the build or 404, never an error or a hidden file.
func FuzzPath(f *testing.F) {
	h, err := New(Config{FS: testBuild()})
	if err != nil {
		f.Fatal(err)
	}
	for _, s := range []string{"/", "/static/../x", "/static/.git/config", "/static/i18n/de.json", "static"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r := get(h, s)
		if body := content(t, r); r.StatusCode != 200 && r.StatusCode != 404 || strings.Contains(body, "secret") {
			t.Fatalf("%q: %d", s, r.StatusCode)
		}
	})
}
