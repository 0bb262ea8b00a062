package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/nearside/nearside/cdn"
	"github.com/nearside/nearside/cdn/image"
	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/command"
)

// Pictures of users.
const (
	userImageSide  = 256 // of what is kept of an uploaded one
	initialsSide   = 128
	initialsBytes  = 8 << 20 // memory for drawn initials
	maxUserParts   = 16      // of a form with a picture
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
	png, err := a.receivePicture(c)
	if err != nil {
		return err
	}
	picture := core.BlobRef{ID: sha256.Sum256(png), Size: int64(len(png))}
	if err := a.cfg.Files.Blobs.Put(c.ctx, cdn.Digest(picture.ID), picture.Size, bytes.NewReader(png)); err != nil {
		return err
	}
	if err := c.propose(core.TeamID{}, &command.SetUserImage{UserID: id, Picture: picture}, nil); err != nil {
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

// receivePicture gives the picture of the request's form, cut square. It waits in a file: a
// decoder reads it more than once, and it may be as large as any file.
func (a *API) receivePicture(c *call) ([]byte, error) {
	part, err := c.picturePart()
	if err != nil {
		return nil, err
	}
	f, err := os.CreateTemp(a.cfg.Files.Spool, "picture-")
	if err != nil {
		return nil, core.E(core.KindUnavailable, "There is no room for uploads at the moment.").WithCause(err)
	}
	defer func() {
		_ = f.Close() // it goes
		_ = os.Remove(f.Name())
	}()
	if _, err := io.Copy(f, part); err != nil {
		return nil, badPictureForm(err)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, badPictureForm(err)
	}
	png, err := a.pictures.Square(c.ctx, f, userImageSide)
	if core.KindOf(err) == core.KindInvalid {
		err = core.E(core.KindInvalid, "The picture cannot be used: %s.", core.AsError(err).Message).
			WithID("api.user.upload_profile_user.decode.app_error").WithCause(err)
	}
	return png, err
}

// picturePart finds the field "image" of the request's form.
func (c *call) picturePart() (*multipart.Part, error) {
	c.r.Body = http.MaxBytesReader(c.w, c.r.Body, c.api.cfg.Files.maxBytes()+maxBodyBytes)
	form, err := c.r.MultipartReader()
	for range maxUserParts {
		if err != nil {
			break
		}
		var part *multipart.Part
		if part, err = form.NextPart(); err == nil && part.FormName() == "image" {
			return part, nil
		}
	}
	if err == nil || errors.Is(err, io.EOF) {
		return nil, core.E(core.KindInvalid, "There is no file under 'image' in the request.").WithID("api.user.upload_profile_user.no_file.app_error")
	}
	return nil, badPictureForm(err)
}

func badPictureForm(err error) error {
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return core.E(core.KindTooLarge, "The picture is too large.").WithID("api.user.upload_profile_user.too_large.app_error")
	}
	var disk *os.PathError
	if errors.As(err, &disk) {
		return core.E(core.KindUnavailable, "There is no room for uploads at the moment.").WithCause(err)
	}
	return core.E(core.KindInvalid, "The form with the picture could not be read.").WithID("api.user.upload_profile_user.parse.app_error").WithCause(err)
}
