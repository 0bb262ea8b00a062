package files

import (
	"context"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/nearside/nearside/cdn/image"
	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/command"
	"github.com/nearside/nearside/edge/api"
)

// The pictures of users.
const (
	userImageSide  = 256 // pixels of an uploaded picture, as it is stored
	initialsSide   = 128
	initialsBytes  = 8 << 20 // memory for drawn initials
	userImageCache = "max-age=86400, private"
)

func (s *Service) userImage(c *api.Call, u core.User) (api.Answer, error) {
	if u.Picture.ID.IsZero() || s.cfg.Blobs == nil {
		return s.defaultUserImage(c, u)
	}
	etag := strconv.FormatInt(u.LastPictureUpdate, 10)
	c.Header().Set("Cache-Control", userImageCache)
	if unchanged(c, etag) {
		return api.Raw{Status: http.StatusNotModified}, nil
	}
	return &download{
		from: s, what: "picture of user " + u.ID.String(), blob: u.Picture, modified: time.UnixMilli(u.LastPictureUpdate), etag: etag, mime: "image/png",
	}, nil
}

// defaultUserImage answers with the picture of a user who has not set one. Its ETag depends on
// the name, because the drawing does.
func (s *Service) defaultUserImage(c *api.Call, u core.User) (api.Answer, error) {
	c.Header().Set("Cache-Control", userImageCache)
	if unchanged(c, strconv.FormatInt(u.LastPictureUpdate, 10)+"-"+u.Username) {
		return api.Raw{Status: http.StatusNotModified}, nil
	}
	png, err := s.initials.Get(c.Context, u.ID, u.Username, func(context.Context) ([]byte, bool, error) {
		b, err := image.Initials(u.ID.String(), u.Username, initialsSide)
		return b, true, err
	})
	c.Header().Set("Content-Type", "image/png")
	return api.Raw{Status: http.StatusOK, Body: png}, err
}

// unchanged reports whether the client has what the ETag identifies. Clients of this API send the
// tag without quotes, so it is compared as text.
func unchanged(c *api.Call, etag string) bool {
	c.Header().Set("Etag", etag)
	return strings.Trim(strings.TrimPrefix(c.Request.Header.Get("If-None-Match"), "W/"), `"`) == etag
}

func (s *Service) setUserImage(c *api.Call, id core.UserID) (done api.Done, err error) {
	if s.cfg.Blobs == nil {
		return done, noPictures
	}
	boundary, multi, err := formBoundary(c.Request.Header)
	if err == nil && !multi {
		err = noPicture
	}
	if err != nil {
		return done, err
	}
	in, err := s.receive(c)
	if err != nil {
		return done, err
	}
	defer in.end()
	sp, err := s.receivePicture(c, newForm(in, boundary))
	if err != nil {
		return done, err
	}
	defer sp.close()
	return done, c.Within(storeLimit(sp.size), func() error { return s.keepPicture(c, id, sp) })
}

// What a user's picture can be refused for.
var (
	noPicture       = core.Refusal{Kind: core.KindInvalid, ID: "api.user.upload_profile_user.no_file.app_error"}
	noPictures      = core.Refusal{Kind: core.KindNotBuilt, ID: "api.user.upload_profile_user.storage.app_error"}
	pictureTooLarge = core.Refusal{Kind: core.KindTooLarge, ID: "api.user.upload_profile_user.too_large.app_error"}
	badPicture      = core.Refusal{Kind: core.KindInvalid, ID: "api.user.upload_profile_user.decode.app_error"}
)

// receivePicture receives the field "image" of a form, and reads the form to its end: a form that
// is cut off changes nothing.
func (s *Service) receivePicture(c *api.Call, f *form) (sp *spool, err error) {
	defer func() {
		if err != nil && sp != nil {
			sp.close()
		}
	}()
	for {
		p, err := f.next()
		ended := err == io.EOF //nolint:errorlint // a form that was cut short wraps one
		switch {
		case ended && sp == nil:
			return nil, noPicture
		case ended:
			return sp, f.drain()
		case err != nil:
			return sp, err
		}
		if p.field != "image" || !p.file || sp != nil {
			continue
		}
		limit := s.cfg.MaxBytes
		if sp, err = s.spools.open(min(c.Request.ContentLength, limit)); err != nil {
			return nil, err
		}
		tooLarge := pictureTooLarge.With("max", limit)
		if err := sp.takeFile(p, limit, tooLarge); err != nil {
			return sp, err
		}
	}
}

// keepPicture cuts a square from a picture, and makes it the user's.
func (s *Service) keepPicture(c *api.Call, id core.UserID, sp *spool) error {
	png, err := s.pictures.For(c.Who()).Square(c, sp.reader(), userImageSide)
	if core.KindOf(err) == core.KindInvalid {
		err = badPicture.With("error", core.AsError(err).Message).WithCause(err)
	}
	if err != nil {
		return err
	}
	picture := blobOf(png)
	if err := s.put(c, []blob{picture}); err != nil {
		return err
	}
	return c.Propose(&command.SetUserImage{UserID: id, Picture: picture.BlobRef}, nil)
}

func (s *Service) deleteUserImage(c *api.Call, id core.UserID) (api.Done, error) {
	return api.Done{}, c.Propose(&command.SetUserImage{UserID: id}, nil)
}
