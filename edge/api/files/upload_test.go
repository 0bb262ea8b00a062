package files_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"image/gif"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime/metrics"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"github.com/nearside/nearside/cdn"
	"github.com/nearside/nearside/cdn/scan"
	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/eventually"
	"github.com/nearside/nearside/edge"
	"github.com/nearside/nearside/edge/api"
	"github.com/nearside/nearside/edge/api/apitest"
	"github.com/nearside/nearside/edge/api/areas"
	"github.com/nearside/nearside/edge/api/files"
)

func field(name, value string) string {
	return "--edge\r\nContent-Disposition: form-data; name=\"" + name + "\"\r\n\r\n" + value + "\r\n"
}

func filePart(name string, content []byte) string {
	return strings.TrimSuffix(apitest.FormWith("files", name, content), "--edge--\r\n")
}

type uploaded struct {
	Files     []core.File `json:"file_infos"`
	ClientIDs []string    `json:"client_ids"`
}

// stored counts the stored blobs.
func stored(h *apitest.Home) (n int) {
	h.T.Helper()
	err := h.Blobs.List(h.T.Context(), cdn.Digest{}, func(cdn.Info) error { n++; return nil })
	if err != nil {
		h.T.Fatal(err)
	}
	return n
}

// wantContent checks the bytes of a blob.
func wantContent(h *apitest.Home, ref core.BlobRef, want []byte) {
	h.T.Helper()
	b, err := h.Blobs.Get(h.T.Context(), cdn.Digest(ref.ID), cdn.Whole)
	if err != nil {
		h.T.Error(err)
		return
	}
	defer b.Close()
	if got, err := io.ReadAll(b); err != nil || !bytes.Equal(got, want) {
		h.T.Errorf("%d bytes, not the %d that were sent: %v", len(got), len(want), err)
	}
}

// spools counts the open files of a spool directory.
func spools(t testing.TB, dir string) (n int) {
	t.Helper()
	held, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("this system does not say which files are open: ", err)
	}
	for _, fd := range held {
		if name, err := os.Readlink(filepath.Join("/proc/self/fd", fd.Name())); err == nil && strings.HasPrefix(name, dir) {
			n++
		}
	}
	return n
}

// uploadWorld is the world of upload tests.
type uploadWorld struct {
	*apitest.Home
	*apitest.Site
	away    *apitest.Site // another edge; only in newTwoEdges
	Ann     *apitest.Client
	Channel core.ChannelID
	spool   string // of both edges
}

func newUploadWorld(t testing.TB, configure func(*areas.Config)) uploadWorld {
	return withUsers(newHomeWithSpool(t, configure))
}

// newTwoEdges is newUploadWorld with another edge.
func newTwoEdges(t testing.TB) uploadWorld {
	w := newHomeWithSpool(t, nil)
	w.away = w.NewSite(&apitest.Asker{Answer: api.AnswerPosition(w.Site)})
	t.Cleanup(func() { // before either edge stops
		eventually.True(t, "the other edge has everything", func() bool { return w.away.Position().Index >= w.Site.Position().Index })
	})
	return withUsers(w)
}

func newHomeWithSpool(t testing.TB, configure func(*areas.Config)) uploadWorld {
	w := uploadWorld{spool: t.TempDir()}
	w.Home, w.Site = apitest.NewHomeWith(t, func(cfg *areas.Config) {
		cfg.Files.Spool = w.spool
		if configure != nil {
			configure(cfg)
		}
	})
	return w
}

// withUsers adds a user and a channel.
func withUsers(w uploadWorld) uploadWorld {
	w.Ann = w.SignUp(w.Home.T, "ann")
	w.Channel = w.Ann.NewChannel(w.Ann.NewTeam("crew").ID, "deck", "O")
	return w
}

// send is do with a given body and headers.
func send(c *apitest.Client, ctx context.Context, path string, body io.Reader, length int64, headers map[string]string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, "POST", c.URL+"/api/v4"+path, body)
	if err != nil {
		c.T.Fatal(err)
	}
	req.ContentLength = length
	req.Header.Set("Authorization", "Bearer "+c.Token)
	for k, v := range headers {
		req.Header.Set(k, v)
	}
	return http.DefaultClient.Do(req)
}

func TestUpload_Form(t *testing.T) {
	// The files of a form keep their names, types and bytes, in order, and their owner can attach
	// them to a post.
	w := newUploadWorld(t, nil)
	picture := apitest.PNG(300, 200)
	var got uploaded
	form := field("channel_id", w.Channel.String()) + field("client_ids", "one") + field("client_ids", "two") + field("ignored", "x") +
		filePart(`C:\\fakepath\\Log.TXT`, []byte("hoist the mainsail")) + filePart("Sail.PNG", picture) + filePart("empty", nil)
	form = strings.Replace(form, field("ignored", "x"), field("client_ids", "three"), 1) + "--edge--\r\n"
	w.Ann.Must(201, "POST", "/files", form, &got)
	if len(got.Files) != 3 || strings.Join(got.ClientIDs, " ") != "one two three" {
		t.Fatalf("%+v", got)
	}
	text, sail, empty := got.Files[0], got.Files[1], got.Files[2]
	if text.Name != "Log.TXT" || text.Extension != "txt" || text.MimeType != "text/plain" || text.Size != 18 || text.UserID != w.Ann.Me.ID ||
		text.ChannelID != w.Channel || !text.PostID.IsZero() || text.CreateAt == 0 || text.CreateAt != text.UpdateAt || text.HasPreview {
		t.Errorf("%+v", text)
	}
	if sail.MimeType != "image/png" || sail.Width != 300 || sail.Height != 200 || !sail.HasPreview || len(sail.MiniPreview) == 0 {
		t.Errorf("%+v", sail)
	}
	if empty.Size != 0 || empty.Name != "empty" {
		t.Errorf("%+v", empty)
	}
	for i, want := range [][]byte{[]byte("hoist the mainsail"), picture, {}} {
		f, ok, err := fileAt(w.Site, got.Files[i].ID)
		if err != nil || !ok {
			t.Fatal(ok, err)
		}
		wantContent(w.Home, f.Content, want)
	}
	w.Ann.Must(201, "POST", "/files", filePart("a", []byte("x"))+field("channel_id", w.Channel.String())+"--edge--\r\n", nil)
	var p core.Post
	w.Ann.Must(201, "POST", "/posts", map[string]any{"channel_id": w.Channel, "file_ids": []core.FileID{text.ID, sail.ID}}, &p)
	if len(p.Metadata.Files) != 2 || p.Metadata.Files[1].PostID != p.ID {
		t.Errorf("%+v", p.Metadata)
	}
	if n := spools(t, w.spool); n > 0 {
		t.Errorf("%d spool files are left", n)
	}
}

func TestUpload_Body(t *testing.T) {
	// A request whose body is the file needs its name and channel in the URL.
	w := newUploadWorld(t, nil)
	var got uploaded
	path := "/files?channel_id=" + w.Channel.String()
	w.Ann.Must(201, "POST", path+"&filename=Maps%2Fisland.html&client_id=c", "<h1>here</h1>", &got)
	if len(got.Files) != 1 || got.Files[0].Name != "island.html" || got.Files[0].MimeType != "text/html" || len(got.ClientIDs) != 1 {
		t.Errorf("%+v", got)
	}
	w.Ann.Fails(400, "model.file_info.is_valid.name.app_error", "POST", path, "x")
	w.Ann.Fails(400, "api.context.invalid_body_param.app_error", "POST", "/files?filename=x", "x")
}

func TestUpload_Pictures(t *testing.T) {
	// Each picture gets its previews; a broken one is a plain file, an animation stays unchanged,
	// and one that cannot or must not be decoded has its size and a placeholder.
	w := newUploadWorld(t, nil)
	send := func(name string, content []byte) core.File {
		var got uploaded
		w.Ann.Must(201, "POST", "/files?channel_id="+w.Channel.String()+"&filename="+name, string(content), &got)
		f, ok, err := fileAt(w.Site, got.Files[0].ID)
		if err != nil || !ok {
			t.Fatal(ok, err)
		}
		wantContent(w.Home, f.Content, content)
		return f
	}
	for name, content := range map[string][]byte{"a.png": apitest.PNG(500, 400), "a.jpg": apitest.JPEG(500, 400), "no extension": apitest.JPEG(20, 10)} {
		f := send(strings.ReplaceAll(name, " ", "+"), content)
		if !f.HasPreview || f.Width == 0 || f.Thumbnail.ID.IsZero() || f.Preview.ID.IsZero() {
			t.Errorf("%s: %+v", name, f)
		}
		if again := send("again-"+strings.ReplaceAll(name, " ", "+"), content); again.Preview != f.Preview || again.Thumbnail != f.Thumbnail {
			t.Errorf("%s: its previews have another name the second time", name)
		}
		for _, ref := range []core.BlobRef{f.Thumbnail, f.Preview} {
			if size, err := w.Blobs.Stat(t.Context(), cdn.Digest(ref.ID)); err != nil || size != ref.Size {
				t.Errorf("%s: a preview of %d bytes: %d, %v", name, ref.Size, size, err)
			}
		}
	}
	for _, broken := range [][]byte{[]byte("no picture"), apitest.PNG(100, 100)[:300]} {
		if f := send("broken.png", broken); f.HasPreview || f.MimeType != "image/png" || !f.Preview.ID.IsZero() {
			t.Errorf("%+v", f)
		}
	}
	if f := send("drawing.svg", []byte("<svg/>")); f.HasPreview || f.MimeType != "image/svg+xml" {
		t.Errorf("%+v", f)
	}
	if f := send("party.gif", animated(t)); f.HasPreview || f.Width != 8 || f.Height != 6 {
		t.Errorf("%+v", f)
	}
	for name, c := range map[string]struct {
		content []byte
		w, h    int64
		preview bool
	}{
		"photo.png": {bomb(8160, 6120), 8160, 6120, true}, "bomb.png": {bomb(60_000, 60_000), 60_000, 60_000, true},
		"photo.heic": {apitest.HEIF("heic", 4032, 3024), 4032, 3024, true}, "photo.avif": {apitest.HEIF("avif", 64, 48), 64, 48, false},
		"named.jpg": {apitest.HEIF("heic", 4032, 3024), 4032, 3024, true}, "no-extension": {apitest.HEIF("avif", 64, 48), 64, 48, false},
	} {
		f := send(name, c.content)
		if f.Width != c.w || f.Height != c.h || f.HasPreview != c.preview {
			t.Errorf("%s: %+v", name, f)
		}
		for _, small := range []string{"thumbnail", "preview"} {
			if resp := w.Ann.Must(200, "GET", "/files/"+f.ID.String()+"/"+small, nil, nil); resp.Header.Get("Content-Type") != "image/jpeg" {
				t.Errorf("%s: its %s is %v", name, small, resp.Header)
			}
		}
	}
}

func animated(t *testing.T) []byte {
	t.Helper()
	var one, all bytes.Buffer
	if err := gif.Encode(&one, apitest.Drawn(8, 6), nil); err != nil {
		t.Fatal(err)
	}
	g, err := gif.DecodeAll(&one)
	if err != nil {
		t.Fatal(err)
	}
	g.Image, g.Delay, g.Disposal = append(g.Image, g.Image[0]), []int{5, 5}, nil
	if err := gif.EncodeAll(&all, g); err != nil {
		t.Fatal(err)
	}
	return all.Bytes()
}

// bomb is a PNG whose header has a size that is too large.
func bomb(w, h uint32) []byte {
	b := bytes.Clone(apitest.PNG(1, 1))
	binary.BigEndian.PutUint32(b[16:], w)
	binary.BigEndian.PutUint32(b[20:], h)
	binary.BigEndian.PutUint32(b[29:], crc32.ChecksumIEEE(b[12:29]))
	return b
}

func TestUpload_BadRequestsLeaveNothing(t *testing.T) {
	// A wrong request is refused with its reason, and leaves nothing: no bytes, no file, no used
	// disk space.
	w := newUploadWorld(t, func(cfg *areas.Config) { cfg.Files.MaxBytes = 100_000 })
	eve := w.SignUp(t, "eve")
	gone := w.Ann.NewChannel(w.Ann.NewTeam("ghosts").ID, "hold", "O")
	w.Ann.Must(200, "DELETE", "/channels/"+gone.String(), nil, nil)
	good := field("channel_id", w.Channel.String())
	end := "--edge--\r\n"
	big := bytes.Repeat([]byte("x"), 100_001)
	const form, name = "api.file.upload_file.read_form.app_error", "model.file_info.is_valid.name.app_error"
	for what, c := range map[string]struct {
		status   int
		id, body string
		by       *apitest.Client
	}{
		"cut in a file":            {400, "api.file.upload_file.read_request.app_error", good + filePart("a", []byte("aaaa"))[:70], w.Ann},
		"cut after a file":         {400, "api.file.upload_file.read_request.app_error", good + filePart("a", []byte("aaaa")), w.Ann},
		"cut in the last line":     {400, "api.file.upload_file.read_request.app_error", good + filePart("a", []byte("aaaa")) + "--ed", w.Ann},
		"no channel":               {400, "api.file.upload_file.missing_channel_id.app_error", filePart("a", nil) + end, w.Ann},
		"a foreign one comes last": {403, "api.context.permissions.app_error", filePart("a", nil) + good + end, eve},
		"no such channel":          {404, "app.channel.get.existing.app_error", field("channel_id", core.NewID[core.Channel](t0).String()) + filePart("a", nil) + end, w.Ann},
		"no id of a channel":       {400, "api.context.invalid_body_param.app_error", field("channel_id", "x") + filePart("a", nil) + end, w.Ann},
		"a foreign channel":        {403, "api.context.permissions.app_error", good + filePart("a", nil) + end, eve},
		"an archived channel":      {400, "api.file.upload_file.archived_channel.app_error", field("channel_id", gone.String()) + filePart("a", nil) + end, w.Ann},
		"a large file":             {413, "api.file.upload_file.too_large_detailed.app_error", good + filePart("a", big) + end, w.Ann},
		"a large second file":      {413, "api.file.upload_file.too_large_detailed.app_error", good + filePart("a", nil) + filePart("a", big) + end, w.Ann},
		"too many files":           {400, "api.file.upload_file.too_many_files.app_error", good + strings.Repeat(filePart("a", nil), 11) + end, w.Ann},
		"too many parts":           {400, form, good + strings.Repeat(field("x", "y"), 101) + end, w.Ann},
		"a long field":             {400, form, good + field("x", strings.Repeat("y", 2000)) + end, w.Ann},
		"long headers":             {400, form, good + "--edge\r\nX: " + strings.Repeat("y", 20_000) + "\r\n\r\n\r\n" + end, w.Ann},
		"a nameless part":          {400, form, good + "--edge\r\n\r\nx\r\n" + end, w.Ann},
		"an encoded part":          {400, form, good + strings.Replace(filePart("a", nil), "\r\n\r\n", "\r\nContent-Transfer-Encoding: base64\r\n\r\n", 1) + end, w.Ann},
		"no file":                  {400, "api.file.upload_file.no_file.app_error", good + end, w.Ann},
		"ids of other files":       {400, "api.file.upload_file.incorrect_number_of_client_ids.app_error", good + field("client_ids", "1") + filePart("a", nil) + filePart("b", nil) + end, w.Ann},
		"a name of dots":           {400, name, good + filePart("..", nil) + end, w.Ann},
		"an empty name":            {400, name, good + filePart("", nil) + end, w.Ann},
		"no boundary at all":       {400, "api.file.upload_file.read_request.app_error", "--edge nonsense", w.Ann},
		"cut in a header":          {400, "api.file.upload_file.read_request.app_error", good + filePart("a", []byte("aaaa")) + filePart("b", nil)[:40], w.Ann},
	} {
		t.Run(what, func(t *testing.T) {
			resp, err := send(c.by, t.Context(), "/files", strings.NewReader(c.body), int64(len(c.body)), map[string]string{"Content-Type": "multipart/form-data; boundary=edge"})
			wantProblem(t, resp, err, c.status, c.id)
		})
	}
	raw := "/files?filename=a&channel_id="
	eve.Fails(403, "api.context.permissions.app_error", "POST", raw+w.Channel.String(), "x")
	w.Ann.Fails(413, "api.file.upload_file.too_large_detailed.app_error", "POST", raw+w.Channel.String(), string(big))
	resp, err := send(w.Ann, t.Context(), raw+w.Channel.String(), bytes.NewReader(big), -1, nil)
	wantProblem(t, resp, err, 413, "api.file.upload_file.too_large_detailed.app_error")
	for _, kind := range []string{"multipart/form-data", "multipart/mixed; boundary=edge", "multipart/form-data; boundary=\"\"", "multipart/form-data; boundary=" + strings.Repeat("x", 71)} {
		resp, err := send(w.Ann, t.Context(), raw+w.Channel.String(), strings.NewReader("--edge--\r\n"), 10, map[string]string{"Content-Type": kind})
		wantProblem(t, resp, err, 400, form)
	}
	if n := stored(w.Home); n != 0 {
		t.Errorf("%d blobs are kept", n)
	}
	eventually.True(t, "no spool file is left", func() bool { return spools(t, w.spool) == 0 })
	if left, err := os.ReadDir(w.spool); err != nil || len(left) > 0 {
		t.Errorf("the spool holds %v, %v", left, err)
	}
}

func wantProblem(t *testing.T, resp *http.Response, err error, status int, id string) {
	t.Helper()
	if err != nil {
		t.Error(err)
		return
	}
	defer resp.Body.Close()
	raw, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != status || !strings.Contains(string(raw), `"`+id+`"`) {
		t.Errorf("%d %s, not %d %s", resp.StatusCode, raw, status, id)
	}
}

// dial opens a connection on which a test writes a request by hand.
func dial(c *apitest.Client, t *testing.T, path string, length string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(c.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(apitest.Limit))
	fmt.Fprintf(conn, "POST /api/v4%s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n%s\r\n\r\n", path, c.Token, length)
	return conn
}

func TestUpload_WrongLength(t *testing.T) {
	// A body shorter than its announced length is refused, and leaves nothing.
	w := newUploadWorld(t, nil)
	for _, length := range []string{"Content-Length: 10", "Transfer-Encoding: chunked"} {
		conn := dial(w.Ann, t, "/files?filename=a&channel_id="+w.Channel.String(), length)
		fmt.Fprint(conn, "4\r\nabc")
		_ = conn.(*net.TCPConn).CloseWrite()
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		wantProblem(t, resp, err, 400, "api.file.upload_file.read_request.app_error")
	}
	if n := stored(w.Home); n != 0 {
		t.Errorf("%d blobs are kept", n)
	}
	eventually.True(t, "no spool file is left", func() bool { return spools(t, w.spool) == 0 })
}

func TestUpload_RefusedBeforeTheBody(t *testing.T) {
	// A client that sends "Expect: 100-continue" is refused before it sends the body, if it may
	// not upload or home cannot be reached.
	w := newUploadWorld(t, nil)
	eve := w.SignUp(t, "eve")
	path := "/files?filename=a&channel_id=" + w.Channel.String()
	refused := func(by *apitest.Client, length string, status int, id string) {
		t.Helper()
		conn := dial(by, t, path, "Expect: 100-continue\r\nContent-Length: "+length)
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		wantProblem(t, resp, err, status, id)
	}
	refused(eve, "1000", 403, "api.context.permissions.app_error")
	refused(w.Ann, "104857601", 413, "api.file.upload_file.too_large_detailed.app_error")
	w.SetLink(edge.Link{})
	refused(w.Ann, "1000", 503, "api.nearside.unavailable.app_error")
	w.SetLink(edge.Link{Connected: true})
	conn := dial(w.Ann, t, path, "Expect: 100-continue\r\nContent-Length: 4")
	in := bufio.NewReader(conn)
	if resp, err := http.ReadResponse(in, nil); err != nil || resp.StatusCode != 100 {
		t.Fatalf("%v %v", resp, err)
	}
	fmt.Fprint(conn, "ahoy")
	if resp, err := http.ReadResponse(in, nil); err != nil || resp.StatusCode != 201 {
		t.Errorf("%v %v", resp, err)
	}
}

func TestUpload_SlowLoris(t *testing.T) {
	// A client that sends too slowly is disconnected and occupies nothing; one that is slow but
	// makes progress is not.
	w := newUploadWorld(t, nil)
	service(w.Site).SetPace(300*time.Millisecond, 1000)
	path := "/files?filename=a&channel_id=" + w.Channel.String()
	conn := dial(w.Ann, t, path, "Content-Length: 100000")
	fmt.Fprint(conn, "a few bytes, and then nothing")
	in := bufio.NewReader(conn)
	resp, err := http.ReadResponse(in, nil)
	wantProblem(t, resp, err, 408, "api.nearside.upload_slow.app_error")
	if _, err := in.ReadByte(); err == nil {
		t.Error("the connection lives on")
	}
	eventually.True(t, "no spool file is left", func() bool { return spools(t, w.spool) == 0 })
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	conn = dial(w.Ann, t, path, "Content-Length: 10000")
	for range 10 { // one second together: longer than any window
		<-tick.C
		fmt.Fprint(conn, strings.Repeat("x", 1000))
	}
	if resp, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil || resp.StatusCode != 201 {
		t.Errorf("%v %v", resp, err)
	}
}

func TestUpload_LongWorkAfterTheBody(t *testing.T) {
	// The work after the body has arrived may take longer than any limit for the body, and the
	// connection serves the next request.
	slow := &slowBlobs{wait: 1500 * time.Millisecond}
	w := newUploadWorld(t, func(cfg *areas.Config) { slow.Blobs = cfg.Files.Blobs; cfg.Files.Blobs = slow })
	service(w.Site).SetPace(300*time.Millisecond, 1000)
	srv := w.API.Server()
	srv.ReadTimeout, srv.WriteTimeout = time.Second, time.Second
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = srv.Serve(l) }()
	t.Cleanup(func() { _ = srv.Close() })
	ann := *w.Ann
	ann.URL = "http://" + l.Addr().String()
	for range 2 {
		ann.Must(201, "POST", "/files?filename=a&channel_id="+w.Channel.String(), "ahoy", nil)
		ann.Must(201, "POST", "/files", field("channel_id", w.Channel.String())+apitest.FormWith("files", "a", []byte("ahoy")), nil)
	}
}

// slowBlobs waits in Put.
type slowBlobs struct {
	edge.Blobs
	wait time.Duration
}

func (s *slowBlobs) Put(ctx context.Context, d cdn.Digest, size int64, r io.Reader) error {
	select {
	case <-time.After(s.wait):
		return s.Blobs.Put(ctx, d, size, r)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func TestUpload_GivenUp(t *testing.T) {
	// A client that disconnects in the middle leaves nothing.
	w := newUploadWorld(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, more := io.Pipe()
	done := make(chan error, 1)
	go func() {
		resp, err := send(w.Ann, ctx, "/files?filename=a&channel_id="+w.Channel.String(), r, -1, nil)
		if err == nil {
			resp.Body.Close()
		}
		done <- err
	}()
	if _, err := more.Write(bytes.Repeat([]byte("x"), 1<<20)); err != nil {
		t.Fatal(err)
	}
	eventually.True(t, "the upload is under way", func() bool { return spools(t, w.spool) == 1 })
	cancel()
	_ = more.CloseWithError(errors.New("gone"))
	if err := <-done; err == nil {
		t.Error("an answer to an upload that was given up")
	}
	eventually.True(t, "no spool file is left", func() bool { return spools(t, w.spool) == 0 })
	if n := stored(w.Home); n != 0 {
		t.Errorf("%d blobs are kept", n)
	}
}

// brokenBlobs refuses every Put while it is down.
type brokenBlobs struct {
	edge.Blobs
	down atomic.Bool
}

func (b *brokenBlobs) Put(ctx context.Context, d cdn.Digest, size int64, r io.Reader) error {
	if b.down.Load() {
		return core.E(core.KindUnavailable, "the bucket is away")
	}
	return b.Blobs.Put(ctx, d, size, r)
}

func TestUpload_OriginDown(t *testing.T) {
	// While the origin is away, uploads answer 503 with Retry-After, and leave nothing.
	origin := &brokenBlobs{}
	w := newUploadWorld(t, func(cfg *areas.Config) { origin.Blobs = cfg.Files.Blobs; cfg.Files.Blobs = origin })
	origin.down.Store(true)
	path := "/files?filename=a.png&channel_id=" + w.Channel.String()
	before := w.Position()
	resp := w.Ann.Must(503, "POST", path, string(apitest.PNG(40, 40)), nil)
	if resp.Header.Get("Retry-After") == "" || w.Position().Index != before.Index || stored(w.Home) != 0 || spools(t, w.spool) != 0 {
		t.Errorf("%v; %v, then %v; %d blobs, %d spool files", resp.Header, before, w.Position(), stored(w.Home), spools(t, w.spool))
	}
	if raw, _ := io.ReadAll(resp.Body); strings.Contains(string(raw), "bucket") {
		t.Errorf("the answer tells of the inside: %s", raw)
	}
	origin.down.Store(false)
	w.Ann.Must(201, "POST", path, string(apitest.PNG(40, 40)), nil)
}

func TestUpload_DiskFull(t *testing.T) {
	// If the edge's disk is full, or becomes full in the middle, uploads answer 503.
	w := newUploadWorld(t, nil)
	path := "/files?filename=a&channel_id=" + w.Channel.String()
	service(w.Site).SetFree(func(string) (int64, error) { return 256<<20 + 1000, nil })
	w.Ann.Fails(503, "api.nearside.disk_full.app_error", "POST", path, strings.Repeat("x", 1001))
	w.Ann.Must(201, "POST", path, strings.Repeat("x", 1000), nil)
	var asked atomic.Int64
	service(w.Site).SetFree(func(string) (int64, error) { return 272<<20 - asked.Add(1)<<23, nil })
	resp, err := send(w.Ann, t.Context(), path, io.LimitReader(zeros{}, 64<<20), -1, nil)
	wantProblem(t, resp, err, 503, "api.nearside.disk_full.app_error")
	eventually.True(t, "no spool file is left", func() bool { return spools(t, w.spool) == 0 })
}

// zeros is a reader without an end.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// scanner finds "plague", and can be switched off.
type scanner struct{ away, full atomic.Bool }

func (s *scanner) Scan(_ context.Context, r io.Reader) (scan.Verdict, error) {
	raw, err := io.ReadAll(r)
	switch {
	case err != nil:
		return scan.Verdict{}, err
	case s.away.Load():
		return scan.Verdict{}, core.E(core.KindUnavailable, "clamd is away")
	case s.full.Load():
		return scan.Verdict{}, core.E(core.KindTooLarge, "too much for clamd")
	}
	return scan.Verdict{Infected: bytes.Contains(raw, []byte("plague")), Signature: "Plague.Black"}, nil
}

func TestUpload_Scanner(t *testing.T) {
	// A file that the scanner rejects, or cannot judge, is not stored.
	s := new(scanner)
	w := newUploadWorld(t, func(cfg *areas.Config) { cfg.Files.Scanner = s })
	path := "/files?filename=a&channel_id=" + w.Channel.String()
	w.Ann.Must(201, "POST", path, "healthy", nil)
	w.Ann.Fails(400, "api.nearside.infected.app_error", "POST", path, "the plague")
	form := field("channel_id", w.Channel.String()) + filePart("a", []byte("fine")) + apitest.FormWith("files", "b", []byte("plague"))
	at := w.Position().Index
	w.Ann.Fails(400, "api.nearside.infected.app_error", "POST", "/files", form)
	s.full.Store(true)
	w.Ann.Fails(413, "api.nearside.scan_too_large.app_error", "POST", path, "healthy")
	s.full.Store(false)
	s.away.Store(true)
	w.Ann.Fails(503, "api.nearside.scan_unavailable.app_error", "POST", path, "healthy")
	if w.Position().Index != at {
		t.Error("a file was made known")
	}
}

func TestUpload_AtOnce(t *testing.T) {
	// One user cannot occupy all places for uploads: requests over the limit get 429 and
	// Retry-After.
	w := newUploadWorld(t, nil)
	path := "/files?filename=a&channel_id=" + w.Channel.String()
	bob := w.SignUp(t, "bob")
	bob.JoinTeam(w.TeamOf(w.Channel))
	bob.Join(w.Channel)
	var conns []net.Conn
	for range 16 {
		conns = append(conns, dial(w.Ann, t, path, "Content-Length: 4"))
	}
	eventually.True(t, "all are under way", func() bool { return spools(t, w.spool) == len(conns) })
	w.Ann.Fails(429, "api.nearside.uploads_of_user.app_error", "POST", path, "ahoy")
	bob.Must(201, "POST", path, "ahoy", nil)
	for _, c := range conns {
		fmt.Fprint(c, "ahoy")
		if resp, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil || resp.StatusCode != 201 {
			t.Errorf("%v %v", resp, err)
		}
	}
	w.Ann.Must(201, "POST", path, "ahoy", nil)
}

func TestUpload_FlatMemory(t *testing.T) {
	// A large upload needs as much memory as a small one, in a form or as the body.
	w := newUploadWorld(t, func(cfg *areas.Config) { cfg.Files.MaxBytes = 1 << 30 })
	const size = 300 << 20
	for name, send := range map[string]func() (*http.Response, error){
		"body": func() (*http.Response, error) {
			return send(w.Ann, t.Context(), "/files?filename=a.bin&channel_id="+w.Channel.String(), io.LimitReader(zeros{}, size), size, nil)
		},
		"form": func() (*http.Response, error) {
			head := field("channel_id", w.Channel.String()) + strings.TrimSuffix(filePart("a.bin", nil), "\r\n")
			body := io.MultiReader(strings.NewReader(head), io.LimitReader(zeros{}, size), strings.NewReader("\r\n--edge--\r\n"))
			return send(w.Ann, t.Context(), "/files", body, -1, map[string]string{"Content-Type": "multipart/form-data; boundary=edge"})
		},
	} {
		t.Run(name, func(t *testing.T) {
			idle := heap()
			peak, stop := watchHeap(t)
			resp, err := send()
			if err != nil || resp.StatusCode != 201 {
				t.Fatalf("%v %v", resp, err)
			}
			stop()
			if used := int64(peak.Load()) - int64(idle); used > 64<<20 {
				t.Errorf("%d MB above idle", used>>20)
			}
		})
	}
}

func heap() uint64 {
	s := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}

// watchHeap records the maximum size of the heap until it is stopped.
func watchHeap(t *testing.T) (*atomic.Uint64, func()) {
	peak, ctx := new(atomic.Uint64), t.Context()
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for ctx.Err() == nil {
			peak.Store(max(peak.Load(), heap()))
			select {
			case <-tick.C:
			case <-ctx.Done():
			}
		}
	}()
	return peak, func() { cancel(); <-done }
}

func TestUpload_NotConfigured(t *testing.T) {
	// Without a store, every operation on uploads answers 501.
	_, s := apitest.NewHomeWith(t, func(cfg *areas.Config) { cfg.Files.Blobs = nil })
	ann := s.SignUp(t, "ann")
	const id = "api.file.attachments.disabled.app_error"
	up := core.NewID[core.Upload](t0).String()
	ann.Fails(501, id, "POST", "/files", "x")
	ann.Fails(501, id, "POST", "/uploads", "{}")
	ann.Fails(501, id, "GET", "/uploads/"+up, nil)
	ann.Fails(501, id, "POST", "/uploads/"+up, "x")
	ann.Fails(501, id, "GET", "/users/me/uploads", nil)
}

func TestCleanName(t *testing.T) {
	// A name is the last element of any path, without misleading characters, and shortened with
	// its extension kept.
	long := strings.Repeat("ü", 300)
	for said, want := range map[string]string{
		"a.txt": "a.txt", "../../etc/passwd": "passwd", `C:\Users\ann\a.txt`: "a.txt", `..\..\a`: "a", "dir/": "", "": "", ".": "", "..": "", "/..": "",
		"a\x00.txt": "", " a ": "a", "a\r\nb\x7f": "ab", "a\u202egpj.exe": "agpj.exe", "\xffa": "\ufffda", "\u2028": "", "日本.pdf": "日本.pdf", ".profile": ".profile",
		long: long[:2*core.MaxFileName], long + ".jpeg": long[:2*(core.MaxFileName-5)] + ".jpeg", "a." + long: "a." + long[:2*(core.MaxFileName-2)],
		"...": "...", `a"b;c=d`: `a"b;c=d`,
	} {
		got, err := files.CleanName(said)
		if got != want || (err != nil) != (want == "") {
			t.Errorf("%.40q is %.40q %v, not %.40q", said, got, err, want)
		}
	}
}

func TestTypeOf(t *testing.T) {
	// The type is determined by the extension, or else by the beginning; it never has parameters.
	for _, c := range [][3]string{
		{"a.HTML", "", "text/html"}, {"a.jpg", "<html>", "image/jpeg"}, {"a", "<html>", "text/html"}, {"a", "\x89PNG\r\n\x1a\n", "image/png"},
		{"a.unknown", "words", "text/plain"}, {"a", "\x00\x01", "application/octet-stream"}, {"a", "", "text/plain"}, {"a.tar.gz", "", "application/gzip"},
	} {
		if got := files.TypeOf(c[0], []byte(c[1])); got != c[2] {
			t.Errorf("%s %q is %s, not %s", c[0], c[1], got, c[2])
		}
	}
}

func FuzzMultipart(f *testing.F) {
	// Any form is read like in the standard library, or refused as invalid, in whatever pieces it
	// arrives; a form that is cut off is never accepted.
	good := field("channel_id", "x") + filePart("a.txt", []byte("hello\r\n--edg\r\n")) + apitest.FormWith("files", "", nil)
	for _, s := range []string{good, good + "epilogue", "preamble\r\n" + good, "", "--edge--", "--edge\r\n\r\n--edge--", strings.ReplaceAll(good, "\r\n", "\n"),
		good[:60], field("x", strings.Repeat("y", 5000)), filePart(`"\`, []byte("x"))} {
		f.Add([]byte(s), uint16(20))
	}
	f.Fuzz(func(t *testing.T, body []byte, cut uint16) {
		got, err := files.ReadForm(bytes.NewReader(body), "edge")
		again, err2 := files.ReadForm(iotest.OneByteReader(bytes.NewReader(body)), "edge")
		if fmt.Sprint(got) != fmt.Sprint(again) || (err == nil) != (err2 == nil) {
			t.Fatalf("%q: %v %v; byte by byte: %v %v", body, got, err, again, err2)
		}
		if err != nil {
			if core.KindOf(err) != core.KindInvalid {
				t.Fatalf("%q: %v", body, err)
			}
			return
		}
		wantSameForm(t, body, got)
		if end := bytes.LastIndex(body, []byte("--edge--")); end >= 0 {
			if short, err := files.ReadForm(bytes.NewReader(body[:int(cut)%(end+1)]), "edge"); err == nil && len(short) >= len(got) && len(got) > 0 {
				t.Fatalf("%q is whole when cut at %d", body, int(cut)%(end+1))
			}
		}
	})
}

func TestSpool_ManyAtOnce_LeaveTheDiskItsReserve(t *testing.T) {
	// The maximum number of uploads of an edge, all at once and of unknown length, do not fill a
	// disk that is nearly full: each is refused in time, although none knows of the others.
	left, err := files.SpoolTogether(256, 10<<20)
	if err != nil || left < 100<<20 {
		t.Errorf("%d bytes are left: %v", left, err)
	}
}
