package files

import (
	"cmp"
	"context"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nearside/nearside/cdn"
	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/edge/api"
)

// Limits of sending stored bytes. The limits of other answers are too short for a large file and
// a slow connection. So a download may take any time while it makes progress: each piece has a
// limit.
const (
	pieceBytes  = 256 << 10
	pieceLimit  = 2 * time.Minute
	smallBytes  = 64 << 10 // this much is read before anything is sent: if it is damaged, the client gets an error
	sendsOfUser = 64       // running downloads at this edge; small ones do not count
	sendsOfEdge = 4096
	rangesLimit = 32 // a request for more ranges gets the whole file: each range is a separate read, and clients do not need more
	signedFor   = time.Minute
)

// download is an answer that consists of stored bytes.
type download struct {
	from     *Service
	what     string // description for the log
	blob     core.BlobRef
	modified time.Time
	etag     string // with quotes, as in the header
	mime     string // "": a picture made here, whose type is detected
	headers  [][2]string
}

// Send implements api.Answer. A large download needs a place: a slow reader occupies memory for a
// long time.
func (d *download) Send(c *api.Call) error {
	if d.blob.Size > smallBytes && c.Request.Method != http.MethodHead {
		if err := d.from.downloads.enter(c.User.ID); err != nil {
			return err
		}
		defer d.from.downloads.leave(c.User.ID)
	}
	return d.from.sendBlob(c.Writer, c.Request, d)
}

// sendBlob sends a download like http.ServeContent, with ranges, conditions and HEAD. It opens
// the blob when bytes of it are needed. It fails before anything is sent, or ends the connection:
// a client never takes a part for the whole.
func (s *Service) sendBlob(w http.ResponseWriter, r *http.Request, d *download) error {
	ctx, cancel := context.WithCancel(r.Context())
	b := &blobReader{ctx: ctx, blobs: s.cfg.Blobs, blob: d.blob}
	defer b.Close()
	defer cancel() // before Close: it ends a read that hangs
	o := &outlet{ResponseWriter: w, body: b, head: r.Method == http.MethodHead, mime: d.mime}
	o.pace = pace{out: w, control: http.NewResponseController(w), stop: cancel}
	defer o.pace.end()
	for _, h := range d.headers {
		w.Header().Set(h[0], h[1])
	}
	w.Header().Set("Etag", d.etag)
	w.Header().Set("Content-Type", cmp.Or(d.mime, "image/jpeg"))
	if strings.Count(r.Header.Get("Range"), ",") >= rangesLimit {
		r.Header.Del("Range")
	}
	http.ServeContent(o, r, "", d.modified, b)
	cancel() // the client may be gone while its ranges are still being read
	if o.err != nil {
		for _, h := range []string{"Etag", "Content-Type", "Content-Length", "Content-Range", "Accept-Ranges", "Last-Modified", "Content-Disposition", "Cache-Control"} {
			w.Header().Del(h)
		}
		s.noteDamage(d, o.err)
		return unreadable(o.err)
	}
	if err := b.failed(); err != nil {
		s.noteDamage(d, err)
		s.log.Debug("a download was cut off", "of", d.what, "error", err)
		panic(http.ErrAbortHandler) // the header announced more bytes
	}
	return nil
}

// noteDamage logs damage that somebody must repair, once per interval for each blob.
func (s *Service) noteDamage(d *download, err error) {
	k := core.KindOf(err)
	if k != core.KindNotFound && k != core.KindDiverged && k != core.KindInvalid || s.damaged.Has(d.blob.ID, time.Now()) {
		return
	}
	s.damaged.Add(d.blob.ID, time.Now())
	s.log.Error("stored bytes are missing or damaged", "of", d.what, "blob", d.blob.ID, "error", err)
}

// The reasons why a file's content cannot be sent.
var (
	contentMissing = core.Refusal{Kind: core.KindUnavailable, ID: "api.file.read_file.missing.app_error"}
	contentAway    = core.Refusal{Kind: core.KindUnavailable, ID: "api.file.read_file.unavailable.app_error"}
	contentDamaged = core.Refusal{Kind: core.KindInternal, ID: "api.file.read_file.damaged.app_error"}
)

// unreadable maps an error of the store. The result is not 404, because the file exists.
func unreadable(err error) error {
	switch core.KindOf(err) {
	case core.KindNotFound:
		return contentMissing.WithCause(err)
	case core.KindUnavailable, core.KindTimeout:
		return contentAway.WithCause(err)
	case core.KindDiverged, core.KindInvalid:
		return contentDamaged.WithCause(err)
	}
	return err
}

// outlet is the ResponseWriter for http.ServeContent. It opens the blob when the status is
// written, since then the range is known.
type outlet struct {
	http.ResponseWriter
	body *blobReader
	pace pace
	head bool
	mime string
	err  error // why nothing can be sent; if set, nothing was sent
}

// WriteHeader implements http.ResponseWriter.
func (o *outlet) WriteHeader(status int) {
	if status == http.StatusOK || status == http.StatusPartialContent {
		if o.err = o.open(); o.err != nil {
			return
		}
	}
	o.ResponseWriter.WriteHeader(status)
}

func (o *outlet) open() error {
	h := o.Header()
	n, _ := strconv.ParseInt(h.Get("Content-Length"), 10, 64)
	parts := strings.HasPrefix(h.Get("Content-Type"), "multipart/")
	o.pace.arm()
	var err error
	if o.head || parts {
		err = o.body.stat()
	} else {
		err = o.body.open(n)
	}
	if err != nil || o.mime != "" || parts {
		return err
	}
	kind, err := o.body.picture()
	h.Set("Content-Type", kind)
	return err
}

// Write implements http.ResponseWriter.
func (o *outlet) Write(p []byte) (int, error) {
	if o.err != nil {
		return 0, o.err
	}
	return o.pace.Write(p)
}

// ReadFrom implements io.ReaderFrom: the bytes that http.ServeContent copies are written by the
// blob itself without another copy, if it supports that.
func (o *outlet) ReadFrom(src io.Reader) (int64, error) {
	if o.err != nil {
		return 0, o.err
	}
	if part, ok := src.(*io.LimitedReader); ok && part.R == o.body {
		return o.body.writeTo(&o.pace, part.N)
	}
	return copyPieces(&o.pace, src)
}

var pieces = sync.Pool{New: func() any {
	b := make([]byte, pieceBytes)
	return &b
}}

func copyPieces(w io.Writer, r io.Reader) (int64, error) {
	b := pieces.Get().(*[]byte)
	defer pieces.Put(b)
	return io.CopyBuffer(w, struct{ io.Reader }{r}, *b)
}

// pace writes in pieces, each with a time limit. It belongs to the request's goroutine.
type pace struct {
	out     io.Writer
	control *http.ResponseController
	stop    context.CancelFunc // ends the read that a piece waits for
	timer   *time.Timer
	armed   time.Time
	err     error // the error of writing to the client
}

// Write implements io.Writer.
func (p *pace) Write(b []byte) (n int, err error) {
	for err == nil && n < len(b) {
		p.arm()
		var m int
		m, err = p.out.Write(b[n:min(len(b), n+pieceBytes)])
		n += m
	}
	if err != nil {
		p.err = err
	}
	return n, err
}

// arm renews the limits. A server that does not support deadlines has none here either. Renewing
// is not free, so it is done once per quarter of the limit: a piece has at least three quarters.
func (p *pace) arm() {
	now := time.Now()
	if now.Sub(p.armed) < pieceLimit/4 {
		return
	}
	p.armed = now
	_ = p.control.SetWriteDeadline(now.Add(pieceLimit))
	if p.timer != nil {
		p.timer.Reset(pieceLimit)
		return
	}
	p.timer = time.AfterFunc(pieceLimit, p.stop)
}

func (p *pace) end() {
	if p.timer != nil {
		p.timer.Stop()
	}
}

// blobReader reads a blob in the way that http.ServeContent reads files: after Seek, the blob is
// opened at that offset when it is read.
type blobReader struct {
	ctx   context.Context
	blobs interface {
		cdn.Getter
		cdn.Stater
	}
	blob core.BlobRef

	mu     sync.Mutex // guards everything below: several ranges are read by a goroutine that may outlive the request
	at     int64
	left   int64         // bytes left of the open part
	part   io.ReadCloser // open at offset at; nil if nothing is open
	small  []byte        // bytes read ahead, at offset at
	closed bool
	err    error
}

// Seek implements io.Seeker.
func (b *blobReader) Seek(offset int64, whence int) (int64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch whence {
	case io.SeekCurrent:
		offset += b.at
	case io.SeekEnd:
		offset += b.blob.Size
	}
	if offset < 0 || offset > b.blob.Size {
		return 0, core.E(core.KindInvalid, "a place outside the blob")
	}
	if offset != b.at {
		b.shut()
		b.at = offset
	}
	return offset, nil
}

func (b *blobReader) shut() {
	if b.part != nil {
		_ = b.part.Close() // nothing was written
	}
	b.part, b.small = nil, nil
}

// Close closes the blob.
func (b *blobReader) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.shut()
	b.closed = true
	return nil
}

func (b *blobReader) failed() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.err
}

// stat refuses a blob that is missing or has the wrong size.
func (b *blobReader) stat() error {
	size, err := b.blobs.Stat(b.ctx, cdn.Digest(b.blob.ID))
	if err == nil && size != b.blob.Size {
		err = wrongSize(size, b.blob.Size)
	}
	return err
}

func wrongSize(got, want int64) error {
	return core.E(core.KindDiverged, "the stored blob has %d bytes, not %d", got, want)
}

// open opens the next n bytes.
func (b *blobReader) open(n int64) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	err := b.openPart(n)
	if err != nil || n > smallBytes {
		return err
	}
	defer b.shutPart()
	b.small = make([]byte, n)
	_, err = io.ReadFull(b.part, b.small)
	return endedEarly(err)
}

func (b *blobReader) shutPart() {
	_ = b.part.Close()
	b.part = nil
}

// endedEarly turns a premature end, which readers report as io.EOF, into damage.
func endedEarly(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF { //nolint:errorlint // wrapped ones are of a store that says more
		return core.E(core.KindDiverged, "the stored blob was cut short")
	}
	return err
}

func (b *blobReader) openPart(n int64) error {
	got, err := b.blobs.Get(b.ctx, cdn.Digest(b.blob.ID), cdn.Range{Offset: b.at, Length: n})
	if err != nil {
		return err
	}
	b.part, b.left = got.ReadCloser, n
	if got.Size != b.blob.Size {
		b.shut()
		return wrongSize(got.Size, b.blob.Size)
	}
	return nil
}

// Read implements io.Reader.
func (b *blobReader) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.closed:
		return 0, io.ErrClosedPipe
	case b.at == b.blob.Size:
		return 0, io.EOF
	case len(b.small) > 0:
		n := copy(p, b.small)
		b.small, b.at = b.small[n:], b.at+int64(n)
		return n, nil
	}
	if b.part == nil {
		if b.err = b.openPart(b.blob.Size - b.at); b.err != nil {
			return 0, b.err
		}
	}
	n, err := b.part.Read(p[:min(int64(len(p)), b.left)])
	b.at, b.left = b.at+int64(n), b.left-int64(n)
	if b.left == 0 {
		b.shut()
		if err == io.EOF {
			err = nil
		}
	}
	b.err = endedEarly(err)
	return n, b.err
}

// writeTo writes the next n bytes, which are open.
func (b *blobReader) writeTo(w *pace, n int64) (int64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if n <= smallBytes {
		m, err := w.Write(b.small[:min(n, int64(len(b.small)))])
		return int64(m), err
	}
	var done int64
	var err error
	if whole, ok := b.part.(io.WriterTo); ok && b.left == n {
		done, err = whole.WriteTo(w)
	} else {
		done, err = copyPieces(w, io.LimitReader(b.part, n))
	}
	if err == nil && done != n {
		err = endedEarly(io.EOF)
	}
	if w.err == nil {
		b.err = err
	}
	b.at, b.left = b.at+done, b.left-done
	return done, err
}

// picture detects the type of a picture that was made here.
func (b *blobReader) picture() (string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	head, need := b.small, min(b.blob.Size, int64(len(pngMagic)))
	if b.at > 0 || int64(len(head)) < need {
		got, err := b.blobs.Get(b.ctx, cdn.Digest(b.blob.ID), cdn.Range{Length: need})
		if err != nil {
			return "", err
		}
		defer func() { _ = got.Close() }()
		if head, err = io.ReadAll(io.LimitReader(got, need)); err != nil {
			return "", err
		}
	}
	return pictureType(head), nil
}

const pngMagic = "\x89PNG\r\n\x1a\n"

// pictureType distinguishes the two types of pictures that are made here.
func pictureType(head []byte) string {
	if strings.HasPrefix(string(head), pngMagic) {
		return "image/png"
	}
	return "image/jpeg"
}
