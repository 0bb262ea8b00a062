package system

import (
	_ "embed"
	"net/http"
	"strconv"

	"github.com/nearside/nearside/edge/api"
)

// landing is the page for browsers if no web client is configured.
//
//go:embed landing.html
var landing []byte

// Landing answers a browser's request for a page.
func Landing(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-cache")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'")
	h.Set("X-Frame-Options", "SAMEORIGIN")
	api.SafeHeaders(h)
	h.Set("Content-Length", strconv.Itoa(len(landing)))
	status := http.StatusOK
	if r.URL.Path != "/" {
		status = http.StatusNotFound
	}
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(landing) // an error means that the client has gone
	}
}
