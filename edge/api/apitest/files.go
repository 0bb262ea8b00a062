package apitest

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
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

// PNG and JPEG draw arbitrary pictures.
func PNG(w, h int) []byte {
	var b bytes.Buffer
	if err := png.Encode(&b, Drawn(w, h)); err != nil {
		panic(err)
	}
	return b.Bytes()
}

func JPEG(w, h int) []byte {
	var b bytes.Buffer
	if err := jpeg.Encode(&b, Drawn(w, h), nil); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// Drawn draws a picture.
func Drawn(w, h int) image.Image {
	m := image.NewRGBA(image.Rect(0, 0, w, h))
	for i := range m.Pix {
		m.Pix[i] = byte(i * i >> 3)
	}
	m.Set(0, 0, color.Transparent)
	return m
}

// PictureForm is a form with a picture.
var PictureForm = FormWith("image", "me.png", PNG(40, 30))

func FormWith(field, name string, content []byte) string {
	return "--edge\r\nContent-Disposition: form-data; name=\"" + field + "\"; filename=\"" + name + "\"\r\n\r\n" + string(content) + "\r\n--edge--\r\n"
}

// Store stores bytes in the origin.
func (h *Home) Store(content []byte) core.BlobRef {
	h.T.Helper()
	ref := core.BlobRef{ID: sha256.Sum256(content), Size: int64(len(content))}
	if err := h.Blobs.Put(h.T.Context(), cdn.Digest(ref.ID), ref.Size, bytes.NewReader(content)); err != nil {
		h.T.Fatal(err)
	}
	return ref
}

// Order orders a command of the client's user.
func (c *Client) Order(cmd command.Command) {
	c.T.Helper()
	s, ok, err := read.New(c.Site.DB, nil).SessionByToken(c.T.Context(), core.HashToken(c.Token).Seal())
	if err != nil || !ok {
		c.T.Fatal(ok, err)
	}
	data, err := command.Encode(command.Caller{Session: s.ID}, cmd)
	if err != nil {
		c.T.Fatal(err)
	}
	scope := command.ScopeOf(cmd, read.New(c.Site.DB, nil).Places(c.T.Context()))
	receipt, err := c.Site.Home.Propose(c.T.Context(), core.Proposal{ID: core.NewID[core.Proposal](time.Now()), Scope: scope, Data: data})
	if err == nil {
		err = command.DecodeOutcome(receipt.Outcome, nil)
	}
	if err != nil {
		c.T.Fatal(err)
	}
}

// AddFile makes a file without a post; more may change the command before.
func (c *Client) AddFile(ch core.ChannelID, name, kind string, content []byte, more func(*command.CreateFile)) core.File {
	c.T.Helper()
	cmd := &command.CreateFile{File: core.File{
		ID: core.NewID[core.File](time.Now()), ChannelID: ch, Name: name, Extension: strings.TrimPrefix(path.Ext(name), "."),
		MimeType: kind, Size: int64(len(content)), Content: c.Site.Home.Store(content),
	}}
	if more != nil {
		more(cmd)
	}
	c.Order(cmd)
	f, ok, err := read.New(c.Site.DB, nil).File(c.T.Context(), cmd.File.ID)
	if err != nil || !ok {
		c.T.Fatal(ok, err)
	}
	return f
}

// AddPicture makes a file with a thumbnail, which is a PNG, and a preview, which is a JPEG.
func (c *Client) AddPicture(ch core.ChannelID, name string) core.File {
	c.T.Helper()
	return c.AddFile(ch, name, "image/png", PNG(300, 200), func(cmd *command.CreateFile) {
		cmd.File.Width, cmd.File.Height, cmd.File.HasPreview = 300, 200, true
		cmd.File.Thumbnail = c.Site.Home.Store(PNG(120, 80))
		cmd.File.Preview = c.Site.Home.Store(JPEG(1900, 1200))
	})
}

// Attach makes a post with files.
func (c *Client) Attach(ch core.ChannelID, files ...core.File) (p core.Post) {
	c.T.Helper()
	var ids []string
	for _, f := range files {
		ids = append(ids, f.ID.String())
	}
	c.Must(201, "POST", "/posts", map[string]any{"channel_id": ch.String(), "message": "", "file_ids": ids}, &p)
	return p
}

// LinkToken requests a public link of a file and returns its token.
func (c *Client) LinkToken(id string) string {
	c.T.Helper()
	var out struct{ Link string }
	c.Must(200, "GET", "/files/"+id+"/link", nil, &out)
	_, token, ok := strings.Cut(out.Link, "/files/"+id+"/public?h=")
	if !ok {
		c.T.Fatalf("the link is %q", out.Link)
	}
	return token
}

// Fetch sends a request with headers, and returns the answer and its body.
func (c *Client) Fetch(method, path string, headers ...string) (*http.Response, []byte) {
	c.T.Helper()
	resp, body, err := c.TryFetch(method, path, headers...)
	if err != nil {
		c.T.Fatal(err)
	}
	return resp, body
}

func (c *Client) TryFetch(method, path string, headers ...string) (*http.Response, []byte, error) {
	req, err := http.NewRequestWithContext(c.T.Context(), method, c.URL+Place(path), nil)
	if err != nil {
		return nil, nil, err
	}
	req.Header.Set("Authorization", "Bearer "+c.Token)
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

// plainly is a client that neither follows redirects nor decompresses.
var plainly = &http.Client{
	Timeout:       Limit,
	Transport:     &http.Transport{DisableCompression: true},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// FileWorld has a team with a private channel: ann is its member, bob is only in the team, and
// eve is in neither.
type FileWorld struct {
	Home          *Home
	Site          *Site
	Admin         *Client
	Ann, Bob, Eve *Client
	Team          core.Team
	Channel       core.ChannelID
}

func NewFileWorld(t testing.TB, h *Home, s *Site) *FileWorld {
	t.Helper()
	w := &FileWorld{Home: h, Site: s}
	w.Admin, w.Ann, w.Bob, w.Eve = s.SignUp(t, "admin"), s.SignUp(t, "ann"), s.SignUp(t, "bob"), s.SignUp(t, "eve")
	w.Team = w.Admin.NewTeam("crew")
	w.Ann.JoinTeam(w.Team.ID)
	w.Bob.JoinTeam(w.Team.ID)
	w.Channel = w.Ann.NewChannel(w.Team.ID, "cabin", "P")
	return w
}

// File returns a file with the fields that answers do not contain: where it is stored.
func (w *FileWorld) File(id core.FileID) core.File {
	w.Home.T.Helper()
	f, ok, err := read.New(w.Site.DB, nil).File(w.Home.T.Context(), id)
	if err != nil || !ok {
		w.Home.T.Fatal(ok, err)
	}
	return f
}

// HEIF returns the boxes of a HEIC or AVIF file that say how large its picture is, without the picture.
func HEIF(brand string, w, h uint32) []byte {
	box := func(name string, body ...[]byte) []byte {
		all := bytes.Join(body, nil)
		return append(append(binary.BigEndian.AppendUint32(nil, uint32(len(all)+8)), name...), all...)
	}
	size := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(make([]byte, 4), w), h)
	meta := box("meta", make([]byte, 4), box("pitm", []byte{0, 0, 0, 0, 0, 1}),
		box("iprp", box("ipco", box("ispe", size)), box("ipma", []byte{0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 1, 1})))
	return append(box("ftyp", []byte(brand), make([]byte, 4), []byte("mif1"), []byte(brand)), meta...)
}
