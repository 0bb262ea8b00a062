package files_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"mime"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nearside/nearside/cdn"
	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/edge"
	"github.com/nearside/nearside/edge/api"
	"github.com/nearside/nearside/edge/api/apitest"
	"github.com/nearside/nearside/edge/api/areas"
	"github.com/nearside/nearside/edge/api/files"
)

func TestFiles_TypesAndDispositions(t *testing.T) {
	// Browsers display pictures, films and sounds of known types and nothing else; files that
	// could be executed in a page are served as text and never displayed inline.
	h, s := apitest.NewHome(t)
	w := apitest.NewFileWorld(t, h, s)
	for _, c := range []struct{ kind, served, how string }{
		{"image/jpeg", "image/jpeg", "inline"}, {"image/png", "image/png", "inline"}, {"image/bmp", "image/bmp", "inline"}, {"image/gif", "image/gif", "inline"},
		{"image/tiff", "image/tiff", "inline"}, {"image/webp", "image/webp", "inline"}, {"video/avi", "video/avi", "inline"}, {"video/mpeg", "video/mpeg", "inline"},
		{"video/mp4", "video/mp4", "inline"}, {"audio/mpeg", "audio/mpeg", "inline"}, {"audio/wav", "audio/wav", "inline"}, {"IMAGE/PNG", "image/png", "inline"},
		{"image/svg+xml", "image/svg+xml", "attachment"}, {"application/pdf", "application/pdf", "attachment"}, {"text/plain; charset=utf-8", "text/plain", "attachment"},
		{"text/html; charset=utf-8", "text/plain", "attachment"}, {"Text/HTML", "text/plain", "attachment"}, {"application/xhtml+xml", "application/xhtml+xml", "attachment"},
		{"text/javascript", "text/plain", "attachment"}, {"application/javascript", "text/plain", "attachment"}, {"application/ecmascript", "text/plain", "attachment"},
		{"application/x-javascript", "text/plain", "attachment"}, {"text/jscript", "text/plain", "attachment"}, {"text/javascript1.5", "text/plain", "attachment"},
		{"", "application/octet-stream", "attachment"}, {"nonsense", "application/octet-stream", "attachment"}, {"image/png, text/html", "application/octet-stream", "attachment"},
		{"image/png\r\nX-Evil: 1", "application/octet-stream", "attachment"}, {"text/html;", "text/plain", "attachment"},
	} {
		f := w.Ann.AddFile(w.Channel, "x.bin", c.kind, []byte("<script>alert(1)</script>"), nil)
		for query, how := range map[string]string{"": c.how, "?download=1": "attachment"} {
			resp, body := w.Ann.Fetch("GET", "/files/"+f.ID.String()+query)
			if resp.StatusCode != 200 || string(body) != "<script>alert(1)</script>" {
				t.Fatalf("%q: %d %q", c.kind, resp.StatusCode, body)
			}
			for name, want := range map[string]string{
				"Content-Type": c.served, "Content-Disposition": how + `; filename="x.bin"`, "Cache-Control": "private, max-age=86400", "X-Frame-Options": "DENY",
				"Content-Security-Policy": "Frame-ancestors 'none'", "X-Content-Type-Options": "nosniff", "Content-Encoding": "", "X-Evil": "",
				"Etag": fmt.Sprintf(`"%x"`, sha256.Sum256(body)), "Accept-Ranges": "bytes", "Content-Length": "25",
			} {
				if got := resp.Header.Get(name); got != want {
					t.Errorf("%q%s: %s is %q, not %q", c.kind, query, name, got, want)
				}
			}
		}
	}
}

func TestFiles_HostileNames(t *testing.T) {
	// No file name can break out of the header, and each arrives complete. Apply refuses names with
	// control characters and those that turn text, whatever edge they come from.
	h, s := apitest.NewHome(t)
	w := apitest.NewFileWorld(t, h, s)
	for _, name := range []string{
		"plain.txt", `say "hello".txt`, `back;filename="evil.html`, "naïve – 日本.png", "100%.txt", "%22.txt", "עברית\u200f.txt",
		"quote'.txt", "semi;colon=1", " leading", "+ & =.txt", "😀.gif", strings.Repeat("長", 256),
	} {
		f := w.Ann.AddFile(w.Channel, name, "text/plain", []byte("x"), nil)
		resp, _ := w.Ann.Fetch("GET", "/files/"+f.ID.String())
		got := resp.Header.Get("Content-Disposition")
		how, params, err := mime.ParseMediaType(got)
		if err != nil || how != "attachment" || resp.Header.Get("Set-Cookie") != "" && strings.Contains(resp.Header.Get("Set-Cookie"), "stolen") {
			t.Errorf("%q: %q: %v", name, got, err)
		}
		for _, r := range got {
			if r < ' ' || r > '~' {
				t.Fatalf("%q: the header holds %q", name, r)
			}
		}
		_, encoded, extended := strings.Cut(got, "; filename*=UTF-8''")
		decoded, err := url.PathUnescape(encoded)
		switch {
		case extended && (err != nil || decoded != name):
			t.Errorf("%q came back as %q, %v", name, decoded, err)
		case !extended && params["filename"] != name:
			t.Errorf("%q came back as %q", name, params["filename"])
		}
	}
}

// counting counts the requests to a store.
type counting struct {
	edge.Blobs
	reads atomic.Int64
}

func (c *counting) Get(ctx context.Context, d cdn.Digest, r cdn.Range) (cdn.Blob, error) {
	c.reads.Add(1)
	return c.Blobs.Get(ctx, d, r)
}

func (c *counting) Stat(ctx context.Context, d cdn.Digest) (int64, error) {
	c.reads.Add(1)
	return c.Blobs.Stat(ctx, d)
}

func TestFiles_WhoMayRead(t *testing.T) {
	// Only users who may read a file's channel get anything of it, and before it is posted only
	// its owner; nobody gets a deleted file. A refused request does not reach the store.
	blobs := &counting{}
	h, s := apitest.NewHomeWith(t, func(cfg *areas.Config) {
		blobs.Blobs = cfg.Files.Blobs
		cfg.Files.Blobs = blobs
	})
	w := apitest.NewFileWorld(t, h, s)
	mate := s.SignUp(t, "mate")
	mate.JoinTeam(w.Team.ID)
	w.Ann.Must(201, "POST", "/channels/"+w.Channel.String()+"/members", map[string]string{"user_id": mate.Me.ID.String()}, nil)
	posted := w.Ann.AddPicture(w.Channel, "posted.png")
	post := w.Ann.Attach(w.Channel, posted)
	left := mate.AddPicture(w.Channel, "left.png")
	mate.Attach(w.Channel, left)
	loose := mate.AddPicture(w.Channel, "loose.png")
	deleted := w.Ann.AddPicture(w.Channel, "deleted.png")
	gone := w.Ann.Attach(w.Channel, deleted)
	w.Ann.Must(200, "DELETE", "/posts/"+gone.ID.String(), nil, nil)
	w.Ann.Must(200, "DELETE", "/channels/"+w.Channel.String()+"/members/"+mate.Me.ID.String(), nil, nil)
	nobody := &apitest.Client{T: t, Site: s, URL: s.URL}
	for _, c := range []struct {
		who    *apitest.Client
		name   string
		file   core.File
		status int
	}{
		{w.Ann, "ann, a member", posted, 200}, {w.Admin, "an administrator", posted, 200}, {w.Bob, "bob of the team", posted, 403}, {w.Eve, "eve", posted, 403},
		{mate, "who left, of another's", posted, 403}, {mate, "who left, of their own", left, 403}, {mate, "who left, of what they have not posted", loose, 200},
		{w.Ann, "ann", deleted, 404}, {w.Admin, "an administrator", deleted, 404}, {w.Bob, "bob", loose, 404},
		{w.Ann, "ann, of what another member has not posted", loose, 404}, {w.Admin, "an administrator, of that", loose, 404},
		{nobody, "nobody", posted, 401}, {w.Ann, "ann", core.File{ID: core.NewID[core.File](t0)}, 404},
	} {
		for _, op := range []string{"", "/thumbnail", "/preview", "/info", "/link"} {
			for _, method := range []string{"GET", "HEAD"} {
				before := blobs.reads.Load()
				want := c.status
				if op == "/link" && c.file.ID == loose.ID && c.who == mate {
					want = 403 // links are for those who may read the channel
				}
				resp, body := c.who.Fetch(method, "/files/"+c.file.ID.String()+op)
				if resp.StatusCode != want {
					t.Errorf("%s %s%s for %s: %d, not %d: %.200s", method, c.file.Name, op, c.name, resp.StatusCode, want, body)
				}
				if want != 200 && blobs.reads.Load() != before {
					t.Errorf("%s %s%s: refusing %s asked the store", method, c.file.Name, op, c.name)
				}
			}
		}
	}
	for who, want := range map[*apitest.Client]int{w.Ann: 200, w.Bob: 403, w.Eve: 403, nobody: 401} {
		if resp, _ := who.Fetch("GET", "/posts/"+post.ID.String()+"/files/info"); resp.StatusCode != want {
			t.Errorf("files of a post: %d, not %d", resp.StatusCode, want)
		}
	}
	w.Ann.Fails(403, "api.context.permissions.app_error", "GET", "/posts/"+post.ID.String()+"/files/info?include_deleted=true", nil)
}

func TestFiles_ChangesShowAtOnce(t *testing.T) {
	// A change to a file's post, or to the caller's memberships, applies to the next request,
	// even if the file was requested many times before.
	h, s := apitest.NewHome(t)
	w := apitest.NewFileWorld(t, h, s)
	f := w.Ann.AddPicture(w.Channel, "sail.png")
	other := w.Ann.AddPicture(w.Channel, "rope.png")
	var info core.File
	status := func(c *apitest.Client, f core.File) int {
		resp, body := c.Fetch("GET", "/files/"+f.ID.String()+"/info")
		if resp.StatusCode == 200 {
			if err := json.Unmarshal(body, &info); err != nil {
				t.Fatal(err)
			}
		}
		return resp.StatusCode
	}
	if got := status(w.Ann, f); got != 200 || !info.PostID.IsZero() {
		t.Errorf("before it is posted: %d %+v", got, info)
	}
	p := w.Ann.Attach(w.Channel, f, other)
	for range 3 {
		if got := status(w.Ann, f); got != 200 || info.PostID != p.ID {
			t.Errorf("posted: %d %+v", got, info)
		}
	}
	if got := status(w.Bob, f); got != 403 {
		t.Errorf("for who is not in the channel: %d", got)
	}
	w.Ann.Must(201, "POST", "/channels/"+w.Channel.String()+"/members", map[string]string{"user_id": w.Bob.Me.ID.String()}, nil)
	if got := status(w.Bob, f); got != 200 {
		t.Errorf("for who has joined: %d", got)
	}
	w.Ann.Must(200, "DELETE", "/channels/"+w.Channel.String()+"/members/"+w.Bob.Me.ID.String(), nil, nil)
	if got := status(w.Bob, f); got != 403 {
		t.Errorf("for who has left: %d", got)
	}
	status(w.Ann, other)
	w.Ann.Must(200, "PUT", "/posts/"+p.ID.String()+"/patch", map[string]any{"file_ids": []string{f.ID.String()}}, nil)
	if a, b := status(w.Ann, f), status(w.Ann, other); a != 200 || b != 404 {
		t.Errorf("after one was taken out of the post: %d and %d", a, b)
	}
	w.Ann.Must(200, "DELETE", "/posts/"+p.ID.String(), nil, nil)
	if got := status(w.Ann, f); got != 404 {
		t.Errorf("after its post was deleted: %d", got)
	}
}

func TestFiles_HeadIsGetWithoutBody(t *testing.T) {
	// HEAD is answered like GET, for whole files, ranges and conditions, but without the bytes.
	h, s := apitest.NewHome(t)
	w := apitest.NewFileWorld(t, h, s)
	f := w.Ann.AddPicture(w.Channel, "sail.png")
	for _, op := range []string{"", "/thumbnail", "/preview", "?download=1"} {
		for _, headers := range [][]string{nil, {"Range", "bytes=5-20"}, {"Range", "bytes=99999999-"}, {"If-None-Match", "*"}, {"Range", "bytes=1-2,4-5"}} {
			got, body := w.Ann.Fetch("GET", "/files/"+f.ID.String()+op, headers...)
			head, none := w.Ann.Fetch("HEAD", "/files/"+f.ID.String()+op, headers...)
			if head.StatusCode != got.StatusCode || len(none) > 0 || got.StatusCode != 304 && head.ContentLength != got.ContentLength || got.StatusCode < 300 && got.ContentLength != int64(len(body)) {
				t.Errorf("%s %v: %d with %d bytes, and HEAD %d with %d", op, headers, got.StatusCode, got.ContentLength, head.StatusCode, head.ContentLength)
			}
			for name := range got.Header {
				if name == "X-Request-Id" || name == "Date" || strings.HasPrefix(got.Header.Get(name), "multipart/") {
					continue
				}
				if head.Header.Get(name) != got.Header.Get(name) {
					t.Errorf("%s %v: %s is %q, and for HEAD %q", op, headers, name, got.Header.Get(name), head.Header.Get(name))
				}
			}
		}
	}
	thumb, _ := w.Ann.Fetch("HEAD", "/files/"+f.ID.String()+"/thumbnail")
	preview, _ := w.Ann.Fetch("HEAD", "/files/"+f.ID.String()+"/preview")
	if thumb.Header.Get("Content-Type") != "image/png" || preview.Header.Get("Content-Type") != "image/jpeg" {
		t.Errorf("the thumbnail is %q, the preview %q", thumb.Header.Get("Content-Type"), preview.Header.Get("Content-Type"))
	}
	plain := w.Ann.AddFile(w.Channel, "x.txt", "text/plain", []byte("x"), nil)
	w.Ann.Fails(400, "api.file.get_file_thumbnail.no_thumbnail.app_error", "GET", "/files/"+plain.ID.String()+"/thumbnail", nil)
	w.Ann.Fails(400, "api.file.get_file_preview.no_preview.app_error", "GET", "/files/"+plain.ID.String()+"/preview", nil)
}

// logged collects log lines.
type logged struct {
	mu sync.Mutex
	bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.Buffer.Write(p)
}

func (l *logged) count(what string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.String(), what)
}

func TestFiles_DamagedAtTheStore(t *testing.T) {
	// Missing bytes give 503, damaged ones 500 or a broken connection, never 404 or wrong bytes;
	// the log reports it once, with the file.
	var log logged
	h, s := apitest.NewHomeWith(t, func(cfg *areas.Config) { cfg.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	w := apitest.NewFileWorld(t, h, s)
	missing := w.Ann.AddFile(w.Channel, "missing", "image/png", apitest.Noise(1000), nil)
	if err := h.Blobs.Delete(t.Context(), cdn.Digest(w.File(missing.ID).Content.ID)); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		w.Ann.Fails(503, "api.file.read_file.missing.app_error", "GET", "/files/"+missing.ID.String(), nil)
	}
	if n := log.count("of=\"file " + missing.ID.String()); n != 1 {
		t.Errorf("the log says %d times that the file is missing", n)
	}
	small := w.Ann.AddFile(w.Channel, "small", "image/png", apitest.Noise(2000), nil)
	flip(t, h, w.File(small.ID).Content.ID)
	w.Ann.Fails(500, "api.file.read_file.damaged.app_error", "GET", "/files/"+small.ID.String(), nil)
	content := apitest.Noise(3 << 20)
	large := w.Ann.AddFile(w.Channel, "large", "image/png", content, nil)
	flip(t, h, w.File(large.ID).Content.ID)
	resp, body, err := w.Ann.TryFetch("GET", "/files/"+large.ID.String())
	if err == nil || resp.StatusCode != 200 || len(body) >= len(content) {
		t.Errorf("a damaged large file gave %d bytes and %v", len(body), err)
	}
	if n := log.count("of=\"file " + large.ID.String()); n != 1 {
		t.Errorf("the log says %d times that the file is damaged", n)
	}
}

// flip flips the last bit of a stored blob.
func flip(t *testing.T, h *apitest.Home, id core.BlobID) {
	t.Helper()
	name := filepath.Join(h.Dir, id.String()[:2], id.String()[2:4], id.String())
	b, err := os.ReadFile(name)
	if err == nil {
		b[len(b)-1] ^= 1
		err = os.WriteFile(name, b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// signer signs nothing, but records what was requested.
type signer struct{ err error }

func (s *signer) SignedURL(_ context.Context, d cdn.Digest, kind, disposition string, valid time.Duration) (string, error) {
	return "https://bucket.example/" + d.String() + "?" + url.Values{"type": {kind}, "disposition": {disposition}, "valid": {valid.String()}}.Encode(), s.err
}

func TestFiles_Redirect(t *testing.T) {
	// If the object store signs URLs, readers are redirected there: only users who may read the
	// file, for a minute, and no cache stores the redirect. HEAD and public links are answered
	// here.
	sign := &signer{}
	h, s := apitest.NewHomeWith(t, func(cfg *areas.Config) { cfg.Files.Signer = sign })
	w := apitest.NewFileWorld(t, h, s)
	f := w.Ann.AddPicture(w.Channel, "sail.png")
	w.Ann.Attach(w.Channel, f)
	f = w.File(f.ID)
	for op, want := range map[string]struct {
		blob core.BlobRef
		kind string
	}{"": {f.Content, "image/png"}, "/thumbnail": {f.Thumbnail, "image/png"}, "/preview": {f.Preview, "image/jpeg"}} {
		stored := want.blob.ID.String()
		resp, body := w.Ann.Fetch("GET", "/files/"+f.ID.String()+op)
		to, err := url.Parse(resp.Header.Get("Location"))
		if err != nil || resp.StatusCode != 302 || len(body) > 0 || resp.Header.Get("Cache-Control") != "no-store" {
			t.Fatalf("%s: %d, %v, %v", op, resp.StatusCode, resp.Header, err)
		}
		if q := to.Query(); to.Path != "/"+stored || q.Get("type") != want.kind || q.Get("disposition") != `inline; filename="sail.png"` || q.Get("valid") != "1m0s" {
			t.Errorf("%s is sent to %v", op, to)
		}
		if resp, _ := w.Ann.Fetch("HEAD", "/files/"+f.ID.String()+op); resp.StatusCode != 200 || resp.Header.Get("Etag") != `"`+stored+`"` {
			t.Errorf("HEAD %s: %d %v", op, resp.StatusCode, resp.Header)
		}
		if resp, _ := w.Bob.Fetch("GET", "/files/"+f.ID.String()+op); resp.StatusCode != 403 {
			t.Errorf("%s for bob: %d", op, resp.StatusCode)
		}
	}
	if resp, _ := w.Eve.Fetch("GET", "/files/"+f.ID.String()+"/public?h="+w.Ann.LinkToken(f.ID.String())); resp.StatusCode != 200 {
		t.Errorf("a public link: %d", resp.StatusCode)
	}
	sign.err = core.E(core.KindUnavailable, "no keys")
	w.Ann.Fails(503, "api.file.read_file.unavailable.app_error", "GET", "/files/"+f.ID.String(), nil)
	sign.err = errors.New("secret words")
	w.Ann.Fails(500, "api.nearside.internal.app_error", "GET", "/files/"+f.ID.String(), nil)
}

func TestFiles_NowhereToKeepThem(t *testing.T) {
	// Without a store, every operation on files answers 501, and the client's settings say so.
	_, s := apitest.NewHomeWith(t, func(cfg *areas.Config) { cfg.Files = files.Config{} })
	ann := s.SignUp(t, "ann")
	id := core.NewID[core.File](t0).String()
	for _, path := range []string{"/files/" + id, "/files/" + id + "/thumbnail", "/files/" + id + "/preview", "/files/" + id + "/info", "/files/" + id + "/link", "/files/" + id + "/public?h=x"} {
		ann.Fails(501, "api.file.attachments.disabled.app_error", "GET", path, nil)
	}
	ann.Fails(501, "api.file.attachments.disabled.app_error", "POST", "/files/search", `{"terms":"x"}`)
	ann.Fails(501, "api.user.upload_profile_user.storage.app_error", "POST", "/users/me/image", apitest.PictureForm)
	if resp, _ := ann.Fetch("GET", "/users/me/image"); resp.StatusCode != 200 {
		t.Errorf("initials: %d", resp.StatusCode)
	}
	var settings map[string]string
	ann.Must(200, "GET", "/config/client?format=old", nil, &settings)
	if settings["EnableFileAttachments"] != "false" || settings["EnablePublicLink"] != "false" {
		t.Errorf("clients are told %v", settings)
	}
}

func TestFiles_Settings(t *testing.T) {
	// The client's settings say what is possible with files, and how large they may be.
	_, s := apitest.NewHomeWith(t, func(cfg *areas.Config) { cfg.Files.MaxBytes = 7 << 20 })
	ann := s.SignUp(t, "ann")
	var settings map[string]string
	ann.Must(200, "GET", "/config/client?format=old", nil, &settings)
	for name, want := range map[string]string{
		"EnableFileAttachments": "true", "EnableMobileFileUpload": "true", "EnableMobileFileDownload": "true", "MaxFileSize": "7340032", "EnablePublicLink": "true",
	} {
		if settings[name] != want {
			t.Errorf("%s is %q", name, settings[name])
		}
	}
}

func TestFiles_CountedAndInfo(t *testing.T) {
	// A channel's files are counted, and a post's files are listed in its order, both without
	// deleted ones; the storage in use is given roughly.
	h, s := apitest.NewHome(t)
	w := apitest.NewFileWorld(t, h, s)
	one := w.Ann.AddFile(w.Channel, "one.txt", "text/plain", apitest.Noise(4321), nil)
	two := w.Ann.AddPicture(w.Channel, "two.png")
	w.Ann.AddFile(w.Channel, "loose.txt", "text/plain", []byte("x"), nil)
	p := w.Ann.Attach(w.Channel, two, one)
	var stats map[string]any
	w.Ann.Must(200, "GET", "/channels/"+w.Channel.String()+"/stats", nil, &stats)
	if stats["files_count"] != 2.0 {
		t.Errorf("the channel has %v files", stats["files_count"])
	}
	w.Ann.Must(200, "GET", "/channels/"+w.Channel.String()+"/stats?exclude_files_count=true", nil, &stats)
	if stats["files_count"] != -1.0 {
		t.Errorf("uncounted files are %v", stats["files_count"])
	}
	var files []core.File
	w.Ann.Must(200, "GET", "/posts/"+p.ID.String()+"/files/info", nil, &files)
	if len(files) != 2 || files[0].ID != two.ID || files[1].ID != one.ID || files[0].PostID != p.ID || files[0].Width != 300 || !files[0].HasPreview {
		t.Errorf("the post's files are %+v", files)
	}
	var info core.File
	w.Ann.Must(200, "GET", "/files/"+one.ID.String()+"/info", nil, &info)
	if info.Name != "one.txt" || info.Size != 4321 || info.PostID != p.ID || info.ChannelID != w.Channel {
		t.Errorf("the file is %+v", info)
	}
	resp := w.Ann.Must(200, "GET", "/posts/"+w.Ann.Post(w.Channel, "no files").ID.String()+"/files/info", nil, &files)
	if len(files) != 0 || resp.ContentLength != 2 {
		t.Errorf("no files are %+v", files)
	}
	var usage struct{ Bytes int64 }
	w.Ann.Must(200, "GET", "/usage/storage", nil, &usage)
	if first := usage.Bytes; first <= 0 || strings.Trim(fmt.Sprint(first)[1:], "0") != "" {
		t.Errorf("storage in use is %d", first)
	}
	w.Ann.Must(200, "DELETE", "/posts/"+p.ID.String(), nil, nil)
	w.Ann.Must(200, "GET", "/channels/"+w.Channel.String()+"/stats", nil, &stats)
	if stats["files_count"] != 0.0 {
		t.Errorf("after deletion the channel has %v files", stats["files_count"])
	}
}

func TestLinks(t *testing.T) {
	// A public link opens one file for everybody until all links are expired; a new one works
	// then. Repeating the request gives the same link. The log contains no token.
	h, s := apitest.NewHome(t)
	w := apitest.NewFileWorld(t, h, s)
	f := w.Ann.AddFile(w.Channel, "map.png", "image/png", []byte("treasure"), nil)
	other := w.Ann.AddFile(w.Channel, "other.png", "image/png", []byte("nothing"), nil)
	w.Ann.Attach(w.Channel, f, other)
	id := f.ID.String()
	token := w.Ann.LinkToken(id)
	index := s.Position().Index
	if again := w.Ann.LinkToken(id); again != token || s.Position().Index != index {
		t.Errorf("asking again gave another link, or changed something")
	}
	nobody := &apitest.Client{T: t, Site: s, URL: s.URL}
	open := func(id, token string) int {
		t.Helper()
		resp, body := nobody.Fetch("GET", "/files/"+id+"/public?h="+token)
		if resp.StatusCode == 200 && (string(body) != "treasure" || resp.Header.Get("Content-Disposition") != `inline; filename="map.png"`) {
			t.Errorf("the link gave %q with %v", body, resp.Header)
		}
		return resp.StatusCode
	}
	if open(id, token) != 200 {
		t.Error("the link does not work")
	}
	if resp, body := nobody.Fetch("HEAD", "/files/"+id+"/public?h="+token); resp.StatusCode != 200 || resp.ContentLength != 8 || len(body) > 0 {
		t.Errorf("HEAD of a link: %d", resp.StatusCode)
	}
	wrong := "api.file.get_file.public_invalid.app_error"
	for _, h := range []string{"", "x", strings.Repeat("0", 64), strings.ToUpper(token), token[1:], token + "0", strings.Repeat("a", 500)} {
		nobody.Fails(400, wrong, "GET", "/files/"+id+"/public?h="+h, nil)
	}
	nobody.Fails(400, wrong, "GET", "/files/"+other.ID.String()+"/public?h="+token, nil)
	nobody.Fails(400, "api.context.invalid_url_param.app_error", "GET", "/files/x/public?h="+token, nil)
	for _, who := range []*apitest.Client{w.Bob, w.Eve} {
		who.Fails(403, "api.context.permissions.app_error", "GET", "/files/"+id+"/link", nil)
		who.Fails(403, "api.context.permissions.app_error", "POST", "/files/links/expire", nil)
	}
	if adminToken := w.Admin.LinkToken(id); adminToken == token {
		t.Error("two people have the same link")
	}
	w.Admin.Must(200, "POST", "/files/links/expire", nil, nil)
	if open(id, token) != 400 {
		t.Error("an old link works")
	}
	fresh := w.Ann.LinkToken(id)
	if fresh == token || open(id, fresh) != 200 || open(id, token) != 400 {
		t.Error("there is no new link, or the old one works again")
	}
	w.Ann.Must(200, "DELETE", "/posts/"+w.File(f.ID).PostID.String(), nil, nil)
	if open(id, fresh) == 200 {
		t.Error("a deleted file can be read")
	}
}

func TestLinks_Off(t *testing.T) {
	// If public links are switched off, none are given out, and existing ones do not work.
	on := true
	h, s := apitest.NewHomeWith(t, func(cfg *areas.Config) { cfg.Files.PublicLinks = on })
	on = false
	off := h.NewSite(nil)
	w := apitest.NewFileWorld(t, h, s)
	f := w.Ann.AddFile(w.Channel, "map.png", "image/png", []byte("treasure"), nil)
	token := w.Ann.LinkToken(f.ID.String())
	disabled := "api.file.get_public_link.disabled.app_error"
	w.Ann.At(off).Fails(501, disabled, "GET", "/files/"+f.ID.String()+"/link", nil)
	w.Ann.At(off).Fails(501, disabled, "GET", "/files/"+f.ID.String()+"/public?h="+token, nil)
}

func TestLinks_SiteURL(t *testing.T) {
	// A link begins with the deployment's address, if it is configured.
	h, s := apitest.NewHomeWith(t, func(cfg *areas.Config) { cfg.SiteURL = "https://chat.example" })
	w := apitest.NewFileWorld(t, h, s)
	f := w.Ann.AddFile(w.Channel, "map.png", "image/png", []byte("treasure"), nil)
	var out struct{ Link string }
	w.Ann.Must(200, "GET", "/files/"+f.ID.String()+"/link", nil, &out)
	if !strings.HasPrefix(out.Link, "https://chat.example/files/"+f.ID.String()+"/public?h=") {
		t.Errorf("the link is %q", out.Link)
	}
}

func TestLinks_AtAnEdgeThatIsBehind(t *testing.T) {
	// An edge that does not know a link yet asks home before it refuses it.
	h, s := apitest.NewHome(t)
	ask := &apitest.Asker{Answer: api.AnswerPosition(s)}
	behind := h.NewSite(ask)
	w := apitest.NewFileWorld(t, h, s)
	f := w.Ann.AddFile(w.Channel, "map.png", "image/png", []byte("treasure"), nil)
	behind.Hold()
	token := w.Ann.LinkToken(f.ID.String())
	ask.Answer = func(ctx context.Context, q []byte) ([]byte, error) {
		behind.Release()
		return api.AnswerPosition(s)(ctx, q)
	}
	nobody := &apitest.Client{T: t, Site: behind, URL: behind.URL}
	if resp, body := nobody.Fetch("GET", "/files/"+f.ID.String()+"/public?h="+token); resp.StatusCode != 200 || string(body) != "treasure" {
		t.Errorf("the link gave %d %q", resp.StatusCode, body)
	}
}
