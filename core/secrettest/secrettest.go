// Package secrettest knows the passwords and tokens that tests use, and finds them where no secret may be: in the audit
// trail, in its lines, and in what nodes log.
//
// Concurrency: safe for concurrent use; it starts no goroutines.
package secrettest

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/nearside/nearside/core"
)

const (
	shortest = 8 // a shorter secret is found in any text
	maxLog   = 4 << 20
)

// Secrets are the secrets of a test.
type Secrets struct {
	mu    sync.Mutex        // guards all below
	known map[string]string // what it is, by the secret
	log   bytes.Buffer
}

// New gives what knows no secret yet.
func New() *Secrets { return &Secrets{known: map[string]string{}} }

// Know adds secrets, and what stands for them: the hash of a token is as good as the token.
func (s *Secrets) Know(what string, secrets ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, secret := range secrets {
		if len(secret) < shortest {
			continue
		}
		s.known[secret] = what
		if hash := core.HashToken(secret); what == "token" {
			s.known[hex.EncodeToString(hash[:])] = "the hash of a token"
			s.known[base64.StdEncoding.EncodeToString(hash[:])] = "the hash of a token"
		}
	}
}

// Found names the first secret in a text; "" if there is none.
func (s *Secrets) Found(text string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for secret, what := range s.known {
		if at := strings.Index(text, secret); at >= 0 {
			return fmt.Sprintf("%s %q: …%s…", what, secret, text[max(0, at-80):min(len(text), at+len(secret)+80)])
		}
	}
	return ""
}

// Check fails a test if there is a secret in a text.
func (s *Secrets) Check(t testing.TB, where, text string) {
	t.Helper()
	if found := s.Found(text); found != "" {
		t.Errorf("a secret is in %s: %s", where, found)
	}
}

// secretFields are the fields of requests in which people send secrets.
var secretFields = []string{"password", "new_password", "current_password"}

// Learn learns the secrets of a request, and of the header of its answer, which may be nil.
func (s *Secrets) Learn(sent http.Header, body []byte, answered http.Header) {
	if token, ok := strings.CutPrefix(sent.Get("Authorization"), "Bearer "); ok {
		s.Know("token", token)
	}
	if answered != nil {
		s.Know("token", answered.Get("Token"))
	}
	var fields map[string]any
	if len(body) == 0 || body[0] != '{' || json.Unmarshal(body, &fields) != nil {
		return
	}
	for _, name := range secretFields {
		if secret, ok := fields[name].(string); ok {
			s.Know("password", secret)
		}
	}
}

// Handler learns from what a handler is asked.
func (s *Secrets) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body []byte
		if (r.URL.Path == "/api/v4/users" || r.URL.Path == "/api/v4/users/login" || strings.HasSuffix(r.URL.Path, "/password")) && r.ContentLength > 0 && r.ContentLength < 1<<16 {
			body, _ = io.ReadAll(r.Body)
			r.Body = io.NopCloser(bytes.NewReader(body))
		}
		next.ServeHTTP(w, r)
		s.Learn(r.Header, body, w.Header())
	})
}

// Logger gives a logger that keeps what is logged, and passes it on.
func (s *Secrets) Logger(next slog.Handler) *slog.Logger {
	return slog.New(both{slog.NewTextHandler(s, nil), next})
}

// Write keeps a part of the log.
func (s *Secrets) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.log.Len() < maxLog {
		s.log.Write(b)
	}
	return len(b), nil
}

// Log gives what was logged.
func (s *Secrets) Log() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.String()
}

// both is two handlers of a log.
type both struct{ a, b slog.Handler }

// Enabled implements slog.Handler.
func (h both) Enabled(ctx context.Context, l slog.Level) bool {
	return h.a.Enabled(ctx, l) || h.b.Enabled(ctx, l)
}

// Handle implements slog.Handler.
func (h both) Handle(ctx context.Context, r slog.Record) error {
	var err error
	for _, to := range [...]slog.Handler{h.a, h.b} {
		if to.Enabled(ctx, r.Level) {
			err = errors.Join(err, to.Handle(ctx, r.Clone()))
		}
	}
	return err
}

// WithAttrs implements slog.Handler.
func (h both) WithAttrs(attrs []slog.Attr) slog.Handler {
	return both{h.a.WithAttrs(attrs), h.b.WithAttrs(attrs)}
}

// WithGroup implements slog.Handler.
func (h both) WithGroup(name string) slog.Handler {
	return both{h.a.WithGroup(name), h.b.WithGroup(name)}
}
