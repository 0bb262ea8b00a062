package admin

import (
	"context"
	"net"
	"net/http"
	"strings"

	"github.com/nearside/nearside/core"
)

// Traced adds to the audit trail what operators change, and by which way they came. What they only read is not in it. did
// notes an audit for home, and does not wait: an operator is answered although home cannot be reached.
func Traced(next http.Handler, did func(core.Audit)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet || r.Method == http.MethodHead {
			next.ServeHTTP(w, r)
			return
		}
		a := core.Audit{Actor: core.ActorOperator, Address: "socket", Action: clip(r.Method + " " + r.URL.Path)}
		if at, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr); at == nil || at.Network() != "unix" {
			a.Actor = core.ActorToken
			a.Address, _, _ = net.SplitHostPort(r.RemoteAddr)
		}
		about := new(string)
		said := &status{ResponseWriter: w, code: http.StatusOK}
		next.ServeHTTP(said, r.WithContext(context.WithValue(r.Context(), aboutKey{}, about)))
		a.Object = *about
		if said.code >= http.StatusBadRequest {
			a.Result = strings.ToLower(http.StatusText(said.code))
		}
		did(a)
	})
}

type aboutKey struct{}

// about says for the audit trail on what a request acts.
func about(r *http.Request, object string) {
	if to, ok := r.Context().Value(aboutKey{}).(*string); ok {
		*to = clip(object)
	}
}

// maxText is how much of a request's path, and of what it acts on, is in the audit trail.
const maxText = 128

func clip(s string) string {
	s = strings.ToValidUTF8(strings.ReplaceAll(s, "\x00", ""), "")
	return strings.ToValidUTF8(s[:min(len(s), maxText)], "")
}

// status remembers the status of an answer.
type status struct {
	http.ResponseWriter
	code int
}

// WriteHeader implements http.ResponseWriter.
func (s *status) WriteHeader(code int) {
	s.code = code
	s.ResponseWriter.WriteHeader(code)
}

// Unwrap gives what http.ResponseController needs.
func (s *status) Unwrap() http.ResponseWriter { return s.ResponseWriter }
