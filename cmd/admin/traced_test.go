package admin

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/nearside/nearside/core"
)

// What an operator changes is noted, with the way by which they came and on what it acts; what they read is not.
func TestTraced(t *testing.T) {
	var got []core.Audit
	h := Traced(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		about(r, "node=virginia-2\x00")
		if r.URL.Path == "/v1/bad" {
			Fail(w, core.E(core.KindConflict, "no"))
		}
	}), func(a core.Audit) { got = append(got, a) })
	ask := func(method, path string, at net.Addr) {
		r := httptest.NewRequest(method, path, nil)
		r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, at))
		h.ServeHTTP(httptest.NewRecorder(), r)
	}
	socket := &net.UnixAddr{Name: "s", Net: "unix"}
	ask("GET", "/v1/home", socket)
	ask("POST", "/v1/home/add", socket)
	ask("PUT", "/v1/bad", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1})
	want := []core.Audit{
		{Actor: core.ActorOperator, Address: "socket", Action: "POST /v1/home/add", Object: "node=virginia-2"},
		{Actor: core.ActorToken, Address: "192.0.2.1", Action: "PUT /v1/bad", Object: "node=virginia-2", Result: "conflict"},
	}
	if len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("noted: %+v", got)
	}
}
