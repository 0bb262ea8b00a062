package apply

import (
	"slices"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/authz"
	"github.com/nearside/nearside/core/command"
	"github.com/nearside/nearside/core/schema"
)

// dropsAtOnce is how many old uploads of the user, and of anybody, each new upload removes. It is more
// than one, so that the number of abandoned uploads does not grow.
const dropsAtOnce = 4

// Uploads has the uploads under way, and those that are over but still have parts.
var (
	Uploads       = table[core.UploadID, core.Upload]("uploads", "id")
	uploadsOf     = index[core.UserID](Uploads, []string{"user_id"}, schema.OrderBy("create_at"), schema.WhereZero("delete_at"), schema.AtMost(dropsAtOnce))
	oldestUploads = index[struct{}](Uploads, nil, schema.OrderBy("create_at"), schema.WhereZero("delete_at"), schema.AtMost(dropsAtOnce))
)

var (
	uploadNotFound = core.Refusal{Kind: core.KindNotFound, ID: "app.upload.get.app_error"}
	tooManyUploads = core.Refusal{Kind: core.KindLimit, ID: "api.nearside.limit.app_error"}
)

// partsAtOnce is how many parts of an upload are released at a time. Eight uploads may go in one entry,
// and each part is read and written: with more of them the entry would be over its price, and nobody
// could begin an upload.
const partsAtOnce = 100

// uploadCount counts the uploads of a user that are not over.
func uploadCount(u core.UserID) string { return "uploads:" + u.String() }

func createUpload(x *exec, c *command.CreateUpload) (any, error) {
	in := c.Upload
	u, ch, err := x.channelFor(in.ChannelID, authz.UploadFile)
	if err != nil {
		return nil, err
	}
	up := core.Upload{ID: in.ID, Type: in.Type, CreateAt: x.now, UserID: u.ID, ChannelID: ch.ID, Filename: in.Filename, FileSize: in.FileSize}
	if err := up.Check(); err != nil {
		return nil, err
	}
	if first, taken := Uploads.Get(x, up.ID); taken {
		if first.DeleteAt == 0 && first.UserID == u.ID && first.ChannelID == ch.ID && first.Filename == up.Filename && first.FileSize == up.FileSize {
			return nil, nil
		}
		return nil, conflict.With("reason", "upload")
	}
	x.dropOld(u)
	if x.count(uploadCount(u.ID)) >= core.MaxUploads {
		return nil, tooManyUploads.With("reason", "uploads", "max", core.MaxUploads)
	}
	if err := x.keepBytes(u.ID, ch, up.FileSize, c.Quota); err != nil {
		return nil, err
	}
	x.add(uploadCount(u.ID), 1)
	Uploads.Put(x, up)
	return nil, nil
}

// dropOld drops some uploads, of the user and of anybody, that were not finished in time.
func (x *exec) dropOld(u core.User) {
	list := uploadsOf.List(x, u.ID)
	for _, up := range oldestUploads.List(x, struct{}{}) {
		if up.UserID != u.ID { // those of the user are in the list already
			list = append(list, up)
		}
	}
	for _, up := range list {
		if up.CreateAt < x.now-core.UploadLife {
			x.dropUpload(up)
		}
	}
}

// dropUpload ends an upload. Its row stays until all its parts are released.
func (x *exec) dropUpload(up core.Upload) {
	up.DeleteAt = x.now
	Uploads.Put(x, up)
	x.add(uploadCount(up.UserID), -1)
	ch, _ := Channels.Get(x, up.ChannelID)
	x.freeBytes(up.UserID, ch, up.FileSize)
	x.beginTask(core.Task{Kind: core.TaskDropUpload, UploadID: up.ID})
}

// dropParts releases some of the parts of an upload that is over.
func dropParts(x *exec, t core.Task) bool {
	up, ok := Uploads.Get(x, t.UploadID)
	if !ok {
		return true
	}
	n := max(len(up.Parts)-partsAtOnce, 0)
	x.drop(up.Parts[n:]...)
	if n == 0 {
		Uploads.Delete(x, up.ID)
		return true
	}
	up.Parts = up.Parts[:n:n]
	Uploads.Put(x, up)
	return false
}

// upload gives the upload with an id, if it is the caller's.
func (x *exec) upload(id core.UploadID) (core.Upload, error) {
	u, err := x.caller()
	if err != nil {
		return core.Upload{}, err
	}
	up, ok := Uploads.Live(x, id)
	if !ok || up.UserID != u.ID {
		return up, uploadNotFound
	}
	return up, nil
}

func appendUpload(x *exec, c *command.AppendUpload) (any, error) {
	up, err := x.upload(c.UploadID)
	if err != nil {
		return nil, err
	}
	if n := len(up.Parts); n > 0 && up.Parts[n-1] == c.Part && c.Offset == up.FileOffset-c.Part.Size {
		return nil, nil
	}
	switch {
	case c.Offset != up.FileOffset:
		return nil, conflict.With("reason", "upload_offset", "offset", up.FileOffset, "got", c.Offset)
	case c.Part.ID.IsZero() || c.Part.Size <= 0:
		return nil, badRequest.With("reason", "part_empty")
	case c.Part.Size > up.FileSize-up.FileOffset:
		return nil, badRequest.With("reason", "part_too_large", "size", up.FileSize)
	case len(up.Parts) >= core.MaxUploadParts:
		return nil, badRequest.With("reason", "parts", "max", core.MaxUploadParts)
	}
	if err := x.hold(c.Part); err != nil {
		return nil, err
	}
	up.FileOffset += c.Part.Size
	up.Parts = append(slices.Clip(up.Parts), c.Part)
	Uploads.Put(x, up)
	return nil, nil
}

func finishUpload(x *exec, c *command.FinishUpload) (any, error) {
	up, err := x.upload(c.UploadID)
	if err != nil {
		return nil, x.finished(c, err)
	}
	switch {
	case up.FileOffset != up.FileSize:
		return nil, conflict.With("reason", "upload_unfinished", "offset", up.FileOffset, "size", up.FileSize)
	case c.File.ChannelID != up.ChannelID || c.File.Size != up.FileSize:
		return nil, badRequest.With("reason", "upload_file")
	}
	if err := x.createFile(c.File, c.Text, core.Quota{}); err != nil { // the upload is counted already
		return nil, err
	}
	x.dropUpload(up)
	return nil, nil
}

// finished gives the refusal, unless the file of the upload exists: then the same command was applied
// before, and the upload is gone because it is finished.
func (x *exec) finished(c *command.FinishUpload, refusal error) error {
	u, err := x.caller()
	if err != nil {
		return err
	}
	if f, ok := Files.Get(x, c.File.ID); ok && f.UserID == u.ID && f.Content == c.File.Content {
		return nil
	}
	return refusal
}
