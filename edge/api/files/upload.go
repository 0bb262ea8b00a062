package files

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/nearside/nearside/cdn"
	"github.com/nearside/nearside/cdn/text"
	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/authz"
	"github.com/nearside/nearside/core/command"
	"github.com/nearside/nearside/edge/api"
	"github.com/nearside/nearside/edge/api/access"
)

// maxClientID bounds a client's own id of a file.
const maxClientID = 256

// fileRequest is an upload request without the files' bytes.
type fileRequest struct {
	channel   core.Channel
	clientIDs []string
	files     []arrived
}

// arrived is a file that has been received but not stored yet.
type arrived struct {
	name string
	*spool
}

// What an upload can be refused for.
var (
	noChannelID      = core.Refusal{Kind: core.KindInvalid, ID: "api.file.upload_file.missing_channel_id.app_error"}
	wrongClientIDs   = core.Refusal{Kind: core.KindInvalid, ID: "api.file.upload_file.incorrect_number_of_client_ids.app_error"}
	fileTooLarge     = core.Refusal{Kind: core.KindTooLarge, ID: "api.file.upload_file.too_large_detailed.app_error"}
	tooManyFiles     = core.Refusal{Kind: core.KindInvalid, ID: "api.file.upload_file.too_many_files.app_error"}
	noFileInForm     = core.Refusal{Kind: core.KindInvalid, ID: "api.file.upload_file.no_file.app_error"}
	uploadToArchived = core.Refusal{Kind: core.KindInvalid, ID: "api.file.upload_file.archived_channel.app_error"}
	scanTooLarge     = core.Refusal{Kind: core.KindTooLarge, ID: "api.nearside.scan_too_large.app_error"}
	scanUnavailable  = core.Refusal{Kind: core.KindUnavailable, ID: "api.nearside.scan_unavailable.app_error"}
	infected         = core.Refusal{Kind: core.KindInvalid, ID: "api.nearside.infected.app_error"}
	picturesBusy     = core.Refusal{Kind: core.KindUnavailable, ID: "api.nearside.pictures_busy.app_error"}
	filesUnavailable = core.Refusal{Kind: core.KindUnavailable, ID: "api.nearside.files_unavailable.app_error"}
)

func (q *fileRequest) close() {
	for _, f := range q.files {
		f.close()
	}
}

// uploadFiles receives files, in a form or as the body. It stores nothing before all have
// arrived, and proposes nothing before all are stored.
func (s *Service) uploadFiles(c *api.Call, _ core.User) (out uploaded, err error) {
	boundary, multi, err := formBoundary(c.Request.Header)
	if err != nil {
		return out, err
	}
	q := new(fileRequest)
	defer q.close()
	name, err := s.checkRequest(c, q, multi)
	if err != nil {
		return out, err
	}
	in, err := s.receive(c)
	if err != nil {
		return out, err
	}
	defer in.end()
	if multi {
		err = s.receiveForm(c, q, newForm(in, boundary))
	} else {
		err = s.receiveBody(c, q, name, in)
	}
	if err != nil {
		return out, err
	}
	return s.keepFiles(c, q)
}

// checkRequest checks what can be checked before the body is read, and returns the file's name if
// the body is the file.
func (s *Service) checkRequest(c *api.Call, q *fileRequest, multi bool) (name string, err error) {
	if !multi || c.Query("channel_id") != "" {
		if q.channel, err = s.uploadChannel(c, c.Query("channel_id")); err != nil {
			return "", err
		}
	}
	limit, largest := s.cfg.MaxBytes, int64(0)
	if largest = limit; multi {
		largest = core.MaxFilesPerPost * (limit + formSlack)
	}
	switch {
	case c.Request.ContentLength > largest:
		return "", tooLarge(limit)
	case multi:
		return "", nil
	}
	q.clientIDs = append(c.Queries("client_ids"), c.Queries("client_id")...)
	return cleanName(c.Query("filename"))
}

// uploaded is the created files and the client's ids for them.
type uploaded struct {
	Files     []core.File `json:"file_infos"`
	ClientIDs []string    `json:"client_ids"`
}

func (s *Service) keepFiles(c *api.Call, q *fileRequest) (uploaded, error) {
	var kept []*command.CreateFile
	for _, f := range q.files {
		err := c.Within(storeLimit(f.size), func() error {
			if err := s.room(c, q.channel, f.size); err != nil {
				return err
			}
			cmd, err := s.keep(c, f, core.NewID[core.File](time.Now()), q.channel)
			kept = append(kept, cmd)
			return err
		})
		if err != nil {
			return uploaded{}, err
		}
		f.close()
	}
	out := uploaded{make([]core.File, len(kept)), append([]string{}, q.clientIDs...)}
	for i, cmd := range kept {
		var err error
		cmd.Quota = s.cfg.Quota
		if out.Files[i], err = api.Changed(c, cmd, s.Read.File, cmd.File.ID); err != nil {
			return out, err
		}
	}
	return out, nil
}

// room refuses a file that home would refuse, before its bytes are stored.
func (s *Service) room(c *api.Call, ch core.Channel, size int64) error {
	person, team, err := s.Read.Stored(c, c.User.ID, ch.TeamID)
	if err != nil {
		return err
	}
	return s.cfg.Quota.Check(size, person, team)
}

// receiveBody receives a request whose body is a file.
func (s *Service) receiveBody(c *api.Call, q *fileRequest, name string, in *incoming) error {
	if err := s.receiveFile(c, q, name, in); err != nil {
		return err
	}
	return q.complete()
}

// receiveForm receives a request whose body is a multipart form.
func (s *Service) receiveForm(c *api.Call, q *fileRequest, f *form) error {
	for {
		p, err := f.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = s.receivePart(c, q, p)
		}
		if err != nil {
			return err
		}
	}
	if err := f.drain(); err != nil {
		return err
	}
	return q.complete()
}

func (s *Service) receivePart(c *api.Call, q *fileRequest, p *formPart) error {
	if p.file { // files may come before the channel: the command line in the documentation sends it last
		if len(q.files) >= core.MaxFilesPerPost {
			return tooManyFiles.With("max", core.MaxFilesPerPost)
		}
		name, err := cleanName(p.name)
		if err != nil {
			return err
		}
		return s.receiveFile(c, q, name, p)
	}
	value, err := p.text()
	if err != nil {
		return err
	}
	switch p.field {
	case "channel_id":
		err = c.Within(api.RequestLimit, func() (err error) {
			q.channel, err = s.uploadChannel(c, value)
			return err
		})
	case "client_ids":
		q.clientIDs = append(q.clientIDs, value)
	}
	return err
}

// receiveFile receives one file.
func (s *Service) receiveFile(c *api.Call, q *fileRequest, name string, r io.Reader) error {
	limit := s.cfg.MaxBytes
	sp, err := s.spools.open(min(c.Request.ContentLength, limit))
	if err != nil {
		return err
	}
	q.files = append(q.files, arrived{name, sp})
	return sp.takeFile(r, limit, tooLarge(limit))
}

// complete checks what can be checked only when everything has arrived.
func (q *fileRequest) complete() error {
	switch {
	case q.channel.ID.IsZero():
		return noChannelID
	case len(q.files) == 0:
		return noFileInForm
	case len(q.clientIDs) > 0 && len(q.clientIDs) != len(q.files):
		return wrongClientIDs.With("ids", len(q.clientIDs), "files", len(q.files))
	}
	for _, id := range q.clientIDs {
		if len(id) > maxClientID {
			return api.BadParam("client_ids")
		}
	}
	return nil
}

// uploadChannel returns a channel to which the caller may upload. Apply checks this again;
// checking here avoids a useless transfer.
func (s *Service) uploadChannel(c *api.Call, said string) (core.Channel, error) {
	id, ok := core.ParseID[core.Channel](said)
	if !ok {
		return core.Channel{}, api.BadParam("channel_id")
	}
	ch, err := s.Channel(c, id)
	if err == nil && ch.ID.IsZero() && c.CaughtUpWithHome("upload "+said) {
		ch, err = s.Channel(c, id)
	}
	switch {
	case err != nil:
		return ch, err
	case ch.ID.IsZero():
		return ch, access.NoChannel
	}
	if err := access.Granted(s.MayInChannel(c, ch, authz.UploadFile)); err != nil {
		return ch, err
	}
	if ch.DeleteAt != 0 {
		return ch, uploadToArchived
	}
	return ch, nil
}

func tooLarge(limit int64) *core.Error {
	return fileTooLarge.With("max", limit)
}

// keep prepares a received file for its proposal: it checks the file, makes previews, and stores
// the bytes. If it fails, the sweep removes what was stored.
func (s *Service) keep(c *api.Call, f arrived, id core.FileID, ch core.Channel) (*command.CreateFile, error) {
	if err := s.scan(c, f); err != nil {
		return nil, err
	}
	head, err := f.head()
	if err != nil {
		return nil, err
	}
	cmd := &command.CreateFile{File: core.File{
		ID: id, ChannelID: ch.ID, Name: f.name, Extension: extensionOf(f.name), Size: f.size, MimeType: typeOf(f.name, head), Content: f.ref(),
	}}
	blobs := []blob{{cmd.File.Content, f.reader()}}
	if pictures[cmd.File.MimeType] {
		small, err := s.picture(c, f, &cmd.File)
		if err != nil {
			return nil, err
		}
		blobs = append(blobs, small...)
	}
	cmd.Text = s.words(c, f, cmd.File.MimeType)
	return cmd, s.put(c, blobs)
}

// scan asks the scanner, if there is one. A file without a verdict is not treated as clean.
func (s *Service) scan(c *api.Call, f arrived) error {
	if s.cfg.Scanner == nil {
		return nil
	}
	verdict, err := s.cfg.Scanner.Scan(c, f.reader())
	switch {
	case core.KindOf(err) == core.KindTooLarge:
		return scanTooLarge.WithCause(err)
	case err != nil && c.Context.Err() == nil, core.KindOf(err) == core.KindTimeout:
		return scanUnavailable.WithCause(err)
	case err != nil:
		return err
	case verdict.Infected:
		c.Log().Warn("an upload is infected", "user", c.User.ID, "signature", verdict.Signature)
		return infected.With("signature", verdict.Signature)
	}
	return nil
}

// blob is bytes to be stored.
type blob struct {
	core.BlobRef
	io.Reader
}

func blobOf(b []byte) blob {
	return blob{core.BlobRef{ID: sha256.Sum256(b), Size: int64(len(b))}, bytes.NewReader(b)}
}

// picture makes the previews of a picture. A broken picture is stored like any other file.
func (s *Service) picture(c *api.Call, f arrived, file *core.File) ([]blob, error) {
	set, err := s.pictures.For(c.Who()).Make(c, f.reader())
	switch {
	case err == nil:
	case core.KindOf(err) == core.KindInvalid:
		return nil, nil
	case core.KindOf(err) == core.KindTimeout:
		return nil, picturesBusy.WithCause(err)
	default:
		return nil, err
	}
	file.Width, file.Height = int64(set.Width), int64(set.Height)
	thumbnail, preview := blobOf(set.Thumbnail), blobOf(set.Preview)
	file.HasPreview, file.MiniPreview = set.HasPreview, set.Mini
	file.Thumbnail, file.Preview = thumbnail.BlobRef, preview.BlobRef
	return []blob{thumbnail, preview}, nil
}

// words extracts the file's words for the search. A file without words is stored all the same.
func (s *Service) words(c *api.Call, f arrived, kind string) string {
	words, err := text.Extract(c, f.name, kind, f.file, f.size, core.MaxFileText)
	if err != nil {
		c.Log().Debug("no text in a file", "type", kind, "size", f.size, "error", err)
		return ""
	}
	return words
}

// put stores blobs concurrently, as each may go to a distant node.
func (s *Service) put(c *api.Call, blobs []blob) error {
	errs := make([]error, len(blobs))
	ctx, cancel := context.WithCancel(c.Context)
	defer cancel()
	var all sync.WaitGroup
	for i, b := range blobs {
		all.Go(func() {
			if errs[i] = s.cfg.Blobs.Put(ctx, cdn.Digest(b.ID), b.Size, b.Reader); errs[i] != nil {
				cancel() // the others are not needed any more
			}
		})
	}
	all.Wait()
	return notStored(c, errors.Join(errs...))
}

// notStored maps a store's error to one for the client: nothing was created, and the client is
// not at fault.
func notStored(c *api.Call, err error) error {
	switch {
	case err == nil:
		return nil
	case c.Request.Context().Err() != nil:
		return core.E(core.KindCanceled, "").WithCause(err)
	case core.KindOf(err) == core.KindInternal, core.KindOf(err) == core.KindInvalid:
		return core.E(core.KindInternal, "").WithCause(fmt.Errorf("store a file: %w", err))
	}
	return filesUnavailable.WithCause(err)
}
