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
	partBytes    = 4 << 20 // stored at once, so that little is lost when anything dies
	partsAtMost  = core.MaxUploadParts / 2
	silentLimit  = time.Second     // after which a request is taken for dead when its client asks again
	settleLimit  = 5 * time.Second // for a request that has ended to have stored what it got
	settleTick   = 20 * time.Millisecond
	onTheLine    = 16 << 20        // bytes; more than a kernel keeps of a connection
	headerOffset = "Upload-Offset" // where a client believes that its bytes belong; not required
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
		return out, api.NotBuilt("uploads for imports")
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
	return api.Changed(c, &command.CreateUpload{Upload: up}, s.Read.Upload, up.ID)
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

// settle has what is arriving of uploads arrive, if their clients seem to be gone. What was read
// of them before is of the past, also if there was nothing to wait for: it may just have arrived.
func (s *Service) settle(c *api.Call, list ...core.Upload) {
	ctx, cancel := context.WithTimeout(c.Context, settleLimit)
	defer cancel()
	for _, up := range list {
		s.transfers.settle(ctx, up.ID)
	}
}

// ours allows the owner of the upload of the path.
func (s *Service) ours() api.Policy[core.Upload] {
	return kept(s, api.Allow("the owner of upload_id", func(c *api.Call) (core.Upload, error) {
		id, err := newestUpload(c)
		if err != nil {
			return core.Upload{}, err
		}
		return s.ownUpload(c, id)
	}))
}

// oursOrMade is ours, and also allows the owner of the file that an upload has become.
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

// newestUpload gives the id of the path's upload, of which this edge then knows the latest: who
// goes on with an upload at another edge must not be told an offset of the past, or the bytes that
// follow would go to the wrong place.
func newestUpload(c *api.Call) (core.UploadID, error) {
	id, err := api.PathID[core.Upload](c, "upload_id")
	if err == nil {
		c.Newest()
	}
	return id, err
}

// ownUpload gives an upload of who asks.
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

// uploadData takes in what comes next of an upload. What has arrived is stored part by part, so
// whatever dies, the client, this edge or home's leader, any edge goes on from the last part. When
// all is there the file is made; should that fail, the next request does it, also one without a
// body, and also when the file is there already and its client was never told.
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

// addTo adds the body to an upload, and makes the file when that was the last of it.
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
	s.transfers.leave(up.ID, in) // before settled: who waited for that goes on at once
	in.settled()
	return api.Raw{Status: http.StatusNoContent}, err
}

// fileOf is the id of the file that is made of an upload: so a repeated request finds it.
func fileOf(id core.UploadID) core.FileID { return core.FileID(id) }

// checkExtent refuses a body that cannot fit, before any of it is read.
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
	from    io.Reader // the bytes of the file in the body
	form    *form     // nil when the body is the bytes
	up      core.Upload
}

// findFile goes to the file in the form.
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

// receive takes in parts until the body ends.
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

// part takes in one part, and reports whether it was the last of the body. Of a body that is cut
// short, what came is kept; of one that is too long, the last part is not.
func (d *data) part() (all bool, err error) {
	left := d.up.FileSize - d.up.FileOffset
	want := min(left, max(d.service.transfers.part, d.up.FileSize/partsAtMost))
	sp, err := d.service.spools.open(want)
	if err != nil {
		return false, err
	}
	defer sp.close()
	if all, err = sp.take(d.from, want); err == nil && !all && d.form != nil && d.body.over.Load() {
		// The form's reader has all that will come, and cannot tell data from the beginning of a
		// boundary that was cut off until its end is seen.
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

// keepCut keeps what came before a body was cut short, if it was.
func (d *data) keepCut(sp *spool, why error) error {
	if d.body.err == nil || d.body.err == io.EOF && d.form == nil { //nolint:errorlint // incoming gives nothing else
		return why // not the body's fault: a full disk, or a form that makes no sense
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

// append stores a part and makes it known, even if the client has gone: it will want to go on.
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

// finishUpload gives the file of an upload that has all its parts.
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

// assemble makes a whole of parts that are stored, wherever they came in.
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

// lost is notStored for a part that should be stored: that it is not, nobody else would notice.
func lost(c *api.Call, p core.BlobRef, err error) error {
	if k := core.KindOf(err); k == core.KindNotFound || k == core.KindDiverged {
		c.Log().Error("a part of an upload is lost or damaged", "blob", p.ID, "error", err)
	}
	return notStored(c, err)
}

var concurrent = core.Refusal{Kind: core.KindConflict, ID: "app.upload.upload_data.concurrent.app_error"}

// transfers are the requests that are adding to uploads at this edge, one for each upload.
type transfers struct {
	part int64 // partBytes

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

// leave ends what begin began. More than once is harmless.
func (t *transfers) leave(id core.UploadID, in *incoming) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.byID[id] == in {
		delete(t.byID, id)
	}
}

// settle waits until a request that is over, though nobody may have noticed yet, has stored what
// it got: who asks how far an upload is goes on from there, and nothing may be added after that.
// A request that has gone silent is ended. One that is getting on is left alone, once more has
// come than could have waited on the line.
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
