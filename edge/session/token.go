package session

import (
	"crypto/rand"
	"crypto/subtle"
	"net/http"
	"strings"
	"time"

	"github.com/nearside/nearside/core"
)

// The cookies of a browser. Scripts cannot read the first.
const (
	CookieToken = "MMAUTHTOKEN"
	CookieUser  = "MMUSERID"
	CookieCSRF  = "MMCSRF"
)

// maxTokenBytes is where longer tokens are cut off, as clients of existing servers expect.
const maxTokenBytes = 50

// Source is the place of a token in a request.
type Source uint8

// The sources.
const (
	None Source = iota
	FromCookie
	FromHeader
	FromQuery
)

// NewToken returns a new token: 128 random bits in the format of an id.
func NewToken() string {
	var id core.ID[core.Session]
	_, _ = rand.Read(id[:]) // crypto/rand never returns an error
	return id.String()
}

// CSRF returns the token that a browser's scripts must repeat. It is derived from the session's
// token, so that nothing has to be stored.
func CSRF(token string) string { return core.DeriveID[core.Session]("csrf", token).String() }

// TokenFrom returns a request's token. A cookie is preferred to a header, even if the cookie's
// token is invalid and the header's is not.
func TokenFrom(r *http.Request) (string, Source) {
	if c, err := r.Cookie(CookieToken); err == nil && c.Value != "" {
		return cut(c.Value), FromCookie
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if token != "" && (strings.EqualFold(scheme, "bearer") || strings.EqualFold(scheme, "token")) {
		return cut(strings.TrimSpace(token)), FromHeader
	}
	if strings.Contains(r.URL.RawQuery, "access_token=") {
		if token := r.URL.Query().Get("access_token"); token != "" {
			return cut(token), FromQuery
		}
	}
	return "", None
}

func cut(token string) string { return token[:min(len(token), maxTokenBytes)] }

// PassesCSRF reports whether a request that writes, and whose token came by cookie, was made by
// our own page: only that page can read the CSRF cookie or set headers.
func PassesCSRF(r *http.Request, token string) bool {
	got := r.Header.Get("X-CSRF-Token")
	if got != "" && subtle.ConstantTimeCompare([]byte(got), []byte(CSRF(token))) == 1 {
		return true
	}
	return r.Header.Get("X-Requested-With") == "XMLHttpRequest"
}

// SetCookies signs a browser in. Requests that other sites make do not carry the cookies, unless the page is
// embedded in one of them (MMEMBED). Clients read the cookies by their names, so those have no prefix such as __Host-.
func SetCookies(w http.ResponseWriter, r *http.Request, token string, user core.UserID, expires time.Time) {
	for _, c := range []http.Cookie{
		{Name: CookieToken, Value: token, HttpOnly: true},
		{Name: CookieUser, Value: user.String()},
		{Name: CookieCSRF, Value: CSRF(token)},
	} {
		c.Path, c.Expires, c.MaxAge = "/", expires, int(core.SessionLength/time.Second)
		c.Secure, c.SameSite = Secure(r), http.SameSiteLaxMode
		if embed, err := r.Cookie("MMEMBED"); err == nil && embed.Value == "1" && c.Secure {
			c.SameSite = http.SameSiteNoneMode
		}
		http.SetCookie(w, &c)
	}
}

// ClearCookie removes a browser's token. The page removes the other cookies itself.
func ClearCookie(w http.ResponseWriter, r *http.Request) {
	http.SetCookie(w, &http.Cookie{Name: CookieToken, Path: "/", MaxAge: -1, HttpOnly: true, Secure: Secure(r), SameSite: http.SameSiteLaxMode})
}

// Secure reports whether the browser reached this deployment by TLS.
func Secure(r *http.Request) bool {
	return r.TLS != nil || strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https")
}
