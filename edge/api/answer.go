package api

import (
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/gzip"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/edge/session"
)

// minGzipBytes is the smallest answer worth compressing: one packet.
const minGzipBytes = 1400

// Our headers.
const (
	headerPosition = "X-Nearside-Position"
	headerStale    = "X-Nearside-Stale"
	cookiePosition = "NSPOSITION"
	// By TLS the cookie has a prefix that keeps a page of another host in the same domain from setting it: with a
	// position that does not exist yet it would make every request wait.
	cookiePositionTLS = "__Host-" + cookiePosition
)

// Answer is an answer other than a value in JSON.
type Answer interface {
	// Send sends it, after the headers that all answers have. If it fails, nothing was sent, and
	// the error is answered instead.
	Send(c *Call) error
}

// Done is the answer of operations that only report success.
type Done struct{}

// MarshalJSON implements json.Marshaler.
func (Done) MarshalJSON() ([]byte, error) { return []byte(`{"status":"OK"}`), nil }

// Raw is an answer of given bytes. Its type is application/json unless the handler has set
// another header.
type Raw struct {
	Status int
	Body   []byte
	Page   *Page // shared bytes, instead of Body
	packed bool  // Body is compressed already
}

// Value is an answer with a status and a value in JSON.
func Value(status int, v any) Answer { return Raw{Status: status, Body: JSON(v)} }

// Send implements Answer.
func (a Raw) Send(c *Call) error {
	if a.Status == http.StatusNotModified { // it has no body, and no headers about one
		c.Writer.WriteHeader(a.Status)
		return nil
	}
	h := c.Header()
	if h.Get("Content-Type") == "" {
		h["Content-Type"] = contentJSON
	}
	body := c.compressed(a)
	c.leave()
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	if c.Request.Method == http.MethodHead {
		c.Writer.WriteHeader(a.Status)
		return nil
	}
	c.writeWhole(a.Status, body)
	c.payFor(len(body))
	return nil
}

// send sends an answer.
func (c *Call) send(a Answer) {
	defer since(time.Now(), &c.Spent.Send)
	c.writeHeaders()
	c.sending = true
	if _, whole := a.(Raw); !whole {
		c.leave()
	}
	if err := a.Send(c); err != nil {
		_ = c.problem(err).Send(c) // it never fails
	}
}

// writeHeaders sets the headers that all answers have. What only some may see is not kept by browsers and proxies,
// except pictures and files, whose handlers say for how long. What everybody may read has no Cache-Control: web
// clients take X-Version-Id only from answers without it, and load no roles before they have it.
func (c *Call) writeHeaders() {
	h := c.Header()
	h["X-Request-Id"], h["X-Version-Id"] = []string{c.ID}, c.api.versionID
	SafeHeaders(h)
	if c.Request.Method == http.MethodGet || c.Request.Method == http.MethodHead {
		h["Expires"] = expiresNow
	}
	c.tellPurse()
	if h["Cache-Control"] == nil && (!c.target.Open || !c.reads()) {
		h["Cache-Control"] = cacheNothing
	}
	c.tellPosition()
}

// SafeHeaders sets the headers that restrict what browsers may do with an answer.
func SafeHeaders(h http.Header) {
	h["Permissions-Policy"], h["X-Content-Type-Options"], h["Referrer-Policy"] = policyNone, policyNosniff, policyNoReferrer
}

// Header values that all answers share. They are never changed.
var (
	contentJSON      = []string{"application/json"}
	policyNone       = []string{""}
	policyNosniff    = []string{"nosniff"}
	policyNoReferrer = []string{"no-referrer"}
	expiresNow       = []string{"0"}
	cacheNothing     = []string{"no-store"}
	encodingGzip     = []string{"gzip"}
	varyEncoding     = []string{"Accept-Encoding"}
)

// tellPosition sends the position of this edge after the answer was read. A position that is too
// high only makes the next edge wait; one that is too low would let it show older state.
func (c *Call) tellPosition() {
	pos := c.api.local.view.Position()
	if pos.Before(c.seen) && pos.Epoch == c.seen.Epoch {
		pos = core.Position{Epoch: c.seen.Epoch, Index: c.seen.Index}
	}
	h := c.Header()
	h[headerPosition] = []string{pos.String()}
	if c.stale > 0 {
		h.Set(headerStale, strconv.FormatInt(max(1, c.stale.Milliseconds()), 10))
	}
	if !c.isBrowser() {
		return
	}
	short := strconv.FormatUint(uint64(pos.Epoch), 10) + "." + strconv.FormatUint(uint64(pos.Index), 10)
	name := c.positionCookie()
	if old, err := c.Request.Cookie(name); err != nil || old.Value != short {
		http.SetCookie(c.Writer, &http.Cookie{Name: name, Value: short, Path: "/", Secure: name == cookiePositionTLS, SameSite: http.SameSiteLaxMode})
	}
}

func (c *Call) positionCookie() string {
	if session.Secure(c.Request) {
		return cookiePositionTLS
	}
	return cookiePosition
}

// isBrowser reports whether the client keeps cookies.
func (c *Call) isBrowser() bool {
	return c.Request.Header.Get("X-Requested-With") != "" || c.Request.Header.Get("Cookie") != ""
}

// compressed returns the bytes to send, and sets the headers about their encoding.
func (c *Call) compressed(a Raw) []byte {
	plain := a.Body
	if a.Page != nil {
		plain = a.Page.plain
	}
	if len(plain) < minGzipBytes && !a.packed || c.Header().Get("Content-Type") != contentJSON[0] { // pictures are already compressed
		return plain
	}
	if h := c.Header(); h["Vary"] == nil {
		h["Vary"] = varyEncoding
	} else {
		h.Add("Vary", varyEncoding[0])
	}
	if !strings.Contains(c.Request.Header.Get("Accept-Encoding"), "gzip") {
		return plain
	}
	c.Header()["Content-Encoding"] = encodingGzip
	if a.packed {
		return plain
	}
	if a.Page != nil {
		return a.Page.gzip()
	}
	return gzipped(plain)
}

var gzipWriters = sync.Pool{New: func() any {
	w, _ := gzip.NewWriterLevel(nil, gzip.BestSpeed)
	return w
}}

func gzipped(plain []byte) []byte {
	w := gzipWriters.Get().(*gzip.Writer)
	defer gzipWriters.Put(w)
	b := make(sliceWriter, 0, len(plain)/4)
	w.Reset(&b)
	_, _ = w.Write(plain) // writing to a slice never fails
	_ = w.Close()
	return b
}

type sliceWriter []byte

func (b *sliceWriter) Write(p []byte) (int, error) {
	*b = append(*b, p...)
	return len(p), nil
}

// Page is an encoded answer that many requests share.
type Page struct {
	plain []byte
	once  sync.Once
	gz    []byte // set by once
}

// NewPage makes a page of a value.
func NewPage(v any) *Page { return &Page{plain: JSON(v)} }

func (p *Page) gzip() []byte {
	p.once.Do(func() { p.gz = gzipped(p.plain) })
	return p.gz
}

// Size estimates the memory of a page, compressed and not.
func (p *Page) Size() int64 { return int64(len(p.plain) + len(p.plain)/3 + 200) }
