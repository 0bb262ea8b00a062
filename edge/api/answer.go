package api

import (
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/gzip"

	"github.com/nearside/nearside/core"
)

// minGzipBytes is what an answer must have for compressing to be worth it: one packet.
const minGzipBytes = 1400

// Our headers.
const (
	headerPosition = "X-Nearside-Position"
	headerStale    = "X-Nearside-Stale"
	cookiePosition = "NSPOSITION"
)

// Answer is an answer that is more than a value in JSON.
type Answer interface {
	// Send sends it, after the headers that all answers have. When it fails, nothing was sent, and
	// the error is answered instead.
	Send(c *Call) error
}

// Done is the answer of operations that have nothing to say but that all went well.
type Done struct{}

// MarshalJSON implements json.Marshaler.
func (Done) MarshalJSON() ([]byte, error) { return []byte(`{"status":"OK"}`), nil }

// Raw is an answer of bytes as they are. Its type is application/json unless the handler has set
// another header.
type Raw struct {
	Status int
	Body   []byte
	Page   *Page // shared bytes, in place of Body
}

// Value is an answer with a status of its own, and a value in JSON.
func Value(status int, v any) Answer { return Raw{Status: status, Body: JSON(v)} }

// Send implements Answer.
func (a Raw) Send(c *Call) error {
	if a.Status == http.StatusNotModified { // it has no body, and says nothing of one
		c.Writer.WriteHeader(a.Status)
		return nil
	}
	h := c.Header()
	if h.Get("Content-Type") == "" {
		h["Content-Type"] = contentJSON
	}
	body := c.compressed(a)
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	c.Writer.WriteHeader(a.Status)
	if c.Request.Method != http.MethodHead {
		_, _ = c.Writer.Write(body) // a client that went away cannot be told
	}
	return nil
}

// send sends an answer.
func (c *Call) send(a Answer) {
	defer since(time.Now(), &c.Spent.Send)
	c.writeHeaders()
	c.sending = true
	if err := a.Send(c); err != nil {
		_ = c.problem(err).Send(c) // it never fails
	}
}

// writeHeaders sets the headers that all answers have.
func (c *Call) writeHeaders() {
	h := c.Header()
	h["X-Request-Id"], h["X-Version-Id"] = []string{c.ID}, c.api.versionID
	SafeHeaders(h)
	if c.Request.Method == http.MethodGet || c.Request.Method == http.MethodHead {
		h["Expires"] = expiresNow
	}
	c.tellPosition()
}

// SafeHeaders sets the headers that keep browsers from doing more with an answer than show it.
func SafeHeaders(h http.Header) {
	h["Permissions-Policy"], h["X-Content-Type-Options"], h["Referrer-Policy"] = policyNone, policyNosniff, policyNoReferrer
}

// Header values that every answer shares. Nobody changes them.
var (
	contentJSON      = []string{"application/json"}
	policyNone       = []string{""}
	policyNosniff    = []string{"nosniff"}
	policyNoReferrer = []string{"no-referrer"}
	expiresNow       = []string{"0"}
	encodingGzip     = []string{"gzip"}
	varyEncoding     = []string{"Accept-Encoding"}
)

// tellPosition says how far this edge was after the answer was read: saying more than was seen
// only makes the next edge wait, saying less would let it show something older.
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
	if old, err := c.Request.Cookie(cookiePosition); err != nil || old.Value != short {
		http.SetCookie(c.Writer, &http.Cookie{Name: cookiePosition, Value: short, Path: "/", SameSite: http.SameSiteLaxMode})
	}
}

// isBrowser reports whether the client keeps cookies.
func (c *Call) isBrowser() bool {
	return c.Request.Header.Get("X-Requested-With") != "" || c.Request.Header.Get("Cookie") != ""
}

// compressed gives the bytes to send, and sets the headers that say how they are packed.
func (c *Call) compressed(a Raw) []byte {
	plain := a.Body
	if a.Page != nil {
		plain = a.Page.plain
	}
	if len(plain) < minGzipBytes || c.Header().Get("Content-Type") != contentJSON[0] { // pictures are packed already
		return plain
	}
	c.Header()["Vary"] = varyEncoding
	if !strings.Contains(c.Request.Header.Get("Accept-Encoding"), "gzip") {
		return plain
	}
	c.Header()["Content-Encoding"] = encodingGzip
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
	_, _ = w.Write(plain) // a slice takes everything
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

// Size is about what a page takes in memory, packed and not.
func (p *Page) Size() int64 { return int64(len(p.plain) + len(p.plain)/3 + 200) }
