package files_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/command"
	"github.com/nearside/nearside/core/eventually"
	"github.com/nearside/nearside/core/read"
	"github.com/nearside/nearside/edge/api/apitest"
	"github.com/nearside/nearside/edge/api/areas"
	"github.com/nearside/nearside/edge/api/files"
)

// wantSameForm compares the parts with those of the standard library.
func wantSameForm(t *testing.T, body []byte, got []files.FormPart) {
	t.Helper()
	r := multipart.NewReader(bytes.NewReader(body), "edge")
	for i := 0; ; i++ {
		p, err := r.NextRawPart()
		if err == io.EOF {
			if i != len(got) {
				t.Fatalf("%q has %d parts, not %d", body, i, len(got))
			}
			return
		}
		if err != nil || i >= len(got) {
			t.Fatalf("%q: part %d of %d: %v", body, i, len(got), err)
		}
		raw, err := io.ReadAll(p)
		_, params, err2 := mime.ParseMediaType(p.Header.Get("Content-Disposition"))
		_, file := params["filename"]
		if err != nil || err2 != nil || string(raw) != got[i].Content || params["name"] != got[i].Field || params["filename"] != got[i].Name || file != got[i].File {
			t.Fatalf("%q: part %d is %+v; %v %v", body, i, got[i], err, err2)
		}
	}
}

// fileAt returns a file from the edge's replica, with its blobs.
func fileAt(s *apitest.Site, id core.FileID) (core.File, bool, error) {
	return read.New(s.DB, nil).File(context.Background(), id)
}

// offset requests an upload's offset.
func offset(c *apitest.Client, id core.UploadID) int64 {
	c.T.Helper()
	var up core.Upload
	c.Must(200, "GET", "/uploads/"+id.String(), nil, &up)
	return up.FileOffset
}

// distinct returns bytes in which nearby stretches differ.
func distinct(n int) []byte {
	b := make([]byte, 0, n+32)
	for i := 0; len(b) < n; i++ {
		sum := sha256.Sum256(fmt.Append(nil, i))
		b = append(b, sum[:]...)
	}
	return b[:n]
}

func TestUploadSession_PartByPart(t *testing.T) {
	// An upload may be sent in any number of requests, as the body or in a form; the last one
	// makes the file, and the parts are released.
	w := newUploadWorld(t, nil)
	service(w.Site).SetPartBytes(1000)
	want := distinct(10_000)
	up := w.Ann.Begin(w.Channel.String(), "../log.txt", int64(len(want)))
	if up.Filename != "log.txt" || up.Type != "attachment" || up.UserID != w.Ann.Me.ID || up.FileOffset != 0 || up.CreateAt == 0 {
		t.Errorf("%+v", up)
	}
	path := "/uploads/" + up.ID.String()
	w.Ann.Must(204, "POST", path, string(want[:2500]), nil)
	w.Ann.Must(204, "POST", path, apitest.FormWith("data", "x", want[2500:6000]), nil)
	w.Ann.Must(204, "POST", path, "", nil)
	var list []core.Upload
	w.Ann.Must(200, "GET", "/users/me/uploads", nil, &list)
	if len(list) != 1 || list[0].FileOffset != 6000 || list[0].ID != up.ID {
		t.Errorf("%+v", list)
	}
	var f core.File
	w.Ann.Must(201, "POST", path, string(want[6000:]), &f)
	if f.Name != "log.txt" || f.Size != 10_000 || f.MimeType != "text/plain" || f.UserID != w.Ann.Me.ID || f.ChannelID != w.Channel {
		t.Errorf("%+v", f)
	}
	kept, _, err := fileAt(w.Site, f.ID)
	if err != nil {
		t.Fatal(err)
	}
	wantContent(w.Home, kept.Content, want)
	w.Ann.Must(200, "GET", "/users/me/uploads", nil, &list)
	if len(list) != 0 {
		t.Errorf("%+v", list)
	}
	refs, err := read.New(w.DB, nil).Blobs(t.Context(), core.BlobID{}, 100)
	if err != nil || len(refs) != 1 || refs[0].ID != kept.Content.ID {
		t.Errorf("the log still refers to %v, %v", refs, err)
	}
}

func TestUploads_EmptyFile(t *testing.T) {
	// An empty file is a file, however it is sent: in a form, as the body with or without a length,
	// or as an upload of several requests.
	w := newUploadWorld(t, nil)
	ch := w.Channel.String()
	var files []core.File
	var got uploaded
	w.Ann.Must(201, "POST", "/files", field("channel_id", ch)+filePart("empty.txt", nil)+"--edge--\r\n", &got)
	files = append(files, got.Files...)
	path := "/files?channel_id=" + ch + "&filename=empty.txt"
	w.Ann.Must(201, "POST", path, "", &got)
	files = append(files, got.Files...)
	resp, err := send(w.Ann, t.Context(), path, io.MultiReader(), -1, nil)
	if err != nil || resp.StatusCode != 201 {
		t.Fatalf("without a length: %v %v", resp, err)
	}
	up := w.Ann.Begin(ch, "empty.txt", 0)
	var f core.File
	w.Ann.Must(201, "POST", "/uploads/"+up.ID.String(), "", &f)
	up = w.Ann.Begin(ch, "empty.txt", 0)
	w.Ann.Fails(400, "api.upload.upload_data.invalid_content_length", "POST", "/uploads/"+up.ID.String(), "x")
	for _, f := range append(files, f) {
		kept, _, err := fileAt(w.Site, f.ID)
		if err != nil || f.Size != 0 || f.Name != "empty.txt" || f.MimeType != "text/plain" {
			t.Errorf("%+v, %v", f, err)
		}
		wantContent(w.Home, kept.Content, nil)
	}
}

func TestUploadSession_AnswerWasLost(t *testing.T) {
	// A client that did not get the answer of its finished upload asks again and gets the file;
	// if the edge could not make the file after the last part, the next request makes it.
	w := newUploadWorld(t, nil)
	up := w.Ann.Begin(w.Channel.String(), "a.txt", 4)
	path := "/uploads/" + up.ID.String()
	ref := w.Store([]byte("ahoy"))
	w.Ann.Order(&command.AppendUpload{UploadID: up.ID, Part: ref}) // and the edge failed
	if at := offset(w.Ann, up.ID); at != 4 {
		t.Errorf("at %d", at)
	}
	w.Ann.Fails(400, "api.upload.upload_data.invalid_content_length", "POST", path, "more")
	var first, second core.File
	w.Ann.Must(201, "POST", path, "", &first)
	w.Ann.Must(201, "POST", path, "", &second)
	if first.ID != second.ID || first.Size != 4 {
		t.Errorf("%+v, then %+v", first, second)
	}
	w.Ann.Fails(404, "app.upload.get.app_error", "GET", path, nil)
	w.SignUp(t, "eve").Fails(404, "app.upload.get.app_error", "POST", path, "")
}

func TestUploadSession_Refusals(t *testing.T) {
	// Only the owner of an upload sees and continues it; what cannot become a file is refused at
	// the beginning; and bytes that do not fit change nothing.
	w := newUploadWorld(t, func(cfg *areas.Config) { cfg.Files.MaxBytes = 10_000 })
	service(w.Site).SetPartBytes(1000)
	eve := w.SignUp(t, "eve")
	ch := w.Channel.String()
	for body, want := range map[string]struct {
		status int
		id     string
	}{
		`{"channel_id":"` + ch + `","filename":"a","file_size":10001}`:                     {413, "app.upload.create.upload_too_large.app_error"},
		`{"channel_id":"` + ch + `","filename":"a","file_size":-1}`:                        {400, "model.upload_session.is_valid.file_size.app_error"},
		`{"channel_id":"` + ch + `","filename":"a/","file_size":1}`:                        {400, "model.upload_session.is_valid.filename.app_error"},
		`{"channel_id":"` + ch + `","filename":"a","file_size":1,"type":"import"}`:         {501, "api.nearside.not_built.app_error"},
		`{"channel_id":"` + ch + `","filename":"a","file_size":1,"type":"plugin"}`:         {400, "model.upload_session.is_valid.type.app_error"},
		`{"filename":"a","file_size":1}`:                                                   {400, "api.context.invalid_body_param.app_error"},
		`{"channel_id":"` + strings.Repeat("a", 26) + `","filename":"a","file_size":1}`:    {404, "app.channel.get.existing.app_error"},
		`{"channel_id":"` + ch + `","filename":"a","file_size":1e300}`:                     {400, "api.context.invalid_body_param.app_error"},
		`{"channel_id":"` + ch + `","filename":"a\u202e","file_size":1,"file_offset":"x"}`: {400, "api.context.invalid_body_param.app_error"},
	} {
		w.Ann.Fails(want.status, want.id, "POST", "/uploads", body)
	}
	const forbidden = "api.context.permissions.app_error"
	eve.Fails(403, forbidden, "POST", "/uploads", map[string]any{"channel_id": ch, "filename": "a", "file_size": 1})
	up := w.Ann.Begin(ch, "a", 5000)
	path := "/uploads/" + up.ID.String()
	eve.Fails(403, "api.upload.get_upload.forbidden.app_error", "GET", path, nil)
	eve.Fails(403, "api.upload.get_upload.forbidden.app_error", "POST", path, "x")
	eve.Fails(403, forbidden, "GET", "/users/"+w.Ann.Me.ID.String()+"/uploads", nil)
	w.Ann.Fails(404, "app.upload.get.app_error", "GET", "/uploads/"+core.NewID[core.Upload](t0).String(), nil)
	w.Ann.Fails(400, "api.context.invalid_url_param.app_error", "GET", "/uploads/x", nil)

	const over = "api.upload.upload_data.invalid_content_length"
	w.Ann.Fails(400, over, "POST", path, strings.Repeat("x", 5001))
	w.Ann.Fails(400, "api.upload.upload_data.multipart_error", "POST", path, field("a", "b")+"--edge--\r\n")
	resp, err := send(w.Ann, t.Context(), path, strings.NewReader("x"), 1, map[string]string{"Upload-Offset": "7"})
	wantProblem(t, resp, err, 409, "api.nearside.upload_offset.app_error")
	if at := offset(w.Ann, up.ID); at != 0 {
		t.Errorf("at %d", at)
	}
	resp, err = send(w.Ann, t.Context(), path, bytes.NewReader(distinct(5001)), -1, nil)
	wantProblem(t, resp, err, 400, over)
	if at := offset(w.Ann, up.ID); at != 4000 {
		t.Errorf("at %d: the last part of a body that is too long is not kept", at)
	}
	w.Ann.Fails(400, over, "POST", path, apitest.FormWith("data", "x", distinct(1001)))
	w.Ann.Must(201, "POST", path, string(distinct(5001)[4000:5000]), nil)
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }

// cutOff sends a body that fails in the middle, after the edge has begun to receive it: nobody
// can know about a request that is still on its way when the client asks for the offset.
func cutOff(c *apitest.Client, s *apitest.Site, id core.UploadID, body []byte, form bool) {
	c.T.Helper()
	h := map[string]string{}
	if form {
		h["Content-Type"] = "multipart/form-data; boundary=edge"
	}
	died := readerFunc(func([]byte) (int, error) {
		eventually.True(c.T, "the edge takes the upload in", func() bool { return service(s).Uploading(id) })
		return 0, errors.New("the client died")
	})
	resp, err := send(c, context.Background(), "/uploads/"+id.String(), io.MultiReader(bytes.NewReader(body), died), -1, h)
	if err == nil { // it was answered before everything was sent
		resp.Body.Close()
	}
}

func TestUploadSession_ClientDies(t *testing.T) {
	// The bytes received before a client failed are kept exactly, except those in a form that may
	// be the beginning of its boundary; another edge continues there.
	w := newTwoEdges(t)
	service(w.Site).SetPartBytes(1000)
	want := distinct(8000)
	up := w.Ann.Begin(w.Channel.String(), "a.bin", int64(len(want)))
	path := "/uploads/" + up.ID.String()
	cutOff(w.Ann, w.Site, up.ID, want[:2345], false)
	at := offset(w.Ann, up.ID)
	if at > 2345 {
		t.Fatalf("at %d", at)
	}
	head := strings.TrimSuffix(filePart("x", nil), "\r\n")
	for _, tail := range []string{"", "\r", "\r\n--ed", "\r\n--edge", "\r\n--edge-"} {
		cutOff(w.Ann, w.Site, up.ID, append(append([]byte(head), want[at:at+1100]...), tail...), true)
		now := offset(w.Ann, up.ID)
		if now < at || now > at+1100 {
			t.Fatalf("from %d to %d", at, now)
		}
		at = now
	}
	var f core.File
	other := w.Ann.At(w.away)
	if now := offset(other, up.ID); now != at {
		t.Errorf("%d at the other edge, not %d", now, at)
	}
	other.Must(201, "POST", path, string(want[at:]), &f)
	kept, _, err := fileAt(w.away, f.ID)
	if err != nil {
		t.Fatal(err)
	}
	wantContent(w.Home, kept.Content, want)
	eventually.True(t, "no spool file is left", func() bool { return spools(t, w.spool) == 0 })
}

func TestUploadSession_TailIsKept(t *testing.T) {
	// If a request stops in the middle of a part, that half is kept.
	w := newUploadWorld(t, nil)
	service(w.Site).SetPace(200*time.Millisecond, 1000)
	up := w.Ann.Begin(w.Channel.String(), "a", 100_000)
	path := "/uploads/" + up.ID.String()
	conn := dial(w.Ann, t, path, "Content-Length: 50000")
	if _, err := conn.Write(distinct(12_345)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(conn); err != nil { // to the end: the edge has closed it
		t.Fatal(err)
	}
	if at := offset(w.Ann, up.ID); at != 12_345 {
		t.Errorf("at %d", at)
	}
}

func TestUploadSession_SilentRequestGivesWay(t *testing.T) {
	// A client that lost its connection and asks for the offset need not wait until the edge
	// notices: the silent request is ended, and nothing is added after the answer.
	w := newUploadWorld(t, nil)
	want := distinct(20_000)
	up := w.Ann.Begin(w.Channel.String(), "a", int64(len(want)))
	path := "/uploads/" + up.ID.String()
	conn := dial(w.Ann, t, path, "Content-Length: 20000")
	if _, err := conn.Write(want[:7000]); err != nil {
		t.Fatal(err)
	}
	eventually.True(t, "the upload is under way", func() bool { return spools(t, w.spool) == 1 })
	w.Ann.Fails(400, "app.upload.upload_data.concurrent.app_error", "POST", path, "x")
	if at := offset(w.Ann, up.ID); at != 7000 {
		t.Errorf("at %d", at)
	}
	var f core.File
	w.Ann.Must(201, "POST", path, string(want[7000:]), &f)
	kept, _, err := fileAt(w.Site, f.ID)
	if err != nil {
		t.Fatal(err)
	}
	wantContent(w.Home, kept.Content, want)
}

func TestUploadSession_TwoEdgesAtOnce(t *testing.T) {
	// Two requests at two edges cannot mix their bytes: only one of them adds each part, and the
	// result is correct.
	w := newTwoEdges(t)
	for _, s := range []*apitest.Site{w.Site, w.away} {
		service(s).SetPartBytes(500)
	}
	want := distinct(20_000)
	up := w.Ann.Begin(w.Channel.String(), "a", int64(len(want)))
	path := "/uploads/" + up.ID.String()
	answers := make(chan int, 2)
	for _, s := range []*apitest.Site{w.Site, w.away} {
		c := w.Ann.At(s)
		go func() { answers <- c.Do("POST", path, string(want), nil).StatusCode }()
	}
	if a, b := <-answers, <-answers; a != 201 && b != 201 && a != 400 && b != 400 {
		t.Fatalf("%d and %d", a, b)
	}
	f, ok, err := fileAt(w.Site, core.FileID(up.ID))
	for range 3 { // both may have stopped if each added a part
		if ok || err != nil {
			break
		}
		var at int64
		eventually.Nil(t, func() error { // each edge has its own last part; this client has seen neither answer
			here, away := offset(w.Ann, up.ID), offset(w.Ann.At(w.away), up.ID)
			if at = here; here != away {
				return fmt.Errorf("at %d here and at %d there", here, away)
			}
			return nil
		})
		w.Ann.Must(201, "POST", path, string(want[at:]), nil)
		f, ok, err = fileAt(w.Site, core.FileID(up.ID))
	}
	if !ok || err != nil {
		t.Fatal(ok, err)
	}
	wantContent(w.Home, f.Content, want)
}

func TestUploadSession_OriginDown(t *testing.T) {
	// While the origin is away an upload keeps its offset, and continues when the origin is back.
	origin := &brokenBlobs{}
	w := newUploadWorld(t, func(cfg *areas.Config) { origin.Blobs = cfg.Files.Blobs; cfg.Files.Blobs = origin })
	up := w.Ann.Begin(w.Channel.String(), "a", 8)
	path := "/uploads/" + up.ID.String()
	w.Ann.Must(204, "POST", path, "ahoy", nil)
	origin.down.Store(true)
	w.Ann.Fails(503, "api.nearside.files_unavailable.app_error", "POST", path, "mate")
	if at := offset(w.Ann, up.ID); at != 4 {
		t.Errorf("at %d", at)
	}
	origin.down.Store(false)
	w.Ann.Must(201, "POST", path, "mate", nil)
}

// model is the expected state of an upload.
type model struct {
	t    *testing.T
	want []byte
	at   int64
	up   core.Upload
	path string
	site *apitest.Site // the edge of the next step
}

// step does one action on the upload at an edge, chosen by two numbers, and then requests the
// offset.
func (m *model) step(c *apitest.Client, kind byte, n int64) {
	left := int64(len(m.want)) - m.at
	if left == 0 { // everything had arrived before the last request was cut off: any other request finishes it
		return
	}
	n %= left + 1
	next := m.want[m.at : m.at+n]
	switch kind % 8 {
	case 0, 1: // a part, without the last byte, which would finish it
		if n == left {
			n--
			next = next[:n]
		}
		if kind%8 == 0 {
			c.Must(204, "POST", m.path, string(next), nil)
		} else {
			c.Must(204, "POST", m.path, apitest.FormWith("data", "x", next), nil)
		}
		m.at += n
		m.check(c, m.at, m.at)
	case 2:
		cutOff(c, m.site, m.up.ID, next, false)
		m.check(c, m.at, m.at+n)
	case 3:
		cutOff(c, m.site, m.up.ID, []byte(apitest.FormWith("data", "x", next))[:int64(len(strings.TrimSuffix(filePart("x", nil), "\r\n")))+n], true)
		m.check(c, m.at, m.at+n)
	case 4: // too much, with and without its length
		c.Fails(400, "api.upload.upload_data.invalid_content_length", "POST", m.path, string(m.want[m.at:])+"x")
		m.check(c, m.at, m.at)
	case 5:
		resp, err := send(c, context.Background(), m.path, strings.NewReader(string(m.want[m.at:])+"x"), -1, nil)
		wantProblem(m.t, resp, err, 400, "api.upload.upload_data.invalid_content_length")
		m.check(c, m.at, m.at+left-1)
	case 6:
		resp, err := send(c, context.Background(), m.path, bytes.NewReader(next), n, map[string]string{"Upload-Offset": fmt.Sprint(m.at + 1)})
		wantProblem(m.t, resp, err, 409, "api.nearside.upload_offset.app_error")
		m.check(c, m.at, m.at)
	case 7:
		c.Must(204, "POST", m.path, "", nil)
		m.check(c, m.at, m.at)
	}
}

// check requests the offset, which must be between two values.
func (m *model) check(c *apitest.Client, from, to int64) {
	m.t.Helper()
	if m.at = offset(c, m.up.ID); m.at < from || m.at > to {
		m.t.Fatalf("at %d, not between %d and %d", m.at, from, to)
	}
}

func FuzzUploadOffsets(f *testing.F) {
	// Whatever is sent, cut off, repeated or wrong, in any order and at any edge, the offset is
	// the end of the kept bytes, and the file has the sent bytes.
	for _, s := range []string{"", "\x00\x01\x00", "\x02\x10\x00\x03\x10\x00\x04\x00\x00\x05\x00\x00\x06\x01\x00\x07\x00\x00", "\x03\xff\x03\x83\xff\x03\x02\xff\x04\x82\x01\x00",
		"\x05\x00\x00\x05\x00\x00\x81\x00\x02\x01\x00\x02"} {
		f.Add([]byte(s))
	}
	w := newTwoEdges(f)
	for _, s := range []*apitest.Site{w.Site, w.away} {
		service(s).SetPartBytes(700)
	}
	want := distinct(5000)
	f.Fuzz(func(t *testing.T, steps []byte) {
		edges := [2]*apitest.Client{w.Ann.At(w.Site), w.Ann.At(w.away)}
		edges[0].T, edges[1].T = t, t
		m := &model{t: t, want: want, up: edges[0].Begin(w.Channel.String(), "a.bin", int64(len(want)))}
		m.path = "/uploads/" + m.up.ID.String()
		for ; len(steps) >= 3; steps = steps[3:] {
			m.site = [2]*apitest.Site{w.Site, w.away}[steps[0]>>7]
			m.step(edges[steps[0]>>7], steps[0]&0x7f, int64(steps[1])|int64(steps[2])<<8)
		}
		var file core.File
		edges[0].Must(http.StatusCreated, "POST", m.path, string(want[m.at:]), &file)
		kept, _, err := fileAt(w.Site, file.ID)
		if err != nil {
			t.Fatal(err)
		}
		if sum := sha256.Sum256(want); kept.Content.ID != core.BlobID(sum) {
			t.Fatal("the file is not what was sent")
		}
	})
}
