package apply_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/apply"
	"github.com/nearside/nearside/core/command"
)

func (w *world) newUpload(ch core.ChannelID, size int64) *command.CreateUpload {
	return &command.CreateUpload{Upload: core.Upload{
		ID: core.NewID[core.Upload](w.at), Type: core.UploadAttachment, ChannelID: ch, Filename: "big.bin", FileSize: size,
	}}
}

func (w *world) upload(by string, ch core.ChannelID, size int64) core.Upload {
	w.Helper()
	var up core.Upload
	w.must(by, w.newUpload(ch, size), &up)
	return up
}

// An upload grows part by part, a repeated request adds nothing, and it ends as a file with the whole
// content while its parts are released.
func TestUpload(t *testing.T) {
	w, town := two(t)
	begin := w.newUpload(town, 6)
	begin.Upload.FileOffset, begin.Upload.Parts, begin.Upload.UserID = 3, []core.BlobRef{bytesOf("forged")}, w.users["ada"].ID
	var up, again core.Upload
	w.must("bob", begin, &up)
	w.must("bob", begin, &again)
	if d := cmp.Diff(up, again); d != "" || up.UserID != w.users["bob"].ID || up.FileOffset != 0 || up.Parts != nil || up.CreateAt == 0 {
		t.Errorf("began as %+v: %s", up, d)
	}
	add := func(at int64, text string) *command.AppendUpload {
		return &command.AppendUpload{UploadID: up.ID, Offset: at, Part: bytesOf(text)}
	}
	w.must("bob", add(0, "abc"), &up)
	w.must("bob", add(0, "abc"), &again)
	if d := cmp.Diff(up, again); d != "" || up.FileOffset != 3 || w.refs("abc") != 1 {
		t.Errorf("the same part again: %s", d)
	}
	w.refused("bob", add(0, "xyz"), core.KindConflict)
	w.refused("bob", add(4, "xy"), core.KindConflict)
	w.refused("bob", add(3, "four"), core.KindInvalid)
	w.refused("bob", add(3, ""), core.KindInvalid)
	w.refused("bob", &command.AppendUpload{UploadID: up.ID, Offset: 3, Part: core.BlobRef{ID: core.BlobID{1}, Size: -1}}, core.KindInvalid)
	w.refused("ada", add(3, "def"), core.KindNotFound)
	finish := &command.FinishUpload{UploadID: up.ID, File: w.newFile(town, "abcdef"), Text: "abcdef"}
	w.refused("bob", finish, core.KindConflict)
	w.must("bob", add(3, "def"), &up)
	if w.must("bob", add(3, "def"), &again); again.FileOffset != 6 {
		t.Errorf("the last part again: %+v", again)
	}
	w.refused("ada", finish, core.KindNotFound)
	other := *finish
	other.File = w.newFile(town, "abc")
	w.refused("bob", &other, core.KindInvalid)
	var f, twice core.File
	w.must("bob", finish, &f)
	w.must("bob", finish, &twice)
	if d := cmp.Diff(f, twice); d != "" || w.refs("abc") != 0 || w.refs("def") != 0 || w.refs("abcdef") != 1 || f.UserID != w.users["bob"].ID {
		t.Errorf("finished as %+v: %s", f, d)
	}
	if _, there := apply.Uploads.Get(w.rows(), up.ID); there {
		t.Error("the upload is still there")
	}
	if part, _ := apply.Blobs.Get(w.rows(), bytesOf("abc").ID); part.ReleasedAt != 1 {
		t.Errorf("a part of a finished upload was released at %d: it would be kept like a deleted file", part.ReleasedAt)
	}
	w.refused("bob", add(6, "x"), core.KindNotFound)
	other.File = w.newFile(town, "abcdef")
	w.refused("bob", &other, core.KindNotFound)
}

// Uploads without permission, too many of them, and invalid ones are refused.
func TestCreateUpload_Refusals(t *testing.T) {
	w, town := two(t)
	w.person("eve")
	w.refused("eve", w.newUpload(town, 1), core.KindForbidden)
	w.refused("bob", w.newUpload(town, -1), core.KindInvalid)
	w.refused("bob", w.newUpload(core.ChannelID{1}, 1), core.KindNotFound)
	imports := w.newUpload(town, 1)
	imports.Upload.Type = "import"
	w.refused("bob", imports, core.KindInvalid)
	mine := w.upload("bob", town, 1)
	theirs := w.newUpload(town, 1)
	theirs.Upload.ID = mine.ID
	w.refused("ada", theirs, core.KindConflict)
	for range core.MaxUploads - 1 {
		w.upload("bob", town, 1)
	}
	w.refused("bob", w.newUpload(town, 1), core.KindLimit)
	w.upload("ada", town, 1)
}

// An upload that is not finished in a week no longer counts for its user, and its parts are released.
func TestCreateUpload_DropsOld(t *testing.T) {
	w, town := two(t)
	var old []core.Upload
	for n := range core.MaxUploads {
		up := w.upload("bob", town, 10)
		w.must("bob", &command.AppendUpload{UploadID: up.ID, Part: bytesOf(fmt.Sprint("part", n))}, nil)
		old = append(old, up)
	}
	w.at = w.at.Add(time.Duration(core.UploadLife+1000) * time.Millisecond)
	left := func() (n int) {
		for _, up := range old {
			if _, ok := apply.Uploads.Get(w.rows(), up.ID); ok {
				n++
			}
		}
		return n
	}
	w.upload("ada", town, 1)
	if n := left(); n >= core.MaxUploads || n == 0 || w.refs("part0") != 0 || w.refs("part99") != 1 {
		t.Errorf("somebody else's new upload left %d", n)
	}
	for range core.MaxUploads - 1 { // an upload that is over no longer counts, also before its row is removed
		w.upload("bob", town, 1)
	}
	if n := left(); n != 0 || w.refs("part99") != 0 {
		t.Errorf("the user's own new uploads left %d", n)
	}
}

// However many parts abandoned uploads have, and whoever began them, dropping them never keeps anybody
// from a new upload.
func TestCreateUpload_DropsOldOfManyParts(t *testing.T) {
	w, town := two(t)
	for _, who := range [...]string{"ada", "bob"} {
		for range 2 * 4 {
			up := w.upload(who, town, core.MaxUploadParts)
			for n := range core.MaxUploadParts {
				part := core.Blob{BlobRef: core.BlobRef{ID: core.BlobID{1, byte(n), byte(n >> 8)}, Size: 1}, Refs: 100}
				up.Parts = append(up.Parts, part.BlobRef)
				apply.Blobs.Put(w.rows(), part)
			}
			apply.Uploads.Put(w.rows(), up)
		}
	}
	w.at = w.at.Add(time.Duration(core.UploadLife+1000) * time.Millisecond)
	w.upload("bob", town, 1)
	w.upload("bob", town, 1)
	if n := len(w.store.Rows(apply.Tasks.Shape)); n != 16 {
		t.Errorf("%d uploads are being dropped after two new ones", n)
	}
}
