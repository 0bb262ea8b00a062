package api_test

import (
	"bytes"
	"crypto/sha256"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"io"
	"net/http"
	"path"
	"strings"
	"testing"
	"time"

	"github.com/nearside/nearside/cdn"
	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/command"
	"github.com/nearside/nearside/core/read"
)

// pngBytes and jpegBytes draw pictures that are nothing in particular.
func pngBytes(w, h int) []byte {
	var b bytes.Buffer
	if err := png.Encode(&b, drawn(w, h)); err != nil {
		panic(err)
	}
	return b.Bytes()
}

func jpegBytes(w, h int) []byte {
	var b bytes.Buffer
	if err := jpeg.Encode(&b, drawn(w, h), nil); err != nil {
		panic(err)
	}
	return b.Bytes()
}

func drawn(w, h int) image.Image {
	m := image.NewRGBA(image.Rect(0, 0, w, h))
	for i := range m.Pix {
		m.Pix[i] = byte(i * i >> 3)
	}
	m.Set(0, 0, color.Transparent)
	return m
}

// pictureForm is a form with a picture.
var pictureForm = formWith("image", "me.png", pngBytes(40, 30))

func formWith(field, name string, content []byte) string {
	return "--edge\r\nContent-Disposition: form-data; name=\"" + field + "\"; filename=\"" + name + "\"\r\n\r\n" + string(content) + "\r\n--edge--\r\n"
}

// store puts bytes where files are kept.
func (h *home) store(content []byte) core.BlobRef {
	h.t.Helper()
	ref := core.BlobRef{ID: sha256.Sum256(content), Size: int64(len(content))}
	if err := h.blobs.Put(h.t.Context(), cdn.Digest(ref.ID), ref.Size, bytes.NewReader(content)); err != nil {
		h.t.Fatal(err)
	}
	return ref
}

// order orders a command of the client's.
func (c *client) order(cmd command.Command, out any) {
	c.t.Helper()
	s, ok, err := read.New(c.site.db).SessionByToken(c.t.Context(), core.HashToken(c.token))
	if err != nil || !ok {
		c.t.Fatal(ok, err)
	}
	data, err := command.Encode(command.Caller{Session: s.ID}, cmd)
	if err != nil {
		c.t.Fatal(err)
	}
	scope := command.ScopeOf(cmd, read.New(c.site.db).Places(c.t.Context()))
	receipt, err := c.site.home.Propose(c.t.Context(), core.Proposal{ID: core.NewID[core.Proposal](time.Now()), Scope: scope, Data: data})
	if err == nil {
		err = command.DecodeOutcome(receipt.Outcome, out)
	}
	if err != nil {
		c.t.Fatal(err)
	}
}

// addFile makes a file without a post; more may change it before.
func (c *client) addFile(ch core.ChannelID, name, kind string, content []byte, more func(*command.CreateFile)) (f core.File) {
	c.t.Helper()
	cmd := &command.CreateFile{File: core.File{
		ID: core.NewID[core.File](time.Now()), ChannelID: ch, Name: name, Extension: strings.TrimPrefix(path.Ext(name), "."),
		MimeType: kind, Size: int64(len(content)), Content: c.site.home.store(content),
	}}
	if more != nil {
		more(cmd)
	}
	c.order(cmd, &f)
	return f
}

// addPicture makes a file with a thumbnail, which is a PNG, and a preview, which is a JPEG.
func (c *client) addPicture(ch core.ChannelID, name string) core.File {
	c.t.Helper()
	return c.addFile(ch, name, "image/png", pngBytes(300, 200), func(cmd *command.CreateFile) {
		cmd.File.Width, cmd.File.Height, cmd.File.HasPreview = 300, 200, true
		cmd.File.Thumbnail = c.site.home.store(pngBytes(120, 80))
		cmd.File.Preview = c.site.home.store(jpegBytes(1900, 1200))
	})
}

// attach makes a post with files.
func (c *client) attach(ch core.ChannelID, files ...core.File) (p core.Post) {
	c.t.Helper()
	var ids []string
	for _, f := range files {
		ids = append(ids, f.ID.String())
	}
	c.must(201, "POST", "/posts", map[string]any{"channel_id": ch.String(), "message": "", "file_ids": ids}, &p)
	return p
}

// linkToken asks for a public link of a file and gives its token.
func (c *client) linkToken(id string) string {
	c.t.Helper()
	var out struct{ Link string }
	c.must(200, "GET", "/files/"+id+"/link", nil, &out)
	_, token, ok := strings.Cut(out.Link, "/files/"+id+"/public?h=")
	if !ok {
		c.t.Fatalf("the link is %q", out.Link)
	}
	return token
}

// fetch asks for something with headers, and gives the answer and its body.
func (c *client) fetch(method, path string, headers ...string) (*http.Response, []byte) {
	c.t.Helper()
	resp, body, err := c.tryFetch(method, path, headers...)
	if err != nil {
		c.t.Fatal(err)
	}
	return resp, body
}

func (c *client) tryFetch(method, path string, headers ...string) (*http.Response, []byte, error) {
	req, err := http.NewRequestWithContext(c.t.Context(), method, c.url+place(path), nil)
	if err != nil {
		return nil, nil, err
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := plainly.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp, body, err
}

// plainly is a client that neither follows nor unpacks anything.
var plainly = &http.Client{
	Timeout:       limit,
	Transport:     &http.Transport{DisableCompression: true},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// shipshape is a crew with a member, ann, somebody of the team outside the channel, bob, and an
// outsider, eve. The channel is private.
type shipshape struct {
	home          *home
	site          *site
	admin         *client
	ann, bob, eve *client
	team          core.Team
	ch            core.ChannelID
}

func newShipshape(t testing.TB, h *home, s *site) *shipshape {
	t.Helper()
	w := &shipshape{home: h, site: s}
	w.admin, w.ann, w.bob, w.eve = s.signUp(t, "admin"), s.signUp(t, "ann"), s.signUp(t, "bob"), s.signUp(t, "eve")
	w.team = w.admin.newTeam("crew")
	w.ann.joinTeam(w.team.ID)
	w.bob.joinTeam(w.team.ID)
	w.ch = w.ann.newChannel(w.team.ID, "cabin", "P")
	return w
}

// file gives a file with what answers do not say: where it is stored.
func (w *shipshape) file(id core.FileID) core.File {
	w.home.t.Helper()
	f, ok, err := read.New(w.site.db).File(w.home.t.Context(), id)
	if err != nil || !ok {
		w.home.t.Fatal(ok, err)
	}
	return f
}
