package api

import (
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/nearside/nearside/cdn"
	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/authz"
)

func noFile() *core.Error {
	return core.E(core.KindNotFound, "Unable to get the file info.").WithID("app.file_info.get.app_error")
}

// needFiles refuses where no files are kept.
func (c *call) needFiles() error {
	if c.api.cfg.Files.Blobs != nil {
		return nil
	}
	return core.E(core.KindNotBuilt, "Files are not kept on this server.").WithID("api.file.attachments.disabled.app_error")
}

// readableFile gives the file of the path, if it lives and who asks may read it: whoever may
// read its channel, but its owner alone until a post has it. It may never be posted, so to
// others it is not there; and if it was, at another edge, home is asked before they hear that.
func (c *call) readableFile() (core.File, error) {
	if err := c.needFiles(); err != nil {
		return core.File{}, err
	}
	id, err := pathID[core.File](c, "file_id")
	if err != nil {
		return core.File{}, err
	}
	f, err := c.api.facts.file(c.ctx, id)
	switch {
	case err != nil:
		return f, err
	case f.ID.IsZero() || f.DeleteAt != 0:
		return f, noFile()
	case f.PostID.IsZero() && c.isMe(f.UserID):
		return f, nil
	case f.PostID.IsZero():
		return core.File{}, noFile()
	}
	_, err = c.readable(f.ChannelID)
	return f, err
}

func (a *API) getFile(c *call) error {
	f, err := c.readableFile()
	if err != nil {
		return err
	}
	return c.sendFile(f, f.Content, servedType(f.MimeType))
}

func (a *API) fileThumbnail(c *call) error {
	f, err := c.readableFile()
	if err != nil {
		return err
	}
	if f.Thumbnail.ID.IsZero() {
		return core.E(core.KindInvalid, "The file does not have a thumbnail image.").WithID("api.file.get_file_thumbnail.no_thumbnail.app_error")
	}
	return c.sendFile(f, f.Thumbnail, "")
}

func (a *API) filePreview(c *call) error {
	f, err := c.readableFile()
	if err != nil {
		return err
	}
	if f.Preview.ID.IsZero() {
		return core.E(core.KindInvalid, "The file does not have a preview image.").WithID("api.file.get_file_preview.no_preview.app_error")
	}
	return c.sendFile(f, f.Preview, "")
}

func (a *API) fileInfo(c *call) error {
	return c.list(c.readableFile())
}

func (a *API) filesOfPost(c *call) error {
	if c.flag("include_deleted") && !c.may(authz.ManageSystem) {
		return forbidden()
	}
	p, err := c.readablePost()
	if err != nil {
		return err
	}
	files, err := a.cfg.Read.FilesOfPost(c.ctx, p.ID, c.flag("include_deleted"))
	if files == nil {
		files = []core.File{}
	}
	return c.list(files, err)
}

// sendFile answers with a blob of a file that who asks may read, or with the place where the
// object store gives it to them. Without a type the blob is a picture made here.
func (c *call) sendFile(f core.File, blob core.BlobRef, kind string) error {
	s := c.api.cfg.Files.Signer
	// A signed URL is good for one method. HEAD needs no bytes, so it is answered here.
	if s == nil || c.r.Method == http.MethodHead {
		c.download = c.fileDownload(f, blob, kind)
		return nil
	}
	if kind == "" {
		b := &blobReader{ctx: c.ctx, blobs: c.api.cfg.Files.Blobs, blob: blob}
		var err error
		if kind, err = b.picture(); err != nil {
			return unreadable(err)
		}
	}
	to, err := s.SignedURL(c.ctx, cdn.Digest(blob.ID), kind, c.disposition(f.Name, kind), signedFor)
	if err != nil {
		return unreadable(err)
	}
	c.header().Set("Location", to)
	c.header().Set("Cache-Control", "no-store") // the URL dies before a cache would let go of it
	c.status, c.body = http.StatusFound, nil
	return nil
}

// fileDownload is a blob of a file as it is served here: never compressed, because most files
// are already, and ranges of what is packed on the way would be of no use.
func (c *call) fileDownload(f core.File, blob core.BlobRef, kind string) *download {
	d := &download{what: "file " + f.ID.String(), blob: blob, mime: kind, etag: `"` + blob.ID.String() + `"`}
	d.modified = time.UnixMilli(f.CreateAt) // the bytes never change after
	shown := kind
	if kind == "" {
		shown = "image/jpeg" // or PNG, which is shown alike
	}
	d.headers = [][2]string{
		{"Cache-Control", "private, max-age=86400"}, {"X-Frame-Options", "DENY"}, {"Content-Security-Policy", "Frame-ancestors 'none'"},
		{"Content-Disposition", c.disposition(f.Name, shown)},
	}
	return d
}

// scripts are the types that a browser could run in our name; they are text here.
var scripts = []string{
	"application/javascript", "application/ecmascript", "application/x-javascript", "application/x-ecmascript",
	"text/javascript", "text/ecmascript", "text/x-javascript", "text/x-ecmascript", "text/jscript", "text/livescript", "text/html",
	"text/javascript1.0", "text/javascript1.1", "text/javascript1.2", "text/javascript1.3", "text/javascript1.4", "text/javascript1.5",
}

// shown are the types that browsers show in place. SVG is none: it can hold scripts.
var shown = []string{
	"image/jpeg", "image/png", "image/bmp", "image/gif", "image/tiff", "image/webp",
	"video/avi", "video/x-msvideo", "video/mpeg", "video/mp4", "audio/mpeg", "audio/wav",
}

const anyType = "application/octet-stream"

// servedType gives the type under which a file of a type goes out.
func servedType(kind string) string {
	kind, _, err := mime.ParseMediaType(kind)
	switch {
	case err != nil || !strings.Contains(kind, "/"):
		return anyType
	case slices.Contains(scripts, kind):
		return "text/plain"
	}
	return kind
}

// disposition says whether a browser shows a file or saves it, and under which name.
func (c *call) disposition(name, kind string) string {
	if slices.Contains(shown, kind) && !c.flag("download") {
		return dispositionOf("inline", name)
	}
	return dispositionOf("attachment", name)
}

// dispositionOf writes a name so that nothing in it can end the value: as far as it is plain
// for old clients, and whole by RFC 5987.
func dispositionOf(how, name string) string {
	plain := strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || strings.ContainsRune(`"\%`, r) {
			return '_'
		}
		return r
	}, name)
	s := how + `; filename="` + plain + `"`
	if plain != name {
		s += "; filename*=UTF-8''" + percent(name)
	}
	return s
}

// percent writes a name by RFC 5987.
func percent(s string) string {
	return strings.ReplaceAll(url.QueryEscape(strings.ToValidUTF8(s, "\uFFFD")), "+", "%20")
}
