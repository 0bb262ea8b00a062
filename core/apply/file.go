package apply

import (
	"slices"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/authz"
	"github.com/nearside/nearside/core/command"
)

// Files has the uploaded files; FileTexts the words of their contents, for search; FileLinks the
// public links, by the SHA-256 of their tokens.
var (
	Files     = table[core.FileID, core.File]("files", "id")
	FileTexts = table[core.FileID, FileText]("file_texts", "file_id")
	FileLinks = table[core.BlobID, FileLink]("file_links", "link")
)

// FileText is the text of a file's content, for search.
type FileText struct {
	File core.FileID `cbor:"1,keyasint" db:"file_id"`
	Text string      `cbor:"2,keyasint" db:"text" max:"65536"`
}

// FileLink lets anybody who has its token read a file. Link is the SHA-256 of the token.
type FileLink struct {
	Link     core.BlobID `cbor:"1,keyasint" db:"link"`
	File     core.FileID `cbor:"2,keyasint" db:"file_id"`
	CreateAt int64       `cbor:"3,keyasint" db:"create_at"`
}

var (
	fileNotFound    = core.Refusal{Kind: core.KindNotFound, ID: "app.file_info.get.app_error"}
	fileTextTooLong = core.Refusal{Kind: core.KindInvalid, ID: "model.file_info.is_valid.content.app_error"}
	wrongFile       = core.Refusal{Kind: core.KindInvalid, ID: "api.post.create_post.file_ids.app_error"}
)

func createFile(x *exec, c *command.CreateFile) (any, error) {
	return nil, x.createFile(c.File, c.Text, c.Quota)
}

// createFile adds a file of the caller. The same file again changes nothing.
func (x *exec) createFile(in core.File, text string, quota core.Quota) error {
	u, ch, err := x.channelFor(in.ChannelID, authz.UploadFile)
	if err != nil {
		return err
	}
	f := core.File{
		ID: in.ID, ChannelID: ch.ID, UserID: u.ID, CreateAt: x.now, UpdateAt: x.now, Name: in.Name, Extension: in.Extension, MimeType: in.MimeType,
		Size: in.Size, Width: in.Width, Height: in.Height, HasPreview: in.HasPreview, MiniPreview: in.MiniPreview,
		Content: in.Content, Thumbnail: named(in.Thumbnail), Preview: named(in.Preview),
	}
	if err := f.Check(); err != nil {
		return err
	}
	if len(text) > core.MaxFileText {
		return fileTextTooLong.With("max", core.MaxFileText)
	}
	if first, taken := Files.Get(x, f.ID); taken {
		if first.UserID == u.ID && first.ChannelID == ch.ID && first.Content == f.Content {
			return nil
		}
		return conflict.With("reason", "file")
	}
	if err := x.keepBytes(u.ID, ch, f.Size, quota); err != nil {
		return err
	}
	if len(f.MiniPreview) == 0 {
		f.MiniPreview = nil // as it will be read back
	}
	if err := x.hold(f.Content, f.Thumbnail, f.Preview); err != nil {
		return err
	}
	Files.Put(x, f)
	if text != "" {
		FileTexts.Put(x, FileText{File: f.ID, Text: text})
	}
	return nil
}

// keepBytes counts bytes for a person, and for the team of a channel, or refuses.
func (x *exec) keepBytes(u core.UserID, ch core.Channel, size int64, quota core.Quota) error {
	var inTeam int64
	if !ch.TeamID.IsZero() {
		inTeam = x.count(core.StoredIn(ch.TeamID))
	}
	if err := quota.Check(size, x.count(core.StoredBy(u)), inTeam); err != nil {
		return err
	}
	x.freeBytes(u, ch, -size)
	return nil
}

// freeBytes takes back what keepBytes has counted.
func (x *exec) freeBytes(u core.UserID, ch core.Channel, size int64) {
	if size == 0 {
		return
	}
	x.add(core.StoredBy(u), -size)
	if !ch.TeamID.IsZero() {
		x.add(core.StoredIn(ch.TeamID), -size)
	}
}

// attach attaches files of the caller to a post of theirs, and gives the ids, each once.
func (x *exec) attach(u core.User, p core.Post, ids []core.FileID) ([]core.FileID, error) {
	ids = distinct(ids)
	for _, id := range ids {
		f, ok := Files.Live(x, id)
		switch {
		case !ok || f.UserID != u.ID || p.UserID != u.ID || f.ChannelID != p.ChannelID:
			return nil, wrongFile
		case !f.PostID.IsZero():
			return nil, wrongFile.With("reason", "other_post")
		}
		f.PostID = p.ID
		Files.Save(x, f)
	}
	return ids, nil
}

// distinct gives a list without repetitions. An empty list becomes nil, as when a row is read back.
func distinct(ids []core.FileID) (out []core.FileID) {
	for _, id := range ids {
		if !slices.Contains(out, id) {
			out = append(out, id)
		}
	}
	return out
}

// setFiles sets the files of an edited post. Files that are no longer in the list are deleted.
func (x *exec) setFiles(u core.User, p core.Post, ids []core.FileID) ([]core.FileID, error) {
	ids = distinct(ids)
	var added []core.FileID
	for _, id := range ids {
		if !slices.Contains(p.FileIDs, id) {
			added = append(added, id)
		}
	}
	if _, err := x.attach(u, p, added); err != nil {
		return nil, err
	}
	x.deleteFiles(slices.DeleteFunc(slices.Clone(p.FileIDs), func(id core.FileID) bool { return slices.Contains(ids, id) }))
	return ids, nil
}

// deleteFiles deletes files and releases their bytes. The rows stay, so that clients can still show
// which files there were.
func (x *exec) deleteFiles(ids []core.FileID) {
	var gone []core.BlobRef
	for _, id := range ids {
		f, ok := Files.Live(x, id)
		if !ok {
			continue
		}
		Files.Archive(x, f)
		FileTexts.Delete(x, id)
		ch, _ := Channels.Get(x, f.ChannelID)
		x.freeBytes(f.UserID, ch, f.Size)
		gone = append(gone, f.Content, f.Thumbnail, f.Preview)
	}
	x.release(gone...)
}

// addFiles adds to a post its files that are not deleted.
func addFiles(x *exec, p *core.Post) {
	for _, id := range p.FileIDs {
		if f, ok := Files.Live(x, id); ok {
			p.Metadata.Files = append(p.Metadata.Files, f)
		}
	}
}

func shareFile(x *exec, c *command.ShareFile) (any, error) {
	u, err := x.caller()
	if err != nil {
		return nil, err
	}
	f, ok := Files.Live(x, c.FileID)
	if !ok {
		return nil, fileNotFound
	}
	ch, err := x.channel(f.ChannelID)
	if err != nil {
		return nil, err
	}
	if f.PostID.IsZero() && f.UserID != u.ID {
		return nil, forbidden // only its owner can see it yet
	}
	for _, p := range [...]authz.Permission{authz.ReadChannelContent, authz.GetPublicLink} {
		if err := x.mayInChannel(u, ch, p); err != nil {
			return nil, err
		}
	}
	if c.Link.IsZero() {
		return nil, badRequest.With("reason", "link")
	}
	return nil, x.share(c)
}

// share keeps a public link. A link that was made invalid stays invalid, or the people who have it
// could use it again.
func (x *exec) share(c *command.ShareFile) error {
	was, ok := FileLinks.Get(x, c.Link)
	switch {
	case !ok:
		FileLinks.Put(x, FileLink{Link: c.Link, File: c.FileID, CreateAt: x.now})
	case was.File != c.FileID || was.CreateAt <= x.count(core.LinksExpired):
		return conflict.With("reason", "link")
	}
	return nil
}

func expireLinks(x *exec, _ *command.ExpireLinks) (any, error) {
	u, err := x.caller()
	if err != nil {
		return nil, err
	}
	if err := x.may(u, authz.ManageSystem); err != nil {
		return nil, err
	}
	Counters.Put(x, Counter{Name: core.LinksExpired, Value: x.now})
	return nil, nil
}
