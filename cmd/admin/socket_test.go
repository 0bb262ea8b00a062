package admin

import (
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nearside/nearside/core"
)

// The socket of a process that was killed is replaced, at its end nothing is left, and what is no socket is in
// the way. Whatever mode its directory had, nobody else can enter it.
func TestListen(t *testing.T) {
	data := filepath.Join(t.TempDir(), strings.Repeat("x", 120))
	dir := filepath.Dir(SocketPath(data))
	if err := os.MkdirAll(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	first, err := Listen(data)
	if err != nil {
		t.Fatal(err)
	}
	killed := first.(listener).Listener // its file stays
	if err := killed.Close(); err != nil {
		t.Fatal(err)
	}
	l, err := Listen(data)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]fs.FileMode{dir: fs.ModeDir | 0o700, SocketPath(data): fs.ModeSocket | 0o700} {
		if info, err := os.Lstat(path); err != nil || info.Mode() != want {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
	served := make(chan error, 1)
	go func() { served <- http.Serve(l, http.NotFoundHandler()) }()
	resp, err := Place{Socket: SocketPath(data), URL: "http://127.0.0.1:1"}.Ask(t.Context(), "GET", "/none", nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusNotFound {
		t.Errorf("it answers %d", resp.StatusCode)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	<-served
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if _, err := (Place{Socket: SocketPath(data)}).Ask(t.Context(), "GET", "/none", nil); err == nil || !strings.Contains(err.Error(), SocketPath(data)) || strings.Contains(err.Error(), "localhost") {
		t.Errorf("nobody listens: %v", err)
	}
	if err := os.WriteFile(SocketPath(data), []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(data); core.KindOf(err) != core.KindConflict {
		t.Errorf("a file is in the way: %v", err)
	}
	other := t.TempDir()
	if err := os.Symlink(dir, filepath.Join(other, dirName)); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(other); err == nil {
		t.Error("the directory is a link to another one")
	}
}

// A token is made once, is the same at the next start, and is refused if its file has none.
func TestToken(t *testing.T) {
	data := t.TempDir()
	if err := os.Mkdir(filepath.Join(data, dirName), 0o700); err != nil {
		t.Fatal(err)
	}
	first, err := Token(data)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := Token(data); err != nil || again != first {
		t.Errorf("%q, then %q, %v", first, again, err)
	}
	for _, text := range []string{"", "\n", "short", strings.Repeat("x", maxTokenBytes+1)} {
		if err := os.WriteFile(TokenPath(data), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := Token(data); core.KindOf(err) != core.KindInvalid {
			t.Errorf("%.9q is the token %.9q, %v", text, got, err)
		}
	}
}

// Without the token only what is promised to scripts is open, and only to be read.
func TestWithToken_OpenStatus(t *testing.T) {
	h := WithToken("token", true, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	for request, want := range map[string]int{
		"GET /metrics": 200, "GET /healthz": 200, "GET /readyz": 200, "GET /v1/status": 200,
		"POST /v1/status": 401, "GET /v1/status/": 401, "GET /v1/tables": 401, "GET /debug/pprof/": 401, "PUT /v1/distance": 401, "GET //metrics": 401,
	} {
		method, path, _ := strings.Cut(request, " ")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(method, "http://127.0.0.1"+path, nil))
		if w.Code != want {
			t.Errorf("%s: %d, want %d", request, w.Code, want)
		}
	}
}
