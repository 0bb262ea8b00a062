// Package admin has what operators and scripts use of a node: the answers of its administration, the handlers for
// files and caches, and the way there. cmd/node serves them, and cmd/cli reads them.
//
// Administration is for the user that runs the node, not for everybody on the machine: it is reached by a socket
// below the data directory that no other user can open (see Listen). It is also served on a loopback address if
// that is configured; there every request needs a token (see WithToken), and none may come from a web page (see
// Local).
package admin

import (
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"

	"github.com/nearside/nearside/core"
)

const maxBody = 1 << 20 // bytes of a request

// Local refuses requests that a browser sends for a web page: requests for another host name, as when a
// page's name was made to point at this machine (DNS rebinding), and requests with the headers of a page.
func Local(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if from := r.Header.Get("Sec-Fetch-Site"); from != "" && from != "none" && from != "same-origin" {
			Answer(w, http.StatusForbidden, map[string]string{"error": "administration is not for web pages"})
			return
		}
		host := (&url.URL{Host: r.Host}).Hostname()
		if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
			Answer(w, http.StatusForbidden, map[string]string{"error": "administration is asked for by a loopback address"})
			return
		}
		next.ServeHTTP(w, r)
	})
}

// Answer writes a value as JSON.
func Answer(w http.ResponseWriter, status int, v any) {
	raw, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		status, raw = http.StatusInternalServerError, []byte(`{"kind":0,"message":"cannot encode"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(raw, '\n')) // the client may have disconnected
}

// Fail answers with what went wrong.
func Fail(w http.ResponseWriter, err error) {
	e := core.AsError(err)
	status := http.StatusInternalServerError
	switch e.Kind {
	case core.KindInvalid:
		status = http.StatusBadRequest
	case core.KindNotFound:
		status = http.StatusNotFound
	case core.KindConflict:
		status = http.StatusConflict
	case core.KindUnavailable, core.KindTimeout:
		status = http.StatusServiceUnavailable
	default:
	}
	Answer(w, status, map[string]string{"error": e.Error()})
}

// Decode reads the one JSON value of a request's body.
func Decode(w http.ResponseWriter, r *http.Request, example string, into any) error {
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	dec.DisallowUnknownFields()
	err := dec.Decode(into)
	if err == nil {
		if _, more := dec.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("more than one value")
		}
	}
	if err != nil {
		return core.E(core.KindInvalid, "the body looks like %s: %v", example, err)
	}
	return nil
}
