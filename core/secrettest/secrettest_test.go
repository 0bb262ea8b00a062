package secrettest_test

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/secrettest"
)

// What a client sends and gets as a secret is found wherever it is written later, and nothing else is.
func TestSecrets_AreFound(t *testing.T) {
	s := secrettest.New()
	h := s.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if body, _ := io.ReadAll(r.Body); !strings.Contains(string(body), "login_id") {
			t.Errorf("the handler reads %q", body)
		}
		w.Header().Set("Token", "a-new-token-1")
	}))
	r := httptest.NewRequest("POST", "/api/v4/users/login", strings.NewReader(`{"login_id":"ann","password":"wrong guess 1"}`))
	r.Header.Set("Authorization", "Bearer an-old-token-1")
	h.ServeHTTP(httptest.NewRecorder(), r)
	hash := core.HashToken("a-new-token-1")
	log := s.Logger(slog.DiscardHandler)
	log.Info("signed in", "as", "ann", "with", "wrong guess 1")
	for text, want := range map[string]bool{
		s.Log(): true, "x an-old-token-1 y": true, "a-new-token-1": true, "wrong guess 1": true, "ann": false, "": false, "a-new-token": false,
		string(append([]byte("0"), []byte(hexOf(hash))...)): true,
	} {
		if got := s.Found(text) != ""; got != want {
			t.Errorf("in %q a secret is found: %v", text, got)
		}
	}
}

func hexOf(h core.TokenHash) string {
	const digits = "0123456789abcdef"
	var b strings.Builder
	for _, x := range h {
		b.WriteByte(digits[x>>4])
		b.WriteByte(digits[x&15])
	}
	return b.String()
}
