package files

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/nearside/nearside/cdn"
	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/command"
	"github.com/nearside/nearside/edge/api"
)

// Limits of uploads that take several requests.
const (
	partBytes    = 4 << 20 // stored at once, so that a failure loses little
	partsAtMost  = core.MaxUploadParts / 2
	silentLimit  = time.Second     // after this time without bytes a request counts as dead if its client asks again
	settleLimit  = 5 * time.Second // for a request that has ended to store what it received
	settleTick   = 20 * time.Millisecond
	onTheLine    = 16 << 20        // bytes; more than a kernel buffers for a connection
	headerOffset = "Upload-Offset" // the offset at which the client believes its bytes belong; optional
)

// What the parts of an upload can be refused for.
var (
	badUploadName  = core.Refusal{Kind: core.KindInvalid, ID: "model.upload_session.is_valid.filename.app_error"}
	uploadTooLarge = core.Refusal{Kind: core.KindTooLarge, ID: "app.upload.create.upload_too_large.app_error"}
	notYours       = core.Refusal{Kind: core.KindForbidden, ID: "api.upload.get_upload.forbidden.app_error"}
	wrongOffset    = core.Refusal{Kind: core.KindConflict, ID: "api.nearside.upload_offset.app_error"}
	wrongLength    = core.Refusal{Kind: core.KindInvalid, ID: "api.upload.upload_data.invalid_content_length"}
	noFilePart     = core.Refusal{Kind: core.KindInvalid, ID: "api.upload.upload_data.multipart_error"}
)

var noImports = api.NotBuilt.With("reason", "imports")

var noUpload = core.Refusal{Kind: core.KindNotFound, ID: "app.upload.get.app_error"}

func (s *Service) createUpload(c *api.Call, _ core.User, in core.Upload) (out core.Upload, err error) {
	if in.ChannelID.IsZero() {
		return out, api.BadParam("channel_id")
	}
	ch, err := s.uploadChannel(c, in.ChannelID.String())
	if err != nil {
		return out, err
	}
	up := core.Upload{ID: core.NewID[core.Upload](time.Now()), Type: in.Type, ChannelID: ch.ID, FileSize: in.FileSize}
	switch up.Type {
	case "":
		up.Type = core.UploadAttachment
	case "import":
		return out, noImports
	}
	if up.Filename, err = cleanName(in.Filename); err != nil {
		return out, badUploadName
	}
	if err := up.Check(); err != nil {
		return out, err
	}
	if up.FileSize > s.cfg.MaxBytes {
		return out, uploadTooLarge.With("max", s.cfg.MaxBytes)
	}
	return api.Changed(c, &command.CreateUpload{Upload: up, Quota: s.cfg.Quota}, s.Read.Upload, up.ID)
}

func (s *Service) listUploads(c *api.Call, id core.UserID) ([]core.Upload, error) {
	c.Newest()
	list, err := s.Read.UploadsOfUser(c, id)
	if err == nil {
		s.settle(c, list...)
		list, err = s.Read.UploadsOfUser(c, id)
	}
	return list, err
}

func (s *Service) getUpload(c *api.Call, up core.Upload) (core.Upload, error) {
	s.settle(c, up)
	return s.ownUpload(c, up.ID)
}

// settle ends the running requests of uploads whose clients seem to be gone, so that their bytes
// are stored. The caller must read the uploads again afterwards, also if nothing was running: the
// bytes may have just been stored.
func (s *Service) settle(c *api.Call, list ...core.Upload) {
	ctx, cancel := context.WithTimeout(c.Context, settleLimit)
	defer cancel()
	for _, up := range list {
		s.transfers.settle(ctx, up.ID)
	}
}

// ours allows the owner of the path's upload.
func (s *Service) ours() api.Policy[core.Upload] {
	return kept(s, api.Allow("the owner of upload_id", func(c *api.Call) (core.Upload, error) {
		id, err := newestUpload(c)
		if err != nil {
			return core.Upload{}, err
		}
		return s.ownUpload(c, id)
	}))
}

// oursOrMade is ours, and also allows the owner of the file that was made of the upload.
func (s *Service) oursOrMade() api.Policy[made] {
	return kept(s, api.Allow("the owner of upload_id, or of its file", func(c *api.Call) (m made, err error) {
		id, err := newestUpload(c)
		if err != nil {
			return m, err
		}
		if m.upload, err = s.ownUpload(c, id); core.KindOf(err) != core.KindNotFound {
			return m, err
		}
		f, ok, failed := s.Read.File(c, fileOf(id))
		switch {
		case failed != nil:
			return m, failed
		case !ok || !c.IsMe(f.UserID) || f.DeleteAt != 0:
			return m, err
		}
		return made{file: f}, nil
	}))
}

// made is an upload, or the file that was made of it.
type made struct {
	upload core.Upload
	file   core.File
}

// newestUpload returns the id of the path's upload after this edge has caught up with home: a
// client that continues at another edge must not get an old offset, or its next bytes would go to
// the wrong place.
func newestUpload(c *api.Call) (core.UploadID, error) {
	id, err := api.PathID[core.Upload](c, "upload_id")
	if err == nil {
		c.Newest()
	}
	return id, err
}

// ownUpload returns an upload of the caller.
func (s *Service) ownUpload(c *api.Call, id core.UploadID) (core.Upload, error) {
	up, ok, err := s.Read.Upload(c, id)
	switch {
	case err != nil:
		return up, err
	case !ok:
		return up, noUpload
	case !c.IsMe(up.UserID):
		return core.Upload{}, notYours
	}
	s.Placed(c, id, up.ChannelID)
	return up, nil
}

// uploadData receives the next bytes of an upload. They are stored part by part. So if the
// client, this edge or home's leader fails, any edge continues after the last part. When
// everything has arrived, the file is made. If that fails, the next request does it, even one
// without a body, and also if the file was made but its client never got the answer.
func (s *Service) uploadData(c *api.Call, m made) (api.Answer, error) {
	if !m.file.ID.IsZero() {
		return api.Value(http.StatusCreated, m.file), nil
	}
	ch, err := s.uploadChannel(c, m.upload.ChannelID.String())
	if err != nil {
		return nil, err
	}
	return s.addTo(c, m.upload, ch)
}

// addTo adds the body to an upload, and makes the file when everything has arrived.
func (s *Service) addTo(c *api.Call, up core.Upload, ch core.Channel) (api.Answer, error) {
	boundary, multi, err := formBoundary(c.Request.Header)
	if err != nil {
		return nil, err
	}
	if err := checkExtent(c, up, multi); err != nil {
		return nil, err
	}
	in, err := s.receive(c)
	if err != nil {
		return nil, err
	}
	defer in.end()
	if err := s.transfers.begin(up.ID, in); err != nil {
		return nil, err
	}
	defer s.transfers.leave(up.ID, in)
	d := &data{service: s, call: c, body: in, from: in, up: up}
	if multi {
		d.form = newForm(in, boundary)
	}
	err = d.receive()
	if err == nil && d.up.FileOffset == d.up.FileSize {
		in.settled()
		f, err := s.finishUpload(c, d.up, ch)
		return api.Value(http.StatusCreated, f), err
	}
	s.transfers.leave(up.ID, in) // before settled: a caller that waited for it continues at once
	in.settled()
	return api.Raw{Status: http.StatusNoContent}, err
}

// fileOf is the id of the file that is made of an upload: a repeated request finds the file by
// it.
func fileOf(id core.UploadID) core.FileID { return core.FileID(id) }

// checkExtent refuses a body that cannot fit, before it is read.
func checkExtent(c *api.Call, up core.Upload, multi bool) error {
	left := up.FileSize - up.FileOffset
	if said := c.Request.Header.Get(headerOffset); said != "" && said != strconv.FormatInt(up.FileOffset, 10) {
		return wrongOffset.With("offset", up.FileOffset)
	}
	if !multi && c.Request.ContentLength > left || multi && c.Request.ContentLength > left+core.MaxFilesPerPost*formSlack {
		return overExtent(up)
	}
	return nil
}

func overExtent(up core.Upload) error {
	return wrongLength.With("left", up.FileSize-up.FileOffset, "offset", up.FileOffset)
}

// data is a body that becomes parts of an upload.
type data struct {
	service *Service
	call    *api.Call
	body    *incoming
	from    io.Reader // the file's bytes in the body
	form    *form     // nil if the body is the file
	up      core.Upload
}

// findFile reads to the file in the form.
func (d *data) findFile() error {
	for {
		p, err := d.form.next()
		switch {
		case errors.Is(err, io.EOF):
			return noFilePart
		case err != nil:
			return err
		case p.file:
			d.from = p
			return nil
		}
		if _, err := p.text(); err != nil {
			return err
		}
	}
}

// receive stores parts until the body ends.
func (d *data) receive() error {
	if d.form != nil {
		if err := d.findFile(); err != nil {
			return err
		}
	}
	for all := false; !all; {
		var err error
		if all, err = d.part(); err != nil {
			return err
		}
		d.body.pause()
	}
	if d.form != nil {
		return d.form.drain()
	}
	return nil
}

// part receives one part, and reports whether it was the body's last. Of a body that is cut off,
// the received bytes are stored; of a body that is too long, the last part is not.
func (d *data) part() (all bool, err error) {
	left := d.up.FileSize - d.up.FileOffset
	want := min(left, max(d.service.transfers.part, d.up.FileSize/partsAtMost))
	sp, err := d.service.spools.open(want)
	if err != nil {
		return false, err
	}
	defer sp.close()
	if all, err = sp.take(d.from, want); err == nil && !all && d.form != nil && d.body.over.Load() {
		// At the end of the input, the form's reader cannot distinguish data from the beginning
		// of a boundary that was cut off.
		all, err = sp.take(d.from, left-sp.size)
	}
	if err == nil && !all && sp.size == left {
		if all, err = atEnd(d.from); err == nil && !all {
			return false, overExtent(d.up)
		}
	}
	if err != nil {
		return false, d.keepCut(sp, bodyError(err))
	}
	return all, d.append(sp)
}

// keepCut stores what was received of a body that was cut off.
func (d *data) keepCut(sp *spool, why error) error {
	if d.body.err == nil || d.body.err == io.EOF && d.form == nil { //nolint:errorlint // incoming gives nothing else
		return why // not because of the body's end: a full disk, or a malformed form
	}
	if d.form != nil {
		if err := sp.cut(int64(len("\r\n--" + d.form.boundary + "--"))); err != nil {
			return errors.Join(why, err)
		}
	}
	if err := d.append(sp); err != nil {
		d.call.Log().Debug("the end of a cut request is lost", "upload", d.up.ID, "bytes", sp.size, "error", err)
	}
	return why
}

// append stores a part and proposes it, even if the client has gone: it will want to continue.
func (d *data) append(sp *spool) error {
	if sp.size == 0 {
		return nil
	}
	c := d.call
	before := c.Context
	c.Context = context.WithoutCancel(before)
	defer func() { c.Context = before }()
	return c.Within(storeLimit(sp.size), func() error {
		if err := d.service.put(c, []blob{{sp.ref(), sp.reader()}}); err != nil {
			return err
		}
		up, err := api.Changed(c, &command.AppendUpload{UploadID: d.up.ID, Offset: d.up.FileOffset, Part: sp.ref()}, d.service.Read.Upload, d.up.ID)
		switch {
		case core.KindOf(err) == core.KindConflict:
			return concurrent.WithCause(err)
		case err != nil:
			return err
		}
		d.up = up
		return nil
	})
}

// finishUpload makes the file of an upload that has all its parts.
func (s *Service) finishUpload(c *api.Call, up core.Upload, ch core.Channel) (out core.File, err error) {
	err = c.Within(storeLimit(up.FileSize), func() error {
		whole, err := s.assemble(c, up)
		if err != nil {
			return err
		}
		defer whole.close()
		cmd, err := s.keep(c, arrived{up.Filename, whole}, fileOf(up.ID), ch)
		if err != nil {
			return err
		}
		out, err = api.Changed(c, &command.FinishUpload{UploadID: up.ID, File: cmd.File, Text: cmd.Text}, s.Read.File, cmd.File.ID)
		return err
	})
	return out, err
}

// assemble reads the stored parts, whichever edge received them, into one spool file.
func (s *Service) assemble(c *api.Call, up core.Upload) (*spool, error) {
	whole, err := s.spools.open(up.FileSize)
	if err != nil {
		return nil, err
	}
	for _, p := range up.Parts {
		if err := s.copyPart(c, whole, p); err != nil {
			whole.close()
			return nil, err
		}
	}
	return whole, nil
}

func (s *Service) copyPart(c *api.Call, to *spool, p core.BlobRef) error {
	b, err := s.cfg.Blobs.Get(c, cdn.Digest(p.ID), cdn.Whole)
	if err != nil {
		return lost(c, p, err)
	}
	defer func() { _ = b.Close() }()
	before := to.size
	if _, err := to.take(b, p.Size+1); err != nil {
		return lost(c, p, err)
	}
	if to.size-before != p.Size {
		return lost(c, p, core.E(core.KindDiverged, "a part of %d bytes, not %d", to.size-before, p.Size))
	}
	return nil
}

// lost is notStored for a part that should be stored. It logs the loss, since nobody else would
// notice.
func lost(c *api.Call, p core.BlobRef, err error) error {
	if k := core.KindOf(err); k == core.KindNotFound || k == core.KindDiverged {
		c.Log().Error("a part of an upload is lost or damaged", "blob", p.ID, "error", err)
	}
	return notStored(c, err)
}

var concurrent = core.Refusal{Kind: core.KindConflict, ID: "app.upload.upload_data.concurrent.app_error"}

// transfers has the requests that are adding to uploads at this edge, at most one for each
// upload.
type transfers struct {
	part int64 // size of a part; partBytes

	mu   sync.Mutex // guards byID
	byID map[core.UploadID]*incoming
}

func newTransfers() *transfers {
	return &transfers{part: partBytes, byID: map[core.UploadID]*incoming{}}
}

func (t *transfers) begin(id core.UploadID, in *incoming) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.byID[id] != nil {
		return concurrent
	}
	t.byID[id] = in
	return nil
}

// leave undoes begin. It may be called more than once.
func (t *transfers) leave(id core.UploadID, in *incoming) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.byID[id] == in {
		delete(t.byID, id)
	}
}

// settle waits until a request that has ended, perhaps unnoticed, has stored what it received:
// the client continues from the offset that it is told, and nothing may be added after that. A
// silent request is ended. A request that is making progress continues, if more bytes have
// arrived than a connection can buffer.
func (t *transfers) settle(ctx context.Context, id core.UploadID) {
	t.mu.Lock()
	in := t.byID[id]
	t.mu.Unlock()
	if in == nil {
		return
	}
	tick := time.NewTicker(settleTick)
	defer tick.Stop()
	for begin := in.bytes.Load(); in.bytes.Load()-begin < onTheLine; {
		if in.silent(silentLimit) {
			in.stop()
		}
		select {
		case <-in.taken:
			return
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
