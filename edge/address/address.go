// Package address has the addresses at which clients reach a deployment: what an operator may write, which pages
// may open a WebSocket, and which may read answers from another address of the deployment (CORS).
//
// A page's origin is compared with the configured addresses, not with the Host header: a proxy may give its own
// Host to the server, and with a name that points at this machine a stranger's page would pass (DNS rebinding).
//
// Everything here is safe for concurrent use.
package address

import (
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/idna"

	"github.com/nearside/nearside/core"
)

// maxAddresses is more than one for each edge of a large deployment.
const maxAddresses = 64

// List has origins: SCHEME://HOST[:PORT] in lower case, without a default port. The first is the one that
// clients are told. None means that the address is not known.
type List []string

// Parse reads addresses as an operator writes them. A slash at the end is taken off, because clients put paths
// behind the address.
func Parse(texts []string) (List, error) {
	if len(texts) > maxAddresses {
		return nil, core.E(core.KindInvalid, "%d addresses are too many; at most %d", len(texts), maxAddresses)
	}
	var all List
	for _, text := range texts {
		a, why := parse(text)
		if why != "" {
			return nil, core.E(core.KindInvalid, "%q %s", text, why)
		}
		if !slices.Contains(all, a) {
			all = append(all, a)
		}
	}
	return all, nil
}

// parse gives an origin, or why a text is none.
func parse(text string) (origin, why string) {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return "", "is not an address like https://chat.example.com"
	case u.User != nil:
		return "", "has a name or password in it, which every client would see"
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || strings.Contains(text, "#"):
		return "", "has something behind ? or #; an address ends with the host and port"
	case u.Path != "" && u.Path != "/":
		return "", "has a path; Nearside is served at the root of a host, so give it a host name or port of its own"
	}
	host, err := idna.Lookup.ToASCII(u.Hostname()) // as browsers write it in Origin
	if net.ParseIP(u.Hostname()) != nil {
		host, err = u.Hostname(), nil
	}
	if err != nil || host == "" {
		return "", "has a host name that cannot exist"
	}
	if n, err := strconv.ParseUint(u.Port(), 10, 16); u.Port() != "" && (err != nil || n == 0) || strings.HasSuffix(u.Host, ":") {
		return "", "has a port that cannot exist"
	}
	return join(u.Scheme, host, u.Port()), ""
}

// join gives an origin without a default port.
func join(scheme, host, port string) string {
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if port == "" || scheme == "http" && port == "80" || scheme == "https" && port == "443" {
		return scheme + "://" + strings.ToLower(host)
	}
	return scheme + "://" + strings.ToLower(host) + ":" + port
}

// Main gives the address that clients are told, "" if it is not known.
func (a List) Main() string {
	if len(a) == 0 {
		return ""
	}
	return a[0]
}

// Own reports whether a request comes from a page of this deployment, or from no page. If no address is
// configured, such a page is one of the host that the request is for.
func (a List) Own(r *http.Request) bool {
	switch sent := r.Header["Origin"]; {
	case len(sent) == 0:
		return true
	case len(sent) > 1:
		return false
	case len(a) > 0:
		origin, why := parse(sent[0])
		return why == "" && slices.Contains(a, origin)
	default:
		return sameHost(sent[0], r.Host)
	}
}

// sameHost reports whether an origin names the host of a request. The scheme is not known: a proxy may have
// ended TLS.
func sameHost(origin, host string) bool {
	page, why := parse(origin)
	if why != "" {
		return false
	}
	scheme, _, _ := strings.Cut(page, "://")
	asked, why := parse(scheme + "://" + host)
	return why == "" && page == asked
}

// What a page at another address of the deployment may send and read.
const (
	corsMethods = "GET, HEAD, POST, PUT, PATCH, DELETE"
	corsExposed = "Token, X-Request-Id, X-Version-Id, X-Cluster-Id, X-Nearside-Position, X-Nearside-Stale, Etag, Retry-After, Content-Disposition, " +
		"X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset"
	corsMaxAge = "86400" // seconds for which a browser need not ask again
)

// hstsValue tells browsers to reach the host by TLS only, for a year.
const hstsValue = "max-age=31536000"

// Handler does for next what depends on the addresses.
//
// If all of them are https, browsers use TLS up to a proxy, whether it says so or not: cookies are marked so, and
// with hsts the browser remembers it. With a listener of our own that has TLS it is the same.
//
// Pages of the addresses may read what the API answers, and no others (CORS): without its headers a browser keeps
// answers from a page of another origin. A page that one edge gave may ask another one.
func (a List) Handler(hsts bool, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if a.secure() {
			r.Header.Set("X-Forwarded-Proto", "https")
		}
		if hsts && (r.TLS != nil || a.secure()) {
			w.Header().Set("Strict-Transport-Security", hstsValue)
		}
		if len(a) == 0 || !strings.HasPrefix(r.URL.Path, "/api/") || !a.cors(w.Header(), r) {
			next.ServeHTTP(w, r)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
}

// secure reports whether browsers reach every address by TLS.
func (a List) secure() bool {
	return len(a) > 0 && !slices.ContainsFunc(a, func(s string) bool { return !strings.HasPrefix(s, "https:") })
}

// cors sets the headers for a page of another address, and reports whether they are all that was asked for. Files
// of the web client have none: they are for their own origin, and their caches know no Origin.
func (a List) cors(h http.Header, r *http.Request) (answered bool) {
	h.Add("Vary", "Origin") // also without an Origin: a cache may give the answer to a page that has one
	origin := r.Header.Get("Origin")
	if origin == "" || !a.Own(r) {
		return false
	}
	h.Set("Access-Control-Allow-Origin", origin)
	h.Set("Access-Control-Allow-Credentials", "true")
	if r.Method != http.MethodOptions || r.Header.Get("Access-Control-Request-Method") == "" {
		h.Set("Access-Control-Expose-Headers", corsExposed)
		return false
	}
	h.Set("Access-Control-Allow-Methods", corsMethods)
	h.Set("Access-Control-Allow-Headers", r.Header.Get("Access-Control-Request-Headers"))
	h.Set("Access-Control-Max-Age", corsMaxAge)
	return true
}
