package session

import (
	"crypto/rand"
	"crypto/subtle"
	"net/http"
	"strings"
	"time"

	"github.com/nearside/nearside/core"
)

// The cookies that browsers keep. The first is hidden from scripts.
const (
	CookieToken = "MMAUTHTOKEN"
	CookieUser  = "MMUSERID"
	CookieCSRF  = "MMCSRF"
)

// maxTokenBytes is where a longer token is cut, as clients of existing servers expect.
const maxTokenBytes = 50

// Source says where a request carried its token.
type Source uint8

// The sources.
const (
	None Source = iota
	FromCookie
	FromHeader
	FromQuery
)

// NewToken mints a token: 128 random bits in the form of an id.
func NewToken() string {
	var id core.ID[core.Session]
	_, _ = rand.Read(id[:]) // crypto/rand never returns an error
	return id.String()
}

// CSRF gives the token that a browser's scripts must repeat. It is derived from the session's
// token, so that nothing has to be stored.
func CSRF(token string) string { return core.DeriveID[core.Session]("csrf", token).String() }

// TokenFrom gives a request's token. A cookie wins over a header, even a dead cookie over a
// good header.
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

// PassesCSRF reports whether a request that is not a plain read, and whose token came by
// cookie, was really made by our own page: only that can read the CSRF cookie or set headers.
func PassesCSRF(r *http.Request, token string) bool {
	got := r.Header.Get("X-CSRF-Token")
	if got != "" && subtle.ConstantTimeCompare([]byte(got), []byte(CSRF(token))) == 1 {
		return true
	}
	return r.Header.Get("X-Requested-With") == "XMLHttpRequest"
}

// SetCookies signs a browser in.
func SetCookies(w http.ResponseWriter, r *http.Request, token string, user core.UserID, expires time.Time) {
	for _, c := range []http.Cookie{
		{Name: CookieToken, Value: token, HttpOnly: true},
		{Name: CookieUser, Value: user.String()},
		{Name: CookieCSRF, Value: CSRF(token)},
	} {
		c.Path, c.Expires, c.MaxAge = "/", expires, int(core.SessionLength/time.Second)
		c.Secure = secure(r)
		if embed, err := r.Cookie("MMEMBED"); err == nil && embed.Value == "1" && c.Secure {
			c.SameSite = http.SameSiteNoneMode
		}
		http.SetCookie(w, &c)
	}
}

// ClearCookie takes a browser's token away. The others are its page's own business.
func ClearCookie(w http.ResponseWriter, r *http.Request) {
	http.SetCookie(w, &http.Cookie{Name: CookieToken, Path: "/", MaxAge: -1, HttpOnly: true, Secure: secure(r)})
}

func secure(r *http.Request) bool {
	return r.TLS != nil || strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https")
}
