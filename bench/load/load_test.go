package load

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// A connection reads answers with a length, in chunks and without a body, and is kept for the next one.
func TestConn_ReadsEveryForm(t *testing.T) {
	remotes := map[string]bool{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		remotes[r.RemoteAddr] = true
		switch r.URL.Path {
		case "/api/v4/length":
			fmt.Fprint(w, `{"auth":"`+r.Header.Get("Authorization")+`"}`)
		case "/api/v4/chunks":
			for range 3 {
				fmt.Fprint(w, strings.Repeat("x", 5000))
				w.(http.Flusher).Flush()
			}
		case "/api/v4/none":
			w.WriteHeader(http.StatusNoContent)
		default:
			w.Header().Set("Token", "secret")
			http.Error(w, `{"id":"some.id","status_code":404}`, http.StatusNotFound)
		}
	}))
	defer s.Close()
	c := NewConn(s.URL, "tok")
	defer c.Close()
	var got struct{ Auth string }
	if _, err := c.Call(t.Context(), "GET", "length", nil, &got); err != nil || got.Auth != "Bearer tok" {
		t.Errorf("length: %v %v", got, err)
	}
	if a, err := c.Do(t.Context(), "GET", "/api/v4/chunks", nil); err != nil || len(a.Body) != 15000 {
		t.Errorf("chunks: %d bytes, %v", len(a.Body), err)
	}
	if a, err := c.Do(t.Context(), "GET", "/api/v4/none", nil); err != nil || a.Status != 204 || len(a.Body) != 0 {
		t.Errorf("none: %v %v", a, err)
	}
	a, err := c.Call(t.Context(), "GET", "missing", nil, nil)
	var p *Problem
	if !errors.As(err, &p) || p.ID != "some.id" || a.Token != "secret" {
		t.Errorf("problem: %v", err)
	}
	if len(remotes) != 1 {
		t.Errorf("%d connections for one Conn", len(remotes))
	}
}

// A closed load counts what succeeded inside its time, and every error.
func TestClosed(t *testing.T) {
	n := 0
	r := Closed(t.Context(), 0, 50*time.Millisecond, []func(context.Context) error{func(context.Context) error {
		if n++; n%2 == 0 {
			return errors.New("even")
		}
		return nil
	}})
	if len(r.Latencies) == 0 || r.Errors == 0 || len(r.Latencies)+r.Errors > n {
		t.Errorf("of %d: %d succeeded, %d failed", n, len(r.Latencies), r.Errors)
	}
}

// The number is found in the post of a posted event, which is JSON inside JSON.
func TestPostedNumber(t *testing.T) {
	message := []byte(`{"event":"posted","data":{"post":"{\"message\":\"bench-17-x\"}"},"seq":3}`)
	if n, ok := PostedNumber(message, "bench-"); !ok || n != 17 {
		t.Errorf("got %d %v", n, ok)
	}
	for _, other := range []string{`{"event":"typing"}`, `{"event":"posted","data":{"post":"hello"}}`} {
		if _, ok := PostedNumber([]byte(other), "bench-"); ok {
			t.Errorf("%s has a number", other)
		}
	}
}
