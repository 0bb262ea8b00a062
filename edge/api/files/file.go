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

// What a picture of a file can be refused for.
var (
	noThumbnail = core.Refusal{Kind: core.KindInvalid, ID: "api.file.get_file_thumbnail.no_thumbnail.app_error"}
	noPreview   = core.Refusal{Kind: core.KindInvalid, ID: "api.file.get_file_preview.no_preview.app_error"}
)

var noFile = core.Refusal{Kind: core.KindNotFound, ID: "app.file_info.get.app_error"}

var noFiles = core.Refusal{Kind: core.KindNotBuilt, ID: "api.file.attachments.disabled.app_error"}

// kept allows whom a policy allows, where files are kept.
func kept[T any](s *Service, p api.Policy[T]) api.Policy[T] {
	return api.If(func(*api.Call) error {
		if s.cfg.Blobs == nil {
			return noFiles
		}
		return nil
	}, p)
}

// readable allows people who may read the file of the path.
func (s *Service) readable() api.Policy[core.File] {
	return kept(s, api.Allow("may read file_id", s.fileOfPath))
}

// fileOfPath gives the file of the path, if it lives and who asks may read it: whoever may read
// its channel, but its owner alone until a post has it. It may never be posted, so to others it
// is not there; and if it was, at another edge, home is asked before they hear that.
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

// file gives a file; its id is zero when there is none. Only posted files are kept: until then
// a file has no channel whose events tell of it.
func (s *Service) file(c *api.Call, id core.FileID) (core.File, error) {
	read := func(ctx context.Context) (core.File, bool, error) { return s.Read.File(ctx, id) }
	var file core.File
	asked := false // and file is what the database said: this call was the one to fill the cache
	place, err := s.places.Get(c.Context, id, struct{}{}, func(ctx context.Context) (_ core.ChannelID, ok bool, err error) {
		file, ok, err = read(ctx)
		asked = err == nil
		if !ok || file.PostID.IsZero() {
			return core.ChannelID{}, false, err
		}
		return file.ChannelID, true, err
	})
	if err != nil {
		return core.File{}, err
	}
	if place.IsZero() && !asked {
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

// readablePost allows people who may read the post of the path, with its deleted files if they
// ask for those.
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

// sendFile answers with a blob of a file that who asks may read, or with the place where the
// object store gives it to them. Without a type the blob is a picture made here.
func (s *Service) sendFile(c *api.Call, f core.File, blob core.BlobRef, kind string) (api.Answer, error) {
	// A signed URL is good for one method. HEAD needs no bytes, so it is answered here.
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
	c.Header().Set("Cache-Control", "no-store") // the URL dies before a cache would let go of it
	return api.Raw{Status: http.StatusFound}, nil
}

// fileDownload is a blob of a file as it is served here: never compressed, because most files
// are already, and ranges of what is packed on the way would be of no use.
func (s *Service) fileDownload(c *api.Call, f core.File, blob core.BlobRef, kind string) *download {
	d := &download{from: s, what: "file " + f.ID.String(), blob: blob, mime: kind, etag: `"` + blob.ID.String() + `"`}
	d.modified = time.UnixMilli(f.CreateAt) // the bytes never change after
	shown := kind
	if kind == "" {
		shown = "image/jpeg" // or PNG, which is shown alike
	}
	d.headers = [][2]string{
		{"Cache-Control", "private, max-age=86400"}, {"X-Frame-Options", "DENY"}, {"Content-Security-Policy", "Frame-ancestors 'none'"},
		{"Content-Disposition", disposition(c, f.Name, shown)},
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
func disposition(c *api.Call, name, kind string) string {
	if slices.Contains(shown, kind) && !c.Flag("download") {
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
