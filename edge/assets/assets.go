// Package assets serves the files of a built web client: the files under /static/ by name, and
// root.html for every other path, as the client's own router expects. It builds nothing, knows no
// sessions and serves no API.
//
// A file's entity tag is derived from its content, so it is the same at every edge. Each content
// coding has its own tag, because a strong tag identifies bytes. Run makes each compressed form
// once. It is stored by digest in a directory that New owns, and checked against its file before
// it is used, whoever made it. A request waits a short time for a form that is being made; then
// it gets the plain file, marked so that no cache stores it.
//
// A Handler is safe for concurrent use. A new build is served as soon as its files are in place;
// move them there by renaming, root.html last.
//
// Invariants: only regular files inside the build are served, and none whose path has an element
// that begins with a dot; an answer's bytes are those that its entity tag identifies.
package assets

import (
	"errors"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path"
	"regexp"
	"strings"
	"sync"

	"github.com/nearside/nearside/core"
)

// Config configures a Handler: one of FS and Dir is required.
type Config struct {
	FS     fs.FS        // a web client's build
	Dir    string       // a directory with a build; links that lead out of it are not followed
	Cache  string       // directory for compressed forms; those without a file are removed; default: memory
	Logger *slog.Logger // default: discard
}

// Handler serves a build.
type Handler struct {
	// Immutable after New.
	fsys  fs.FS
	root  *os.Root // of Dir; nil with FS
	store store
	log   *slog.Logger
	jobs  chan job // never closed; Run reads it

	mu      sync.Mutex
	entries map[string]*entry // by name; only files that exist
}

const (
	rootPage    = "root.html"
	maxEntries  = 20_000
	queuedForms = 64
)

// policy is what pages may load. Scripts come from here alone. Pictures and sound in messages may be anywhere, and
// styles are set by scripts. WebSockets are named because some browsers do not count them to 'self'; the host is not,
// because caches keep one page for all names of an edge.
const policy = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob: http: https:; " +
	"media-src 'self' data: blob: http: https:; font-src 'self' data:; connect-src 'self' ws: wss:; worker-src 'self' blob:; manifest-src 'self'; " +
	"frame-src 'self' https://www.youtube.com https://www.youtube-nocookie.com; object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'self'"

// The Cache-Control values. Clients of existing servers expect the max-age of a year.
const (
	cacheLong   = "max-age=31556926, public"
	cacheHashed = cacheLong + ", immutable"
	cacheAsk    = "no-cache, max-age=31556926, public"
	cacheNever  = "no-cache, public"
)

// New opens a build; it refuses one without a root page.
func New(cfg Config) (*Handler, error) {
	if (cfg.FS == nil) == (cfg.Dir == "") {
		return nil, errors.New("assets.Config needs one of FS and Dir")
	}
	h := &Handler{fsys: cfg.FS, log: cfg.Logger, jobs: make(chan job, queuedForms), entries: map[string]*entry{}}
	if h.log == nil {
		h.log = slog.New(slog.DiscardHandler)
	}
	if cfg.Dir != "" {
		root, err := os.OpenRoot(cfg.Dir)
		if err != nil {
			return nil, core.E(core.KindNotFound, "the web client's directory cannot be opened").WithCause(err)
		}
		h.root, h.fsys = root, root.FS()
	}
	if info, err := fs.Stat(h.fsys, rootPage); err != nil || !info.Mode().IsRegular() {
		h.Close()
		return nil, core.E(core.KindNotFound, "the web client's directory has no %s", rootPage).WithCause(err)
	}
	var err error
	if h.store, err = openStore(cfg.Cache); err != nil {
		h.Close()
		return nil, err
	}
	return h, nil
}

// Close closes the directories. Call it after Run has ended and no request is running.
func (h *Handler) Close() {
	if h.root != nil {
		_ = h.root.Close()
	}
	if h.store != nil {
		h.store.close()
	}
}

// ServeHTTP answers GET and HEAD.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("X-Frame-Options", "SAMEORIGIN")
	header.Set("Content-Security-Policy", policy)
	header.Set("Permissions-Policy", "")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Referrer-Policy", "no-referrer")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		header.Set("Allow", "GET, HEAD")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	name, cache := place(r.URL.Path)
	h.serve(w, r, name, cache)
}

// place returns the file for a path, and its Cache-Control.
func place(p string) (name, cache string) {
	switch p {
	case "/robots.txt", "/unsupported_browser.js":
		return p[1:], cacheAsk
	case "/static":
		return "", ""
	}
	name, static := strings.CutPrefix(p, "/static/")
	switch {
	case !static:
		return rootPage, cacheAsk
	case path.Base(name) == "remote_entry.js", name == rootPage:
		return name, cacheAsk
	case hashed.MatchString(path.Base(name)):
		return name, cacheHashed
	}
	return name, cacheLong
}

// hashed matches names that contain a hash of the content, so their content never changes.
var hashed = regexp.MustCompile(`(^|[.\-_])[0-9a-f]{8,64}\.`)

// visible reports whether a name may be a file of the build.
func visible(name string) bool {
	return fs.ValidPath(name) && !strings.HasPrefix(name, ".") && !strings.Contains(name, "/.") && !strings.ContainsAny(name, "\\\x00")
}

func notFound(w http.ResponseWriter) {
	w.Header().Set("Cache-Control", cacheNever)
	http.Error(w, "404 page not found", http.StatusNotFound)
}
