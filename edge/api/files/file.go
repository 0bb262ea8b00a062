package files

import (
	"context"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/nearside/nearside/cdn"
	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/authz"
	"github.com/nearside/nearside/edge/api"
	"github.com/nearside/nearside/edge/api/access"
)

// What requests for a file's picture can be refused for.
var (
	noThumbnail = core.Refusal{Kind: core.KindInvalid, ID: "api.file.get_file_thumbnail.no_thumbnail.app_error"}
	noPreview   = core.Refusal{Kind: core.KindInvalid, ID: "api.file.get_file_preview.no_preview.app_error"}
)

var noFile = core.Refusal{Kind: core.KindNotFound, ID: "app.file_info.get.app_error"}

var noFiles = core.Refusal{Kind: core.KindNotBuilt, ID: "api.file.attachments.disabled.app_error"}

// kept is a policy with the condition that files are stored at all.
func kept[T any](s *Service, p api.Policy[T]) api.Policy[T] {
	return api.If(func(*api.Call) error {
		if s.cfg.Blobs == nil {
			return noFiles
		}
		return nil
	}, p)
}

// readable allows callers who may read the path's file.
func (s *Service) readable() api.Policy[core.File] {
	return kept(s, api.Allow("may read file_id", s.fileOfPath))
}

// fileOfPath returns the path's file if it exists and the caller may read it. A posted file may
// be read by everybody who may read its channel; before that, only by its owner. For others it
// does not exist, because it may never be posted. It may also have just been posted at another
// edge, so home is asked before the answer is 404.
func (s *Service) fileOfPath(c *api.Call) (core.File, error) {
	id, err := api.PathID[core.File](c, "file_id")
	if err != nil {
		return core.File{}, err
	}
	f, err := s.file(c, id)
	switch {
	case err != nil:
		return f, err
	case f.ID.IsZero() || f.DeleteAt != 0:
		return f, noFile
	case f.PostID.IsZero() && c.IsMe(f.UserID):
		return f, nil
	case f.PostID.IsZero():
		return core.File{}, noFile
	}
	_, err = s.Readable(c, f.ChannelID)
	return f, err
}

// file returns a file; its id is zero if there is none. Only posted files are cached: before
// that, a file has no channel whose events would invalidate it.
func (s *Service) file(c *api.Call, id core.FileID) (core.File, error) {
	read := func(ctx context.Context) (core.File, bool, error) { return s.Read.File(ctx, id) }
	var file core.File
	fresh := false // true if file is a fresh read from the database: this call filled the cache
	place, err := s.places.Get(c.Context, id, struct{}{}, func(ctx context.Context) (_ core.ChannelID, ok bool, err error) {
		file, ok, err = read(ctx)
		fresh = err == nil
		if !ok || file.PostID.IsZero() {
			return core.ChannelID{}, false, err
		}
		return file.ChannelID, true, err
	})
	if err != nil {
		return core.File{}, err
	}
	if place.IsZero() && !fresh {
		file, _, err = read(c)
	}
	if place.IsZero() {
		return file, err
	}
	return s.files.Get(c.Context, place, id, read)
}

func (s *Service) getFile(c *api.Call, f core.File) (api.Answer, error) {
	return s.sendFile(c, f, f.Content, servedType(f.MimeType))
}

func (s *Service) fileThumbnail(c *api.Call, f core.File) (api.Answer, error) {
	if f.Thumbnail.ID.IsZero() {
		return nil, noThumbnail
	}
	return s.sendFile(c, f, f.Thumbnail, "")
}

func (s *Service) filePreview(c *api.Call, f core.File) (api.Answer, error) {
	if f.Preview.ID.IsZero() {
		return nil, noPreview
	}
	return s.sendFile(c, f, f.Preview, "")
}

func (s *Service) fileInfo(_ *api.Call, f core.File) (core.File, error) { return f, nil }

// readablePost allows callers who may read the path's post; with its deleted files if they
// request these.
func (s *Service) readablePost() api.Policy[core.Post] {
	return api.If(func(c *api.Call) error {
		if c.Flag("include_deleted") {
			return access.Need(c, authz.ManageSystem)
		}
		return nil
	}, s.PathPost())
}

func (s *Service) filesOfPost(c *api.Call, p core.Post) ([]core.File, error) {
	return s.Read.FilesOfPost(c, p.ID, c.Flag("include_deleted"))
}

// sendFile answers with a blob of a file that the caller may read, or redirects to the object
// store. Without a type, the blob is a picture made here.
func (s *Service) sendFile(c *api.Call, f core.File, blob core.BlobRef, kind string) (api.Answer, error) {
	// A signed URL is valid for one method. HEAD needs no bytes, so it is answered here.
	if s.cfg.Signer == nil || c.Request.Method == http.MethodHead {
		return s.fileDownload(c, f, blob, kind), nil
	}
	if kind == "" {
		b := &blobReader{ctx: c.Context, blobs: s.cfg.Blobs, blob: blob}
		var err error
		if kind, err = b.picture(); err != nil {
			return nil, unreadable(err)
		}
	}
	to, err := s.cfg.Signer.SignedURL(c, cdn.Digest(blob.ID), kind, disposition(c, f.Name, kind), signedFor)
	if err != nil {
		return nil, unreadable(err)
	}
	c.Header().Set("Location", to)
	c.Header().Set("Cache-Control", "no-store") // the URL expires before a cache would drop the answer
	return api.Raw{Status: http.StatusFound}, nil
}

// fileDownload is a blob of a file as it is served here: uncompressed, since most files are
// compressed already, and ranges of an answer that is compressed on the way would be useless.
func (s *Service) fileDownload(c *api.Call, f core.File, blob core.BlobRef, kind string) *download {
	d := &download{from: s, what: "file " + f.ID.String(), blob: blob, mime: kind, etag: `"` + blob.ID.String() + `"`}
	d.modified = time.UnixMilli(f.CreateAt) // the bytes never change
	shown := kind
	if kind == "" {
		shown = "image/jpeg" // or PNG, which is displayed in the same way
	}
	d.headers = [][2]string{
		{"Cache-Control", "private, max-age=86400"}, {"X-Frame-Options", "DENY"}, {"Content-Security-Policy", "Frame-ancestors 'none'"},
		{"Content-Disposition", disposition(c, f.Name, shown)},
	}
	return d
}

// scripts has the types that a browser could execute with our page's rights; they are served as
// plain text.
var scripts = []string{
	"application/javascript", "application/ecmascript", "application/x-javascript", "application/x-ecmascript",
	"text/javascript", "text/ecmascript", "text/x-javascript", "text/x-ecmascript", "text/jscript", "text/livescript", "text/html",
	"text/javascript1.0", "text/javascript1.1", "text/javascript1.2", "text/javascript1.3", "text/javascript1.4", "text/javascript1.5",
}

// shown has the types that browsers display inline. SVG is not among them: it can contain
// scripts.
var shown = []string{
	"image/jpeg", "image/png", "image/bmp", "image/gif", "image/tiff", "image/webp",
	"video/avi", "video/x-msvideo", "video/mpeg", "video/mp4", "audio/mpeg", "audio/wav",
}

const anyType = "application/octet-stream"

// servedType returns the Content-Type for a file's type.
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

// disposition decides whether a browser displays or saves a file, and under which name.
func disposition(c *api.Call, name, kind string) string {
	if slices.Contains(shown, kind) && !c.Flag("download") {
		return dispositionOf("inline", name)
	}
	return dispositionOf("attachment", name)
}

// dispositionOf encodes a name so that it cannot end the header's value: the ASCII part for old
// clients, and the whole name by RFC 5987.
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

// percent encodes a name by RFC 5987.
func percent(s string) string {
	return strings.ReplaceAll(url.QueryEscape(strings.ToValidUTF8(s, "\uFFFD")), "+", "%20")
}
