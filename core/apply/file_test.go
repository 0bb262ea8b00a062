package apply_test

import (
	"crypto/sha256"
	"encoding/json"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/apply"
	"github.com/nearside/nearside/core/command"
	"github.com/nearside/nearside/core/event"
)

// bytesOf gives the reference of a blob that holds a text.
func bytesOf(text string) core.BlobRef {
	return core.BlobRef{ID: sha256.Sum256([]byte(text)), Size: int64(len(text))}
}

// newFile gives a file as an edge proposes it.
func (w *world) newFile(ch core.ChannelID, content string) core.File {
	return core.File{
		ID: core.NewID[core.File](w.at), ChannelID: ch, Name: "notes.txt", Extension: "txt", MimeType: "text/plain",
		Size: int64(len(content)), Content: bytesOf(content),
	}
}

func (w *world) file(by string, ch core.ChannelID, content string) core.File {
	w.Helper()
	var f core.File
	w.must(by, &command.CreateFile{File: w.newFile(ch, content), Text: content}, &f)
	return f
}

func (w *world) postWith(ch core.ChannelID, ids ...core.FileID) *command.CreatePost {
	return &command.CreatePost{Post: core.Post{ID: core.NewID[core.Post](w.at), ChannelID: ch, FileIDs: ids}}
}

func (w *world) refs(text string) int64 {
	b, _ := apply.Blobs.Get(w.rows(), bytesOf(text).ID)
	return b.Refs
}

func (w *world) stored(id core.FileID) core.File {
	f, _ := apply.Files.Get(w.rows(), id)
	return f
}

// two gives a world with ada, a system administrator, and bob, both in one channel.
func two(t *testing.T) (*world, core.ChannelID) {
	w := newWorld(t)
	w.person("ada")
	bob := w.person("bob")
	team, town := w.team("ada")
	w.must("bob", &command.AddTeamMember{TeamID: team.ID, UserID: bob.ID}, nil)
	return w, town
}

// field gives a field of an event's data, as the last audience gets it; nil if there is none. The
// field "post" is decoded.
func field(e event.Event, key string) any {
	to := e.To()
	enc, err := event.Encode(e, &to[len(to)-1], nil)
	if err != nil {
		return err
	}
	var got struct{ Data map[string]any }
	if err := json.Unmarshal(enc.Append(nil, 0, core.UserID{}, 0), &got); err != nil {
		return err
	}
	if key != "post" {
		return got.Data[key]
	}
	var p core.Post
	if err := json.Unmarshal([]byte(got.Data[key].(string)), &p); err != nil {
		return err
	}
	return p
}

// A new file belongs to its uploader, is in no post, and refers to its blobs. The same file again is
// the first one and adds no references.
func TestCreateFile(t *testing.T) {
	w, town := two(t)
	in := w.newFile(town, "hello")
	in.Thumbnail, in.Preview = bytesOf("thumb"), core.BlobRef{Size: 9}
	in.UserID, in.PostID, in.CreateAt, in.DeleteAt, in.RemoteID, in.Archived = w.users["ada"].ID, core.PostID{1}, 5, 6, "r", true
	c := &command.CreateFile{File: in, Text: "hello"}
	var got, again core.File
	w.must("bob", c, &got)
	w.announced()
	want := in
	want.UserID, want.PostID, want.Preview, want.RemoteID, want.Archived = w.users["bob"].ID, core.PostID{}, core.BlobRef{}, "", false
	want.CreateAt, want.UpdateAt, want.DeleteAt = w.at.UnixMilli(), w.at.UnixMilli(), 0
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("the file differs: %s", d)
	}
	w.must("bob", c, &again)
	if d := cmp.Diff(got, again); d != "" || w.refs("hello") != 1 || w.refs("thumb") != 1 {
		t.Errorf("a second time: %d and %d references, %s", w.refs("hello"), w.refs("thumb"), d)
	}
	if text, _ := apply.FileTexts.Get(w.rows(), got.ID); text.Text != "hello" {
		t.Errorf("the text is %q", text.Text)
	}
	w.file("ada", town, "hello")
	if w.refs("hello") != 2 {
		t.Errorf("two files hold their bytes %d times", w.refs("hello"))
	}
}

// Invalid files, and callers who may not make them, are refused.
func TestCreateFile_Refusals(t *testing.T) {
	w, town := two(t)
	w.person("eve")
	taken := w.file("bob", town, "taken")
	with := func(change func(c *command.CreateFile)) *command.CreateFile {
		c := &command.CreateFile{File: w.newFile(town, "x")}
		change(c)
		return c
	}
	for name, c := range map[string]*command.CreateFile{
		"NoName":      with(func(c *command.CreateFile) { c.File.Name = "" }),
		"Path":        with(func(c *command.CreateFile) { c.File.Name = "../x" }),
		"NUL":         with(func(c *command.CreateFile) { c.File.Name = "a\x00b" }),
		"LongName":    with(func(c *command.CreateFile) { c.File.Name = strings.Repeat("x", 257) }),
		"Size":        with(func(c *command.CreateFile) { c.File.Size = 2 }),
		"NoContent":   with(func(c *command.CreateFile) { c.File.Content.ID = core.BlobID{} }),
		"OtherSize":   with(func(c *command.CreateFile) { c.File.Content.ID, c.File.Thumbnail = taken.Content.ID, core.BlobRef{} }),
		"BelowZero":   with(func(c *command.CreateFile) { c.File.Thumbnail = core.BlobRef{ID: core.BlobID{1}, Size: -1} }),
		"MuchText":    with(func(c *command.CreateFile) { c.Text = strings.Repeat("x", core.MaxFileText+1) }),
		"MiniPreview": with(func(c *command.CreateFile) { c.File.MiniPreview = make([]byte, core.MaxMiniPreview+1) }),
		"NoID":        with(func(c *command.CreateFile) { c.File.ID = core.FileID{} }),
	} {
		if err := w.do("bob", c, nil); core.KindOf(err) != core.KindInvalid || err == nil {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if w.refs("x") != 0 || w.refs("taken") != 1 {
		t.Error("refused files hold bytes")
	}
	w.refused("bob", with(func(c *command.CreateFile) { c.File.ID = taken.ID }), core.KindConflict)
	w.refused("ada", &command.CreateFile{File: taken}, core.KindConflict)
	w.refused("eve", with(func(*command.CreateFile) {}), core.KindForbidden)
	w.refused("nobody", with(func(*command.CreateFile) {}), core.KindUnauthorized)
	w.refused("bob", with(func(c *command.CreateFile) { c.File.ChannelID = core.ChannelID{1} }), core.KindNotFound)
	ch, _ := apply.Channels.Get(w.rows(), town)
	off, _ := w.channelNamed(apply.TeamName{Team: ch.TeamID, Name: core.OffTopic})
	w.must("ada", &command.DeleteChannel{ChannelID: off}, nil)
	w.refused("bob", with(func(c *command.CreateFile) { c.File.ChannelID = off }), core.KindInvalid)
}

// A post takes the files that it names, in its order, each once, and announces them.
func TestCreatePost_Files(t *testing.T) {
	w, town := two(t)
	a, b := w.file("bob", town, "a"), w.newFile(town, "b")
	b.MimeType = "image/png"
	w.must("bob", &command.CreateFile{File: b}, nil)
	var p core.Post
	w.must("bob", w.postWith(town, b.ID, a.ID, b.ID), &p)
	if !slices.Equal(p.FileIDs, []core.FileID{b.ID, a.ID}) {
		t.Errorf("the post has %v", p.FileIDs)
	}
	e := w.events[0]
	shown := field(e, "post").(core.Post).Metadata.Files
	if len(shown) != 2 || shown[0].ID != b.ID || shown[1].PostID != p.ID || field(e, "otherFile") != "true" || field(e, "image") != "true" {
		t.Errorf("announced with %+v in %+v", shown, e)
	}
	if f := w.stored(a.ID); f.PostID != p.ID || f.UpdateAt <= a.UpdateAt || f.DeleteAt != 0 || w.refs("a") != 1 {
		t.Errorf("the attached file is %+v", f)
	}
	w.must("bob", w.postWith(town, w.file("bob", town, "c").ID), nil)
	if field(w.events[0], "otherFile") != "true" || field(w.events[0], "image") != nil {
		t.Errorf("a file that is no picture: %+v", w.events[0])
	}
	w.post("bob", town, core.PostID{}, "plain")
	if e := w.events[0]; field(e, "otherFile") != nil || field(e, "image") != nil {
		t.Errorf("a post without files: %+v", e)
	}
}

// A post with a file that cannot be attached to it is refused, instead of losing the file silently.
func TestCreatePost_FilesRefused(t *testing.T) {
	w, town := two(t)
	ch, _ := apply.Channels.Get(w.rows(), town)
	off, _ := w.channelNamed(apply.TeamName{Team: ch.TeamID, Name: core.OffTopic})
	good := w.file("bob", town, "good")
	used, gone := w.file("bob", town, "used"), w.file("bob", town, "gone")
	w.must("bob", w.postWith(town, used.ID), nil)
	var p core.Post
	w.must("bob", w.postWith(town, gone.ID), &p)
	w.must("bob", &command.DeletePost{PostID: p.ID}, nil)
	for name, id := range map[string]core.FileID{
		"Unknown": {1}, "Others": w.file("ada", town, "hers").ID, "Used": used.ID, "Deleted": gone.ID, "Elsewhere": w.file("bob", off, "off").ID,
	} {
		err := w.do("bob", w.postWith(town, good.ID, id), nil)
		if e := core.AsError(err); err == nil || e.Kind != core.KindInvalid || e.ID != "api.post.create_post.file_ids.app_error" {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if !w.stored(good.ID).PostID.IsZero() {
		t.Error("a refused post took a file")
	}
	many := make([]core.FileID, core.MaxFilesPerPost+1)
	w.refused("bob", w.postWith(town, many...), core.KindInvalid)
}

// An edit changes the files of a post: removed files are deleted, and the earlier text keeps its list.
func TestPatchPost_Files(t *testing.T) {
	w, town := two(t)
	a, b, c := w.file("bob", town, "a"), w.file("bob", town, "b"), w.file("bob", town, "c")
	var p, got core.Post
	w.must("bob", w.postWith(town, a.ID, b.ID), &p)
	patch := func(ids ...core.FileID) *command.PatchPost {
		ids = append([]core.FileID{}, ids...)
		return &command.PatchPost{PostID: p.ID, PostPatch: core.PostPatch{FileIDs: &ids}}
	}
	w.must("bob", patch(c.ID, b.ID, c.ID), &got)
	w.announced("post_edited")
	shown := field(w.events[0], "post").(core.Post)
	if !slices.Equal(got.FileIDs, []core.FileID{c.ID, b.ID}) || got.EditAt == 0 || len(shown.Metadata.Files) != 2 {
		t.Errorf("edited to %+v, shown as %+v", got, shown)
	}
	old := w.history(p.ID)[0]
	if !slices.Equal(old.FileIDs, []core.FileID{a.ID, b.ID}) || old.OriginalID != p.ID {
		t.Errorf("the kept text is %+v", old)
	}
	if _, there := apply.FileTexts.Get(w.rows(), a.ID); w.stored(a.ID).DeleteAt == 0 || w.refs("a") != 0 || there || w.stored(c.ID).PostID != p.ID {
		t.Errorf("lost %+v, came %+v", w.stored(a.ID), w.stored(c.ID))
	}
	w.must("bob", patch(c.ID, b.ID), &got)
	if kept := w.history(p.ID); len(kept) != 1 {
		t.Error("an edit to the same files is kept as one")
	}
	w.refused("bob", patch(a.ID), core.KindInvalid)
	w.refused("ada", patch(b.ID, w.file("ada", town, "d").ID), core.KindInvalid)
	w.refused("bob", patch(make([]core.FileID, core.MaxFilesPerPost+1)...), core.KindInvalid)
	w.must("ada", patch(b.ID), nil)
	var none core.Post
	w.must("bob", patch(), &none)
	if none.FileIDs != nil || w.refs("b") != 0 || w.refs("c") != 0 {
		t.Errorf("without files: %+v", none)
	}
}

// Deleting a post deletes its files and those of its replies. Other files with the same bytes keep
// them.
func TestDeletePost_Files(t *testing.T) {
	w, town := two(t)
	shared := w.file("ada", town, "same")
	root, reply := w.file("ada", town, "same"), w.file("bob", town, "reply")
	var p core.Post
	w.must("ada", w.postWith(town, root.ID), &p)
	answer := w.postWith(town, reply.ID)
	answer.Post.RootID = p.ID
	w.must("bob", answer, nil)
	w.must("ada", &command.DeletePost{PostID: p.ID}, nil)
	for _, id := range []core.FileID{root.ID, reply.ID} {
		if f := w.stored(id); f.DeleteAt == 0 || f.UpdateAt != f.DeleteAt {
			t.Errorf("%+v", f)
		}
	}
	b, _ := apply.Blobs.Get(w.rows(), reply.Content.ID)
	if w.refs("same") != 1 || b.Refs != 0 || b.ReleasedAt != w.at.UnixMilli() || w.stored(shared.ID).DeleteAt != 0 {
		t.Errorf("%d references, and %+v", w.refs("same"), b)
	}
	for _, e := range w.events {
		if e, ok := e.(event.PostDeleted); ok && e.Post.Metadata.Files != nil {
			t.Errorf("a deleted post shows %+v", e.Post.Metadata.Files)
		}
	}
	w.file("bob", town, "reply")
	if b, _ = apply.Blobs.Get(w.rows(), reply.Content.ID); b.Refs != 1 || b.ReleasedAt != 0 {
		t.Errorf("held again: %+v", b)
	}
}

// A link works until an administrator ends all links, and cannot be shared again after that.
func TestShareFile(t *testing.T) {
	w, town := two(t)
	w.person("eve")
	f := w.file("bob", town, "f")
	link := func(n byte) *command.ShareFile {
		return &command.ShareFile{FileID: f.ID, Link: core.BlobID{n}}
	}
	w.refused("ada", link(1), core.KindForbidden) // not posted yet
	w.must("bob", link(1), nil)
	w.announced()
	first, _ := apply.FileLinks.Get(w.rows(), core.BlobID{1})
	w.must("bob", link(1), nil)
	if again, _ := apply.FileLinks.Get(w.rows(), core.BlobID{1}); again != first || first.File != f.ID || first.CreateAt == 0 {
		t.Errorf("kept %+v, then %+v", first, again)
	}
	var p core.Post
	w.must("bob", w.postWith(town, f.ID), &p)
	w.must("ada", link(2), nil)
	w.refused("eve", link(3), core.KindForbidden)
	w.refused("bob", link(0), core.KindInvalid)
	w.refused("bob", &command.ShareFile{FileID: core.FileID{1}, Link: core.BlobID{4}}, core.KindNotFound)
	other := w.file("bob", town, "other")
	w.refused("bob", &command.ShareFile{FileID: other.ID, Link: core.BlobID{1}}, core.KindConflict)
	w.refused("bob", &command.ExpireLinks{}, core.KindForbidden)
	w.must("ada", &command.ExpireLinks{}, nil)
	w.refused("bob", link(1), core.KindConflict)
	w.must("bob", link(5), nil)
	w.must("bob", &command.DeletePost{PostID: p.ID}, nil)
	w.refused("bob", link(6), core.KindNotFound)
}

// A picture's blob is referred to while a user has it. Setting or removing a picture tells clients to
// fetch again.
func TestSetUserImage(t *testing.T) {
	w, _ := two(t)
	bob := w.users["bob"]
	set := func(pic core.BlobRef) *command.SetUserImage {
		return &command.SetUserImage{UserID: bob.ID, Picture: pic}
	}
	var a, b, c core.User
	w.must("bob", set(bytesOf("face")), &a)
	w.announced("user_updated", "user_updated", "user_updated")
	if w.events[0].(event.UserUpdated).UserChanged() != bob.ID || a.Picture != bytesOf("face") || a.LastPictureUpdate <= bob.LastPictureUpdate || a.UpdateAt <= bob.UpdateAt {
		t.Errorf("got %+v", a)
	}
	w.must("ada", set(bytesOf("face")), &b)
	if w.refs("face") != 1 || b.LastPictureUpdate <= a.LastPictureUpdate {
		t.Errorf("%d references, %+v", w.refs("face"), b)
	}
	w.must("bob", set(core.BlobRef{}), &c)
	if w.refs("face") != 0 || c.Picture != (core.BlobRef{}) || c.LastPictureUpdate <= b.LastPictureUpdate {
		t.Errorf("%d references, %+v", w.refs("face"), c)
	}
	w.refused("bob", set(core.BlobRef{ID: core.BlobID{1}, Size: core.MaxUserImage + 1}), core.KindInvalid)
	w.refused("bob", &command.SetUserImage{UserID: w.users["ada"].ID, Picture: bytesOf("x")}, core.KindForbidden)
	w.refused("ada", &command.SetUserImage{UserID: core.UserID{1}, Picture: bytesOf("x")}, core.KindNotFound)
	w.refused("nobody", set(bytesOf("x")), core.KindUnauthorized)
}

// After any commands, the count of each blob is the number of live files, pictures and uploads that
// name it, and the files of live posts are exactly those that the posts list.
func TestBlobs_CountsAreTrue(t *testing.T) {
	for seed := range uint64(20) {
		w, town := two(t)
		r := &recount{world: w, rnd: rand.New(rand.NewPCG(seed, 7)), town: town}
		for range 400 {
			r.step()
		}
		r.check()
		if r.accepted < 150 {
			t.Errorf("seed %d: only %d accepted: the test says little", seed, r.accepted)
		}
	}
}

// recount runs random commands about a few blobs and then counts the references itself.
type recount struct {
	*world
	rnd      *rand.Rand
	town     core.ChannelID
	files    []core.FileID
	posts    []core.PostID
	uploads  []core.UploadID
	accepted int
}

func one[T any](r *recount, list []T) (v T) {
	if len(list) == 0 {
		return v
	}
	return list[r.rnd.IntN(len(list))]
}

func (r *recount) blob() core.BlobRef { return bytesOf(strings.Repeat("x", 1+r.rnd.IntN(6))) }

func (r *recount) some() []core.FileID {
	var out []core.FileID
	for range r.rnd.IntN(4) {
		n := min(len(r.files), 12) // mostly new ones: the others are in a post already
		out = append(out, one(r, r.files[len(r.files)-n:]))
	}
	return out
}

func (r *recount) step() {
	if r.rnd.IntN(40) == 0 {
		r.at = r.at.Add(time.Duration(core.UploadLife/3) * time.Millisecond)
	}
	who := one(r, []string{"ada", "bob"})
	s, ok := apply.Sessions.Get(r.rows(), r.sessions[who])
	if ok {
		s.ExpiresAt = 0 // the time that passes is about uploads
		apply.Sessions.Put(r.rows(), s)
	}
	c := r.command(who)
	_, posts := c.(*command.CreatePost)
	var p core.Post
	var into any
	if posts {
		into = &p
	}
	if r.do(who, c, into) == nil {
		r.accepted++
		if posts {
			r.posts = append(r.posts, p.ID)
		}
	}
}

func (r *recount) command(who string) command.Command {
	f := r.newFile(r.town, "")
	f.Content, f.Thumbnail = r.blob(), r.blob()
	f.Size = f.Content.Size
	switch r.rnd.IntN(11) {
	case 0, 1, 2:
		r.files = append(r.files, f.ID)
		return &command.CreateFile{File: f, Text: "text"}
	case 3, 4:
		c := r.postWith(r.town, r.some()...)
		if r.rnd.IntN(3) == 0 {
			c.Post.RootID = one(r, r.posts)
		}
		return c
	case 5:
		ids := r.some()
		return &command.PatchPost{PostID: one(r, r.posts), PostPatch: core.PostPatch{FileIDs: &ids}}
	case 6:
		return &command.DeletePost{PostID: one(r, r.posts)}
	case 7:
		return &command.SetUserImage{UserID: r.users[who].ID, Picture: one(r, []core.BlobRef{r.blob(), {}})}
	case 8:
		up := core.Upload{ID: core.NewID[core.Upload](r.at), Type: core.UploadAttachment, ChannelID: r.town, Filename: "f", FileSize: 6}
		r.uploads = append(r.uploads, up.ID)
		return &command.CreateUpload{Upload: up}
	case 9:
		up, _ := apply.Uploads.Get(r.rows(), one(r, r.uploads))
		return &command.AppendUpload{UploadID: up.ID, Offset: up.FileOffset, Part: r.blob()}
	default:
		r.files = append(r.files, f.ID)
		f.Content = bytesOf("xxxxxx")
		f.Size = 6
		return &command.FinishUpload{UploadID: one(r, r.uploads), File: f}
	}
}

func (r *recount) check() {
	r.Helper()
	st := r.rows()
	want := map[core.BlobID]int64{}
	listed := map[core.FileID]core.PostID{}
	for _, id := range r.posts {
		if p, ok := apply.Posts.Get(st, id); ok && p.DeleteAt == 0 {
			for _, f := range p.FileIDs {
				listed[f] = id
			}
		}
	}
	for _, id := range r.files {
		f, ok := apply.Files.Get(st, id)
		_, text := apply.FileTexts.Get(st, id)
		if !ok || f.DeleteAt != 0 {
			if text {
				r.Errorf("a text without its file")
			}
			continue
		}
		if listed[id] != f.PostID {
			r.Errorf("%v is listed by %v and says %v", id, listed[id], f.PostID)
		}
		want[f.Content.ID]++
		want[f.Thumbnail.ID]++
	}
	for _, u := range r.users {
		u, _ = apply.Users.Get(st, u.ID)
		want[u.Picture.ID]++
	}
	for _, id := range r.uploads {
		if up, ok := apply.Uploads.Get(st, id); ok {
			for _, part := range up.Parts {
				want[part.ID]++
			}
		}
	}
	r.checkBytes()
	for n := 1; n <= 6; n++ {
		ref := bytesOf(strings.Repeat("x", n))
		b, known := apply.Blobs.Get(st, ref.ID)
		if b.Refs != want[ref.ID] || known && (b.ReleasedAt != 0) != (b.Refs == 0) {
			r.Errorf("blob %d: counted %+v, should be %d", n, b, want[ref.ID])
		}
	}
}

// checkBytes compares the bytes that are counted for people and teams with those of their files and uploads.
func (r *recount) checkBytes() {
	r.Helper()
	st := r.rows()
	want := map[string]int64{}
	count := func(u core.UserID, ch core.ChannelID, size int64) {
		c, _ := apply.Channels.Get(st, ch)
		want[core.StoredBy(u)] += size
		want[core.StoredIn(c.TeamID)] += size
	}
	for _, id := range r.files {
		if f, ok := apply.Files.Get(st, id); ok && f.DeleteAt == 0 {
			count(f.UserID, f.ChannelID, f.Size)
		}
	}
	for _, id := range r.uploads {
		if up, ok := apply.Uploads.Get(st, id); ok && up.DeleteAt == 0 {
			count(up.UserID, up.ChannelID, up.FileSize)
		}
	}
	if len(want) < 2 {
		r.Error("nothing was stored: the test says little")
	}
	for name, bytes := range want {
		if c, _ := apply.Counters.Get(st, name); c.Value != bytes {
			r.Errorf("%s: counted %d, should be %d", name, c.Value, bytes)
		}
	}
}

// A file or an upload that would be more than a person or a team may store is refused and counts nothing; deleting
// gives the bytes back, and so does an upload that is not finished in time.
func TestQuota(t *testing.T) {
	w, town := two(t)
	file := func(size int, q core.Quota) *command.CreateFile {
		return &command.CreateFile{File: w.newFile(town, strings.Repeat("x", size)), Quota: q}
	}
	upload := func(size int64, q core.Quota) *command.CreateUpload {
		return &command.CreateUpload{Quota: q, Upload: core.Upload{ID: core.NewID[core.Upload](w.at), Type: core.UploadAttachment, ChannelID: town, Filename: "f", FileSize: size}}
	}
	ch, _ := apply.Channels.Get(w.rows(), town)
	counts := func(ada, bob, team int64) {
		t.Helper()
		for name, want := range map[string]int64{core.StoredBy(w.users["ada"].ID): ada, core.StoredBy(w.users["bob"].ID): bob, core.StoredIn(ch.TeamID): team} {
			if c, _ := apply.Counters.Get(w.rows(), name); c.Value != want {
				t.Errorf("%s: %d, want %d", name, c.Value, want)
			}
		}
	}
	person, team := core.Quota{Person: 10}, core.Quota{Team: 20}
	first := file(6, person)
	w.must("ada", first, nil)
	w.must("ada", first, nil) // the same again counts once
	w.refused("ada", file(5, person), core.KindTooLarge)
	w.refused("ada", upload(5, person), core.KindTooLarge)
	w.must("ada", file(4, person), nil)
	w.must("bob", file(5, person), nil)
	counts(10, 5, 15)
	w.refused("bob", file(6, team), core.KindTooLarge)
	w.must("bob", upload(5, team), nil)
	w.refused("ada", upload(1, team), core.KindTooLarge)
	counts(10, 10, 20)

	var p core.Post
	w.must("ada", w.postWith(town, first.File.ID), &p)
	w.must("ada", &command.DeletePost{PostID: p.ID}, nil)
	w.finish()
	counts(4, 10, 14)
	w.at = w.at.Add(time.Duration(core.UploadLife+1) * time.Millisecond)
	w.must("ada", upload(11, team), nil) // bob's is dropped
	counts(15, 5, 20)
}
