package replica_test

import (
	"bytes"
	"crypto/sha256"
	"slices"
	"testing"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/command"
	"github.com/nearside/nearside/core/pg/pgtest"
)

// few are the things that a test's file commands are about.
type few struct {
	files   []core.FileID
	uploads []core.UploadID
	blobs   []core.BlobRef
	links   []core.BlobID
	tried   []core.File // what somebody has tried to make
}

func newFew(l *log) (f few) {
	for range 30 {
		f.files = append(f.files, id[core.File](l))
	}
	for _, text := range []string{"a", "bb", "ccc", "dddd"} {
		f.uploads = append(f.uploads, id[core.Upload](l))
		f.blobs = append(f.blobs, core.BlobRef{ID: sha256.Sum256([]byte(text)), Size: int64(len(text))})
		f.links = append(f.links, sha256.Sum256([]byte("link "+text)))
	}
	return f
}

// beginFiles gives somebody a post with a file and a link to it.
func (c *chaos) beginFiles(who int) []core.Entry {
	by := command.Caller{Session: c.sessions[who]}
	f := c.file(who, c.channels[who])
	f.ID = c.few.files[who]
	made := c.entry(by, &command.CreateFile{File: f})
	posted := c.entry(by, &command.CreatePost{Post: core.Post{ChannelID: f.ChannelID, FileIDs: []core.FileID{f.ID}}})
	c.posted(posted)
	return []core.Entry{made, posted, c.entry(by, &command.ShareFile{FileID: f.ID, Link: pick(c, c.few.links)})}
}

// someFiles is what a post may be given, mostly by whom and where it can be.
func (c *chaos) someFiles(who int, room core.ChannelID) (out []core.FileID) {
	for _, f := range slices.Backward(c.few.tried) {
		if f.UserID == c.users[who] && f.ChannelID == room && len(out) < 2 && c.rnd.IntN(3) == 0 {
			out = append(out, f.ID)
		}
	}
	if c.rnd.IntN(20) == 0 {
		out = append(out, pick(c, c.few.files))
	}
	return out
}

func (c *chaos) file(who int, room core.ChannelID) core.File {
	content := pick(c, c.few.blobs)
	f := core.File{ID: pick(c, c.few.files), ChannelID: room, Name: c.word() + ".txt", Extension: "txt", MimeType: "text/plain", Size: content.Size, Content: content}
	if c.rnd.IntN(2) == 0 {
		f.Thumbnail, f.Preview, f.MiniPreview, f.HasPreview = pick(c, c.few.blobs), pick(c, c.few.blobs), []byte{1, 2}, true
		f.Width, f.Height, f.MimeType = 3, 4, "image/png"
	}
	f.UserID = c.users[who]
	c.few.tried = append(c.few.tried, f)
	return f
}

// fileCommand is about files, uploads and pictures.
func (c *chaos) fileCommand(who int, room core.ChannelID, post core.PostID) command.Command {
	up := pick(c, c.few.uploads)
	if c.rnd.IntN(4) > 0 { // mostly where it is allowed
		room, up = c.channels[who], c.few.uploads[who%len(c.few.uploads)]
	}
	f := c.file(who, room)
	switch c.rnd.IntN(15) {
	case 0, 7, 8:
		return &command.ShareFile{FileID: f.ID, Link: pick(c, c.few.links)}
	case 1:
		if c.rnd.IntN(8) == 0 {
			return &command.ExpireLinks{}
		}
		return &command.SetUserImage{UserID: c.users[who], Picture: pick(c, append([]core.BlobRef{{}}, c.few.blobs...))}
	case 2, 3:
		return &command.CreateUpload{Upload: core.Upload{ID: up, Type: core.UploadAttachment, ChannelID: room, Filename: "f", FileSize: int64(1 + c.rnd.IntN(4))}}
	case 4:
		return &command.AppendUpload{UploadID: up, Offset: int64(c.rnd.IntN(3)), Part: pick(c, c.few.blobs)}
	case 5:
		return &command.FinishUpload{UploadID: up, File: f, Text: c.word()}
	case 6:
		ids := c.someFiles(who, room)
		return &command.PatchPost{PostID: post, HistoryID: id[core.Post](c.log), FileIDs: &ids}
	case 9:
		return &command.CreatePost{Post: core.Post{ChannelID: room, FileIDs: c.someFiles(who, room)}}
	}
	return &command.CreateFile{File: f, Text: c.word()}
}

// A snapshot carries files, their texts, uploads, links and counts, and a replica restored from
// it goes on as if it had applied everything itself.
func TestReplica_Restore_Files(t *testing.T) {
	c := newChaos(t, 4)
	a, b := newNode(t, pgtest.Database(t)), newNode(t, pgtest.Database(t))
	entries := c.people()
	for len(entries) < 500 {
		entries = append(entries, c.next())
	}
	a.apply(t, entries[:300]...)
	for _, table := range []string{"files", "file_texts", "file_links", "uploads", "blobs"} {
		if count(t, a.db, "SELECT count(*) FROM "+table) == 0 {
			t.Errorf("%s is empty: the test says little", table)
		}
	}
	at, raw := copyOf(t, a)
	if err := b.Restore(t.Context(), at, bytes.NewReader(raw)); err != nil {
		t.Fatal(err)
	}
	same(t, a, b)
	a.apply(t, entries[300:]...)
	b.apply(t, entries[300:]...)
	same(t, a, b)
}
