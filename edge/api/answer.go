package api

import (
	"net/http"
	"strconv"
	"strings"
	"sync"

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

// ok answers 200 with a value.
func (c *call) ok(v any) error { return c.answer(http.StatusOK, v) }

// list answers 200 with what a query gave, or fails as it did.
func (c *call) list(v any, err error) error {
	if err != nil {
		return err
	}
	return c.ok(v)
}

// created answers 201 with a value.
func (c *call) created(v any) error { return c.answer(http.StatusCreated, v) }

// done answers 200 with {"status":"OK"}.
func (c *call) done() error { return c.ok(map[string]string{"status": "OK"}) }

func (c *call) answer(status int, v any) error {
	c.status, c.body = status, mustJSON(v)
	return nil
}

// write sends the answer.
func (c *call) write() {
	c.writeHeaders()
	if c.download != nil {
		err := c.sendDownload()
		if c.download = nil; err == nil {
			return
		}
		c.answerProblem(err)
	}
	if c.status == http.StatusNotModified { // it has no body, and says nothing of one
		c.w.WriteHeader(c.status)
		return
	}
	h := c.header()
	if h.Get("Content-Type") == "" {
		h["Content-Type"] = contentJSON
	}
	body := c.compressed()
	h.Set("Content-Length", strconv.Itoa(len(body)))
	c.w.WriteHeader(c.status)
	if c.r.Method != http.MethodHead {
		_, _ = c.w.Write(body) // a client that went away cannot be told
	}
}

// writeHeaders sets the headers that all answers have.
func (c *call) writeHeaders() {
	h := c.header()
	h.Set("X-Request-Id", c.id)
	h.Set("X-Version-Id", DefaultVersion+".dev..false")
	h["Permissions-Policy"], h["X-Content-Type-Options"], h["Referrer-Policy"] = policyNone, policyNosniff, policyNoReferrer
	if c.r.Method == http.MethodGet || c.r.Method == http.MethodHead {
		h["Expires"] = expiresNow
	}
	if c.api != nil {
		h.Set("X-Version-Id", c.api.settings.versionID)
		c.tellPosition()
	}
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
func (c *call) tellPosition() {
	pos := c.api.cfg.View.Position()
	if pos.Before(c.seen) && pos.Epoch == c.seen.Epoch {
		pos = core.Position{Epoch: c.seen.Epoch, Index: c.seen.Index}
	}
	h := c.header()
	h.Set(headerPosition, pos.String())
	if c.stale > 0 {
		h.Set(headerStale, strconv.FormatInt(max(1, c.stale.Milliseconds()), 10))
	}
	if !c.isBrowser() {
		return
	}
	short := strconv.FormatUint(uint64(pos.Epoch), 10) + "." + strconv.FormatUint(uint64(pos.Index), 10)
	if old, err := c.r.Cookie(cookiePosition); err != nil || old.Value != short {
		http.SetCookie(c.w, &http.Cookie{Name: cookiePosition, Value: short, Path: "/", SameSite: http.SameSiteLaxMode})
	}
}

// isBrowser reports whether the client keeps cookies.
func (c *call) isBrowser() bool {
	return c.r.Header.Get("X-Requested-With") != "" || c.r.Header.Get("Cookie") != ""
}

// compressed gives the bytes to send, and sets the headers that say how they are packed.
func (c *call) compressed() []byte {
	plain := c.body
	if c.page != nil {
		plain = c.page.plain
	}
	if len(plain) < minGzipBytes || c.header().Get("Content-Type") != contentJSON[0] { // pictures are packed already
		return plain
	}
	c.header()["Vary"] = varyEncoding
	if !strings.Contains(c.r.Header.Get("Accept-Encoding"), "gzip") {
		return plain
	}
	c.header()["Content-Encoding"] = encodingGzip
	if c.page != nil {
		return c.page.gzip()
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

// page is an encoded answer that many requests share.
type page struct {
	plain []byte
	once  sync.Once
	gz    []byte // set by once
}

func (p *page) gzip() []byte {
	p.once.Do(func() { p.gz = gzipped(p.plain) })
	return p.gz
}

// size is about what a page takes in memory, packed and not.
func (p *page) size() int64 { return int64(len(p.plain) + len(p.plain)/3 + 200) }
