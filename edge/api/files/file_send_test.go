package files_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nearside/nearside/cdn"
	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/edge/api"
	"github.com/nearside/nearside/edge/api/apitest"
	"github.com/nearside/nearside/edge/api/files"
)

// memory is a store in memory. If fast, its readers implement io.WriterTo, like those of a cache;
// they fail at offset broken.
type memory struct {
	blobs  map[cdn.Digest][]byte
	fast   bool
	broken int64 // first offset that cannot be read; 0: none
}

func (m *memory) Get(ctx context.Context, d cdn.Digest, r cdn.Range) (cdn.Blob, error) {
	b, ok := m.blobs[d]
	switch {
	case !ok:
		return cdn.Blob{}, core.E(core.KindNotFound, "no such blob")
	case r.Offset > int64(len(b)) || r.Length > int64(len(b))-r.Offset:
		return cdn.Blob{}, core.E(core.KindInvalid, "out of range")
	}
	part := b[r.Offset:]
	if r.Length >= 0 {
		part = part[:r.Length]
	}
	if m.broken > 0 && r.Offset+int64(len(part)) > m.broken {
		good := part[:max(0, m.broken-r.Offset)]
		return cdn.Blob{ReadCloser: io.NopCloser(io.MultiReader(bytes.NewReader(good), damage{})), Size: int64(len(b))}, nil
	}
	if m.fast {
		return cdn.Blob{ReadCloser: io.NopCloser(bytes.NewReader(part)), Size: int64(len(b))}, nil // a NopCloser of a WriterTo is a WriterTo
	}
	return cdn.Blob{ReadCloser: io.NopCloser(&waiting{ctx, bytes.NewReader(part)}), Size: int64(len(b))}, nil
}

// waiting is a reader that ends with its context, like readers of distant stores.
type waiting struct {
	ctx  context.Context
	rest io.Reader
}

func (w *waiting) Read(p []byte) (int, error) {
	if err := w.ctx.Err(); err != nil {
		return 0, err
	}
	return w.rest.Read(p)
}

func (m *memory) Put(context.Context, cdn.Digest, int64, io.Reader) error {
	return errors.New("not for writing")
}

func (m *memory) Stat(_ context.Context, d cdn.Digest) (int64, error) {
	b, ok := m.blobs[d]
	if !ok {
		return 0, core.E(core.KindNotFound, "no such blob")
	}
	return int64(len(b)), nil
}

type damage struct{}

func (damage) Read([]byte) (int, error) { return 0, core.E(core.KindDiverged, "a flipped bit") }

// hold returns a store in memory with one blob.
func hold(content []byte) (*memory, core.BlobRef) {
	d := sha256.Sum256(content)
	return &memory{blobs: map[cdn.Digest][]byte{d: content}}, core.BlobRef{ID: d, Size: int64(len(content))}
}

// likeServeContent compares an answer with that of http.ServeContent for the same bytes.
func likeServeContent(t *testing.T, blobs *memory, blob core.BlobRef, content []byte, method string, headers http.Header) {
	t.Helper()
	ask := func() *http.Request {
		r := httptest.NewRequest(method, "/", nil)
		r.Header = headers.Clone()
		return r
	}
	at := time.UnixMilli(1_700_000_000_000)
	want := httptest.NewRecorder()
	want.Header().Set("Etag", `"`+blob.ID.String()+`"`)
	want.Header().Set("Content-Type", "audio/wav")
	http.ServeContent(want, ask(), "", at, bytes.NewReader(content))
	got := httptest.NewRecorder()
	if err := files.SendBlob(blobs, blob, "audio/wav", at, got, ask()); err != nil {
		t.Fatalf("%s %v: %v", method, headers, err)
	}
	if got.Code != want.Code {
		t.Fatalf("%s %v: %d, not %d", method, headers, got.Code, want.Code)
	}
	gotBody, wantBody := unmarked(got), unmarked(want)
	if diff := cmp.Diff(want.Header(), got.Header()); diff != "" {
		t.Errorf("%s %v: headers (-want +got):\n%s", method, headers, diff)
	}
	if !bytes.Equal(gotBody, wantBody) {
		t.Errorf("%s %v: %d bytes, not the %d expected", method, headers, len(gotBody), len(wantBody))
	}
}

// unmarked returns a body with a fixed boundary between its parts.
func unmarked(r *httptest.ResponseRecorder) []byte {
	_, params, _ := mime.ParseMediaType(r.Header().Get("Content-Type"))
	b := params["boundary"]
	if b == "" {
		return r.Body.Bytes()
	}
	r.Header().Set("Content-Type", "multipart")
	return bytes.ReplaceAll(r.Body.Bytes(), []byte(b), []byte("boundary"))
}

func TestSend_AsServeContent(t *testing.T) {
	// Ranges, conditions and HEAD are answered like in the standard library, for blobs of every
	// size, whether or not the store's readers implement io.WriterTo.
	tag := func(content []byte) string { return fmt.Sprintf(`"%x"`, sha256.Sum256(content)) }
	const modified, before, after = "Tue, 14 Nov 2023 22:13:20 GMT", "Mon, 13 Nov 2023 22:13:20 GMT", "Wed, 15 Nov 2023 22:13:20 GMT"
	for _, size := range []int{0, 1, 1000, 64 << 10, 64<<10 + 1, 700_000} {
		content := apitest.Noise(size)
		cases := []http.Header{
			{}, {"If-None-Match": {tag(content)}}, {"If-None-Match": {"W/" + tag(content)}}, {"If-None-Match": {`"other"`}}, {"If-None-Match": {"*"}},
			{"If-Match": {`"other"`}}, {"If-Match": {tag(content)}}, {"If-Modified-Since": {modified}}, {"If-Modified-Since": {before}}, {"If-Modified-Since": {after}},
			{"If-Unmodified-Since": {before}}, {"If-None-Match": {`"other"`}, "If-Modified-Since": {after}},
			{"Range": {"bytes=0-0"}, "If-Range": {tag(content)}}, {"Range": {"bytes=0-0"}, "If-Range": {`"other"`}}, {"Range": {"bytes=0-0"}, "If-Range": {modified}},
			{"Range": {"bytes=0-0"}, "If-None-Match": {tag(content)}},
		}
		for _, r := range []string{
			"0-", "0-0", "1-1", "-1", "-700001", "5-2", "900-", "999999999-", "0-9,20-29", "0-9,20-29,-5", "0-0,0-0", "-0", "66000-66010,1-2", "100-69999", "0-699998", "x", "0-1,x", "",
		} {
			cases = append(cases, http.Header{"Range": {"bytes=" + r}})
		}
		cases = append(cases, http.Header{"Range": {"lines=1-2"}})
		for _, fast := range []bool{false, true} {
			blobs, blob := hold(content)
			blobs.fast = fast
			for _, h := range cases {
				likeServeContent(t, blobs, blob, content, "GET", h)
				likeServeContent(t, blobs, blob, content, "HEAD", h)
			}
		}
	}
}

func TestSend_ManyRanges(t *testing.T) {
	// A request for very many ranges gets the whole file: each would be a separate read.
	content := apitest.Noise(100_000)
	blobs, blob := hold(content)
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Range", "bytes=0-0"+strings.Repeat(",5-5", 40))
	w := httptest.NewRecorder()
	if err := files.SendBlob(blobs, blob, "audio/wav", t0, w, r); err != nil || w.Code != 200 || !bytes.Equal(w.Body.Bytes(), content) {
		t.Errorf("%d with %d bytes, %v", w.Code, w.Body.Len(), err)
	}
}

func TestSend_Damaged(t *testing.T) {
	// A blob that is missing, has the wrong size, or is small and damaged gives an error before
	// anything is sent; damage later on ends the answer early.
	content := apitest.Noise(300_000)
	blobs, blob := hold(content)
	ask := func(method string, b core.BlobRef, kind, ranges string) (w *httptest.ResponseRecorder, aborted any, err error) {
		r := httptest.NewRequest(method, "/", nil)
		if ranges != "" {
			r.Header.Set("Range", ranges)
		}
		w = httptest.NewRecorder()
		defer func() { aborted = recover() }()
		err = files.SendBlob(blobs, b, kind, t0, w, r)
		return w, nil, err
	}
	missing := core.BlobRef{ID: core.BlobID{1}, Size: 10}
	wrong := core.BlobRef{ID: blob.ID, Size: blob.Size - 1}
	for _, c := range []struct {
		method string
		blob   core.BlobRef
		kind   string
		want   core.Kind
	}{
		{"GET", missing, "audio/wav", core.KindUnavailable}, {"HEAD", missing, "audio/wav", core.KindUnavailable}, {"GET", missing, "", core.KindUnavailable},
		{"GET", wrong, "audio/wav", core.KindInternal}, {"HEAD", wrong, "audio/wav", core.KindInternal},
	} {
		w, _, err := ask(c.method, c.blob, c.kind, "")
		if core.KindOf(err) != c.want || w.Body.Len() > 0 || len(w.Header()) > 0 {
			t.Errorf("%s %v: %v with headers %v and %d bytes", c.method, c.blob, err, w.Header(), w.Body.Len())
		}
	}
	blobs.broken = 100
	if _, _, err := ask("GET", blob, "audio/wav", "bytes=90-110"); core.KindOf(err) != core.KindInternal {
		t.Errorf("a small damaged range gave %v", err)
	}
	if w, _, err := ask("GET", blob, "audio/wav", "bytes=10-99"); err != nil || w.Body.Len() != 90 {
		t.Errorf("a sound range of a damaged blob gave %v and %d bytes", err, w.Body.Len())
	}
	for _, ranges := range []string{"", "bytes=50-200000", "bytes=1-2,200-300"} {
		if w, aborted, _ := ask("GET", blob, "audio/wav", ranges); aborted != http.ErrAbortHandler || w.Body.Len() > 1000 {
			t.Errorf("%q of a damaged blob: %v with %d bytes", ranges, aborted, w.Body.Len())
		}
	}
}

func TestSend_PictureType(t *testing.T) {
	// A picture's type is detected from its bytes, whichever range is requested.
	for kind, content := range map[string][]byte{"image/png": apitest.PNG(400, 300), "image/jpeg": apitest.JPEG(30, 30)} {
		blobs, blob := hold(content)
		for _, ranges := range []string{"", "bytes=0-9", "bytes=0-2", "bytes=100-200"} {
			for _, method := range []string{"GET", "HEAD"} {
				r := httptest.NewRequest(method, "/", nil)
				r.Header.Set("Range", ranges)
				w := httptest.NewRecorder()
				if err := files.SendBlob(blobs, blob, "", t0, w, r); err != nil || w.Header().Get("Content-Type") != kind {
					t.Errorf("%s %q: %s, not %s (%v)", method, ranges, w.Header().Get("Content-Type"), kind, err)
				}
			}
		}
	}
}

// pipes is a listener whose connections are in memory, so that time can be simulated.
type pipes struct {
	conns chan net.Conn
	once  sync.Once
	done  chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.done) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

// startDownload serves a blob with the API's own server, sends a request for it, and returns the
// client's end of the connection.
func startDownload(t *testing.T, blobs *memory, blob core.BlobRef) net.Conn {
	srv := api.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := files.SendBlob(blobs, blob, "audio/wav", t0, w, r); err != nil {
			t.Error(err)
		}
	}), slog.New(slog.DiscardHandler))
	l := &pipes{conns: make(chan net.Conn, 1), done: make(chan struct{})}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	mine, theirs := net.Pipe()
	l.conns <- theirs
	t.Cleanup(func() {
		_ = mine.Close()
		_ = srv.Close()
		<-served
	})
	if _, err := io.WriteString(mine, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	return mine
}

func TestSend_SlowButSteady(t *testing.T) {
	// A download that makes progress may last longer than the limits of other requests.
	synctest.Test(t, func(t *testing.T) {
		content := apitest.Noise(20 * files.PieceBytes)
		blobs, blob := hold(content)
		conn := startDownload(t, blobs, blob)
		began := time.Now()
		var all []byte
		for !bytes.HasSuffix(all, content[len(content)-100:]) {
			part := make([]byte, files.PieceBytes/2)
			n, err := io.ReadAtLeast(conn, part, 1)
			if err != nil {
				t.Fatalf("after %v and %d bytes: %v", time.Since(began), len(all), err)
			}
			all = append(all, part[:n]...)
			<-time.After(files.PieceLimit / 4)
		}
		if _, body, ok := bytes.Cut(all, []byte("\r\n\r\n")); !ok || !bytes.Equal(body, content) {
			t.Error("what came is something else")
		}
		if d := time.Since(began); d < 10*time.Minute {
			t.Errorf("it took only %v: this proves nothing", d)
		}
	})
}

func TestSend_StalledClient(t *testing.T) {
	// A client that reads nothing is disconnected after the limit for a piece, not before.
	synctest.Test(t, func(t *testing.T) {
		blobs, blob := hold(apitest.Noise(20 * files.PieceBytes))
		conn := startDownload(t, blobs, blob)
		began := time.Now()
		if _, err := io.ReadFull(conn, make([]byte, 1000)); err != nil {
			t.Fatal(err)
		}
		<-time.After(files.PieceLimit + time.Second)
		n, err := io.Copy(io.Discard, conn)
		if err != nil || n > 3*files.PieceBytes || time.Since(began) > files.PieceLimit+2*time.Second {
			t.Errorf("the rest was %d bytes, %v, after %v", n, err, time.Since(began))
		}
	})
}

func FuzzRangeHeader(f *testing.F) {
	for _, s := range []string{"bytes=0-0", "bytes=-5", "bytes=1-2,4-5", "bytes=99-", "bytes=5-1", "bytes= 1 - 2", "bytes=0-,0-", "lines=1", "bytes=18446744073709551616-", "bytes=-9223372036854775808", ""} {
		for _, size := range []int{0, 10, 66_000} {
			f.Add(s, size, false, "")
		}
		f.Add(s, 100, true, `"x"`)
	}
	all := apitest.Noise(70_000)
	f.Fuzz(func(t *testing.T, ranges string, size int, head bool, ifRange string) {
		if size < 0 || size > len(all) || strings.Count(ranges, ",") >= 32 {
			t.Skip()
		}
		content := all[:size]
		blobs, blob := hold(content)
		blobs.fast = size%2 == 0
		h := http.Header{"Range": {ranges}}
		if ifRange != "" {
			h.Set("If-Range", ifRange)
		}
		method := "GET"
		if head {
			method = "HEAD"
		}
		likeServeContent(t, blobs, blob, content, method, h)
	})
}
