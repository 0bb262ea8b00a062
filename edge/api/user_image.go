package api

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
)

// Pictures of users.
const (
	userImageSide  = 256 // of what is kept of an uploaded one
	initialsSide   = 128
	initialsBytes  = 8 << 20 // memory for drawn initials
	userImageCache = "max-age=86400, private"
)

// pictured gives the user of the path, whose picture everybody may see.
func (c *call) pictured() (core.User, error) {
	id, err := c.userID()
	if err != nil {
		return core.User{}, err
	}
	u, err := c.api.facts.user(c.ctx, id)
	if err == nil && u.ID.IsZero() {
		err = noUser()
	}
	return u, err
}

func (a *API) userImage(c *call) error {
	u, err := c.pictured()
	if err != nil {
		return err
	}
	if u.Picture.ID.IsZero() || a.cfg.Files.Blobs == nil {
		return a.answerInitials(c, u)
	}
	etag := strconv.FormatInt(u.LastPictureUpdate, 10)
	c.header().Set("Cache-Control", userImageCache)
	if c.unchanged(etag) {
		return nil
	}
	c.download = &download{
		what: "picture of user " + u.ID.String(), blob: u.Picture, modified: time.UnixMilli(u.LastPictureUpdate), etag: etag, mime: "image/png",
	}
	return nil
}

func (a *API) defaultUserImage(c *call) error {
	u, err := c.pictured()
	if err != nil {
		return err
	}
	return a.answerInitials(c, u)
}

// answerInitials answers with the picture of somebody who has none. Its ETag holds the name,
// because the drawing changes with it.
func (a *API) answerInitials(c *call, u core.User) error {
	c.header().Set("Cache-Control", userImageCache)
	if c.unchanged(strconv.FormatInt(u.LastPictureUpdate, 10) + "-" + u.Username) {
		return nil
	}
	png, err := a.initials.Get(c.ctx, u.ID, u.Username, func(context.Context) ([]byte, bool, error) {
		b, err := image.Initials(u.ID.String(), u.Username, initialsSide)
		return b, true, err
	})
	if err != nil {
		return err
	}
	c.header().Set("Content-Type", "image/png")
	c.status, c.body = http.StatusOK, png
	return nil
}

// unchanged answers 304 when the client has what the ETag names. Clients of this API send the
// tag back as they got it: without quotes, so that comparing is by text.
func (c *call) unchanged(etag string) bool {
	c.header().Set("Etag", etag)
	had := strings.Trim(strings.TrimPrefix(c.r.Header.Get("If-None-Match"), "W/"), `"`)
	if had == etag {
		c.status, c.body = http.StatusNotModified, nil
	}
	return had == etag
}

func (a *API) setUserImage(c *call) error {
	id, err := c.ownUser()
	if err != nil {
		return err
	}
	if a.cfg.Files.Blobs == nil {
		return core.E(core.KindNotBuilt, "Pictures are not kept on this server.").WithID("api.user.upload_profile_user.storage.app_error")
	}
	boundary, multi, err := formBoundary(c.r.Header)
	if err == nil && !multi {
		err = noPicture()
	}
	if err != nil {
		return err
	}
	in, err := c.receive()
	if err != nil {
		return err
	}
	defer in.end()
	sp, err := c.receivePicture(newForm(in, boundary))
	if err != nil {
		return err
	}
	defer sp.close()
	return c.within(storeLimit(sp.size), func() error { return a.keepPicture(c, id, sp) })
}

func noPicture() *core.Error {
	return core.E(core.KindInvalid, "There is no file under 'image' in the request.").WithID("api.user.upload_profile_user.no_file.app_error")
}

// receivePicture takes the field "image" of a form in, and reads the form to its end: one that
// was cut short changes nothing.
func (c *call) receivePicture(f *form) (sp *spool, err error) {
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
			return nil, noPicture()
		case ended:
			return sp, f.drain()
		case err != nil:
			return sp, err
		}
		if p.field != "image" || !p.file || sp != nil {
			continue
		}
		limit := c.api.cfg.Files.maxBytes()
		if sp, err = c.api.spools.open(min(c.r.ContentLength, limit)); err != nil {
			return nil, err
		}
		tooLarge := core.E(core.KindTooLarge, "The picture is larger than %d bytes.", limit).WithID("api.user.upload_profile_user.too_large.app_error")
		if err := sp.takeFile(p, limit, tooLarge); err != nil {
			return sp, err
		}
	}
}

// keepPicture cuts a picture square, and makes it a user's.
func (a *API) keepPicture(c *call, id core.UserID, sp *spool) error {
	png, err := a.pictures.Square(c.ctx, sp.reader(), userImageSide)
	if core.KindOf(err) == core.KindInvalid {
		err = core.E(core.KindInvalid, "The picture cannot be used: %s.", core.AsError(err).Message).
			WithID("api.user.upload_profile_user.decode.app_error").WithCause(err)
	}
	if err != nil {
		return err
	}
	picture := blobOf(png)
	if err := c.put([]blob{picture}); err != nil {
		return err
	}
	if err := c.propose(core.TeamID{}, &command.SetUserImage{UserID: id, Picture: picture.BlobRef}, nil); err != nil {
		return err
	}
	return c.done()
}

func (a *API) deleteUserImage(c *call) error {
	id, err := c.ownUser()
	if err != nil {
		return err
	}
	if err := c.propose(core.TeamID{}, &command.SetUserImage{UserID: id}, nil); err != nil {
		return err
	}
	return c.done()
}
