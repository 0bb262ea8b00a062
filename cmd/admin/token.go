package admin

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/nearside/nearside/core"
)

const (
	bearer        = "Bearer "
	minTokenBytes = 20
	maxTokenBytes = 1 << 10
)

// TokenPath is the path of the token for administration over TCP of the node with a data directory.
func TokenPath(data string) string { return filepath.Join(data, dirName, tokenName) }

// Token gives the token of the node with a data directory, and makes one if there is none. The directory is
// that of the socket, which Listen has made private.
func Token(data string) (string, error) {
	path := TokenPath(data)
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return ReadToken(path)
	}
	if err != nil {
		return "", fmt.Errorf("administration: %w", err)
	}
	_, err = f.WriteString(rand.Text() + "\n")
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return "", errors.Join(fmt.Errorf("administration: %w", err), os.Remove(path))
	}
	return ReadToken(path)
}

// ReadToken reads a token from its file.
func ReadToken(path string) (string, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("administration token: %w", err)
	}
	token := strings.TrimSpace(string(raw))
	if len(token) < minTokenBytes || len(token) > maxTokenBytes {
		return "", core.E(core.KindInvalid, "%s has no token: one has %d to %d characters", path, minTokenBytes, maxTokenBytes)
	}
	return token, nil
}

// open are the requests that may be allowed without a token.
var open = map[string]bool{"/metrics": true, "/healthz": true, "/readyz": true, "/v1/status": true}

// WithToken refuses requests over TCP without the token. If openStatus is set, metrics, health and status may
// be read without it.
func WithToken(token string, openStatus bool, next http.Handler) http.Handler {
	want := sha256.Sum256([]byte(token)) // hashes have one length, so comparing them tells nothing about the token
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sent, ok := strings.CutPrefix(r.Header.Get("Authorization"), bearer)
		got := sha256.Sum256([]byte(sent))
		if openStatus && open[r.URL.Path] && r.Method == http.MethodGet || ok && subtle.ConstantTimeCompare(got[:], want[:]) == 1 {
			next.ServeHTTP(w, r)
			return
		}
		w.Header().Set("WWW-Authenticate", `Bearer realm="administration"`)
		Answer(w, http.StatusUnauthorized, map[string]string{"error": "administration over TCP needs the token in DATA/admin/token: send it as Authorization: Bearer, or ask by the socket DATA/admin/socket"})
	})
}
