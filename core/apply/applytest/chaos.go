package applytest

import (
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/apply"
	"github.com/nearside/nearside/core/command"
)

// Nouns has the nouns that came after the first recorded history; the test of each adds it. Each has a recorded
// history of its own: those of the others stay what they are.
var Nouns []Noun

// Noun makes random commands of a user about something in a channel.
type Noun struct {
	Name string
	Make func(c *Chaos, who int, room core.ChannelID) command.Command
}

// Chaos makes random commands of a few users about a few objects, so that many commands are about the
// same object, repeated or refused.
type Chaos struct {
	*Log
	Rnd      *rand.Rand
	nouns    []Noun
	users    []core.UserID
	sessions []core.SessionID
	teams    []core.TeamID
	channels []core.ChannelID
	posts    []core.PostID
	root     core.PostID // of the thread that gets replies
	few      few
	past     []core.Entry
}

// NewChaos makes a run from a seed, about all nouns.
func NewChaos(seed uint64) *Chaos { return NewChaosOf(seed, Nouns) }

// NewChaosOf makes a run that leaves out all rows of Nouns but the given ones.
func NewChaosOf(seed uint64, nouns []Noun) *Chaos {
	c := &Chaos{Log: NewLog(), Rnd: rand.New(rand.NewPCG(seed, 1)), nouns: nouns}
	for range 5 {
		c.users, c.sessions = append(c.users, ID[core.User](c.Log)), append(c.sessions, ID[core.Session](c.Log))
		c.teams, c.channels = append(c.teams, ID[core.Team](c.Log)), append(c.channels, ID[core.Channel](c.Log))
	}
	c.posts = append(c.posts, ID[core.Post](c.Log)) // which does not exist
	c.few = newFew(c.Log)
	return c
}

// password is sealed as the hash of everybody's password, and PasswordSeal is its seal.
var (
	password     = []byte("a hash of a password")
	PasswordSeal = core.SealOf(password)
)

// People gives every user an account and a session, and makes a first team with its channels.
func (c *Chaos) People() (out []core.Entry) {
	for i, u := range c.users {
		name := fmt.Sprint("user", i)
		by := command.Caller{Session: c.sessions[i]}
		token := core.HashToken(name)
		out = append(out,
			c.Entry(command.Caller{}, &command.CreateUser{OpenServer: true, User: core.User{ID: u, Username: name, Email: name + "@x.org", PasswordSeal: PasswordSeal}}, password),
			c.Entry(command.Caller{}, &command.CreateSession{PasswordSeal: PasswordSeal, Session: core.Session{ID: by.Session, UserID: u, Token: token.Seal()}}, token[:]),
			c.Entry(by, &command.CreateTeam{Team: core.Team{ID: c.teams[0], Name: "first", DisplayName: "First", Type: core.TeamOpen, AllowOpenInvite: true}}),
			c.Entry(by, &command.AddTeamMember{TeamID: c.teams[0], UserID: u}),
			c.Entry(by, &command.CreateChannel{Channel: core.Channel{ID: c.channels[i], TeamID: c.teams[0], Name: name, DisplayName: "R", Type: core.ChannelOpen}}))
		out = append(out, c.beginFiles(i)...)
	}
	return out
}

// User gives the id of one of the users.
func (c *Chaos) User(who int) core.UserID { return c.users[who] }

// Pick gives one of a list.
func Pick[T any](c *Chaos, list []T) T { return list[c.Rnd.IntN(len(list))] }

// Word gives one of a few words.
func (c *Chaos) Word() string { return Pick(c, []string{"ada", "bob", "cyd", "dee", "eve"}) }

// Emoji gives the name of one of a few emoji, or of none.
func (c *Chaos) Emoji() string {
	return Pick(c, []string{"+1", "smile", "tada", "wave_dark_skin_tone", "nothing"})
}

// Emoji gives the names of n emoji that exist; they are about as long as names can be.
func Emoji(n int) (out []string) {
	tones := []string{"_medium_light_skin_tone", "_medium_dark_skin_tone", "_light_skin_tone", "_medium_skin_tone", "_dark_skin_tone"}
	for _, name := range []string{"men_holding_hands", "women_holding_hands", "handshake"} {
		for i := range 25 {
			out = append(out, name+tones[i/5]+tones[i%5])
		}
	}
	out = slices.DeleteFunc(out, func(name string) bool { return !core.EmojiExists(name) })
	return out[:n]
}

// Opt gives a word, or nil.
func (c *Chaos) Opt() *string {
	if c.Rnd.IntN(3) == 0 {
		return nil
	}
	w := c.Word()
	return &w
}

// Next makes one more entry.
func (c *Chaos) Next() core.Entry {
	if len(c.past) > 0 && c.Rnd.IntN(15) == 0 { // a retry
		return c.Again(Pick(c, c.past))
	}
	who := c.Rnd.IntN(len(c.users))
	cmd := c.command(who)
	if c.Rnd.IntN(6) == 0 {
		who, cmd = c.inThread(who)
	}
	e := c.Entry(command.Caller{Session: c.sessions[who]}, cmd)
	c.past = append(c.past, e)
	if _, posts := cmd.(*command.CreatePost); posts {
		c.posted(e)
	}
	return e
}

// posted remembers the post that an entry made.
func (c *Chaos) posted(e core.Entry) {
	var p core.Post
	if command.DecodeOutcome(c.Model.Receipts[e.Index].Outcome, &p) == nil && !p.ID.IsZero() {
		c.posts = append(c.posts, p.ID)
	}
}

// inThread makes commands about one thread for a while, so that threads get long and are deleted.
func (c *Chaos) inThread(who int) (int, command.Command) {
	root, _ := apply.Posts.Get(apply.Direct{Store: c.Model}, c.thread())
	if i := slices.Index(c.users, root.UserID); i >= 0 {
		who = i
	}
	if c.Rnd.IntN(40) == 0 {
		return who, &command.DeletePost{PostID: root.ID}
	}
	return who, &command.CreatePost{Post: core.Post{ChannelID: root.ChannelID, RootID: root.ID, Message: c.Word()}}
}

// thread is the root post that gets replies at the moment.
func (c *Chaos) thread() core.PostID {
	if p, _ := apply.Posts.Get(apply.Direct{Store: c.Model}, c.root); p.ID.IsZero() || p.DeleteAt != 0 || c.Rnd.IntN(200) == 0 {
		for _, row := range c.Model.Rows(apply.Posts.Shape) { // the latest
			if p := (*core.Post)(row); p.RootID.IsZero() && p.DeleteAt == 0 && !p.IsSystem() {
				c.root = p.ID
			}
		}
	}
	return c.root
}

func (c *Chaos) command(who int) command.Command {
	team, room, post := Pick(c, c.teams), Pick(c, c.channels), Pick(c, c.posts)
	other := Pick(c, c.users)
	if c.Rnd.IntN(3) > 0 { // mostly where it is allowed
		room, team = c.channels[who], c.teams[0]
	}
	if tasks := c.Model.Rows(apply.Tasks.Shape); len(tasks) > 0 && c.Rnd.IntN(3) == 0 {
		t := (*core.Task)(tasks[0])
		return &command.ContinueTask{TaskID: t.ID, Step: t.Steps}
	}
	switch n := c.Rnd.IntN(37 + 2*len(c.nouns)); n {
	default:
		if n >= 37 {
			return c.nouns[(n-37)/2].Make(c, who, room)
		}
	case 36:
		switch c.Rnd.IntN(4) {
		case 1:
			return &command.DeleteTeam{TeamID: Pick(c, c.teams[2:])}
		case 2:
			return &command.RaiseVersion{To: 1}
		}
		return &command.PatchTeam{TeamID: team, TeamPatch: core.TeamPatch{Description: c.Opt(), AllowedDomains: new(string)}}
	case 0:
		return &command.CreateUser{OpenServer: true, User: core.User{ID: c.users[who], Username: c.Word(), Email: c.Word() + "@x.org", PasswordSeal: PasswordSeal}}
	case 1:
		return &command.CreateSession{PasswordSeal: PasswordSeal, Session: core.Session{ID: c.sessions[who], UserID: c.users[who], Props: map[string]string{"os": c.Word()}}}
	case 2:
		return &command.CreateTeam{Team: core.Team{ID: team, Name: c.Word(), DisplayName: c.Word(), Type: core.TeamOpen, AllowOpenInvite: true}, TownSquare: c.Word()}
	case 3:
		if c.Rnd.IntN(3) > 0 { // instead of one that may be archived
			room = ID[core.Channel](c.Log)
			c.channels[who] = room
			return &command.CreateChannel{Channel: core.Channel{ID: room, TeamID: c.teams[0], Name: room.String(), DisplayName: "R", Type: core.ChannelOpen}}
		}
		return &command.CreateChannel{Channel: core.Channel{ID: room, TeamID: team, Name: c.Word(), DisplayName: "R", Type: Pick(c, []string{core.ChannelOpen, core.ChannelPrivate})}}
	case 4:
		return &command.AddTeamMember{TeamID: team, UserID: c.users[who]}
	case 5:
		return &command.AddTeamMember{TeamID: team, UserID: other}
	case 6:
		return &command.AddChannelMember{ChannelID: room, UserID: Pick(c, []core.UserID{other, c.users[who]})}
	case 7:
		return &command.RemoveChannelMember{ChannelID: room, UserID: other}
	case 8:
		if c.Rnd.IntN(8) == 0 {
			return &command.RemoveTeamMember{TeamID: team, UserID: other}
		}
		return &command.ViewChannel{Channels: []core.ChannelID{room, Pick(c, c.channels)}}
	case 9:
		return &command.PatchUser{UserID: c.users[who], UserPatch: core.UserPatch{Username: c.Opt(), Nickname: c.Opt(), Props: &map[string]string{}}}
	case 10:
		return &command.PatchChannel{ChannelID: room, ChannelPatch: core.ChannelPatch{Name: c.Opt(), Header: c.Opt()}}
	case 11, 12, 13:
		text := c.Word()
		return &command.PatchPost{PostID: post, PostPatch: core.PostPatch{Message: &text, Props: &map[string]any{"n": 1.5, "list": []any{text, true, nil}}}}
	case 14:
		return &command.DeletePost{PostID: post}
	case 15:
		return &command.SetPreferences{Preferences: []core.Preference{{UserID: c.users[who], Category: c.Word(), Name: c.Word(), Value: c.Word()}}}
	case 16:
		return &command.DeletePreferences{Preferences: []core.Preference{{UserID: c.users[who], Category: c.Word(), Name: c.Word()}}}
	case 17:
		if c.Rnd.IntN(12) == 0 {
			return &command.EndSession{SessionID: c.sessions[who]}
		}
		if c.Rnd.IntN(10) == 0 {
			return &command.DeleteChannel{ChannelID: room}
		}
	case 32, 33, 34:
		return &command.AddReaction{PostID: post, EmojiName: c.Emoji()}
	case 35:
		return &command.RemoveReaction{PostID: post, UserID: Pick(c, c.users), EmojiName: c.Emoji()}
	case 18, 19, 20, 21, 22, 23, 24, 25:
		return c.fileCommand(who, room, post)
	}
	p := core.Post{ChannelID: room, Message: c.Word(), PendingPostID: c.Word()}
	if c.Rnd.IntN(4) == 0 {
		p.FileIDs = c.SomeFiles(who, room)
	}
	if c.Rnd.IntN(2) == 0 {
		p.RootID = Pick(c, c.posts)
		p.Props = map[string]any{"from": 3.0}
	}
	if c.Rnd.IntN(20) == 0 {
		p.CreateAt = c.At.UnixMilli() - int64(c.Rnd.IntN(1000)) + 5
	}
	return &command.CreatePost{Post: p, Mentions: []string{c.Word(), Pick(c, []string{"ada.", "bob.eve", "user0", "user1-ada", "all.", "nobody"})}}
}

// few has the objects that file commands are about.
type few struct {
	files   []core.FileID
	uploads []core.UploadID
	blobs   []core.BlobRef
	links   []core.BlobID
	tried   []core.File // files that were proposed, accepted or not
}

func newFew(l *Log) (f few) {
	for range 30 {
		f.files = append(f.files, ID[core.File](l))
	}
	for _, text := range []string{"a", "bb", "ccc", "dddd"} {
		f.uploads = append(f.uploads, ID[core.Upload](l))
		f.blobs = append(f.blobs, core.BlobRef{ID: sha256.Sum256([]byte(text)), Size: int64(len(text))})
		f.links = append(f.links, sha256.Sum256([]byte("link "+text)))
	}
	return f
}

// beginFiles makes a post with a file, and a public link to the file.
func (c *Chaos) beginFiles(who int) []core.Entry {
	by := command.Caller{Session: c.sessions[who]}
	f := c.file(who, c.channels[who])
	f.ID = c.few.files[who]
	made := c.Entry(by, &command.CreateFile{File: f})
	posted := c.Entry(by, &command.CreatePost{Post: core.Post{ChannelID: f.ChannelID, FileIDs: []core.FileID{f.ID}}})
	c.posted(posted)
	return []core.Entry{made, posted, c.Entry(by, &command.ShareFile{FileID: f.ID, Link: Pick(c, c.few.links)})}
}

// SomeFiles gives files for a post, mostly such as may be attached to it.
func (c *Chaos) SomeFiles(who int, room core.ChannelID) (out []core.FileID) {
	for _, f := range slices.Backward(c.few.tried) {
		if f.UserID == c.users[who] && f.ChannelID == room && len(out) < 2 && c.Rnd.IntN(3) == 0 {
			out = append(out, f.ID)
		}
	}
	if c.Rnd.IntN(20) == 0 {
		out = append(out, Pick(c, c.few.files))
	}
	return out
}

func (c *Chaos) file(who int, room core.ChannelID) core.File {
	content := Pick(c, c.few.blobs)
	f := core.File{ID: Pick(c, c.few.files), ChannelID: room, Name: c.Word() + ".txt", Extension: "txt", MimeType: "text/plain", Size: content.Size, Content: content}
	if c.Rnd.IntN(2) == 0 {
		f.Thumbnail, f.Preview, f.MiniPreview, f.HasPreview = Pick(c, c.few.blobs), Pick(c, c.few.blobs), []byte{1, 2}, true
		f.Width, f.Height, f.MimeType = 3, 4, "image/png"
	}
	f.UserID = c.users[who]
	c.few.tried = append(c.few.tried, f)
	return f
}

// goOn makes the next command that an upload needs to be finished.
func (c *Chaos) goOn(who int, f core.File) command.Command {
	for _, row := range c.Model.Rows(apply.Uploads.Shape) {
		up := (*core.Upload)(row)
		if up.UserID != c.users[who] || up.DeleteAt != 0 {
			continue
		}
		if up.FileOffset < up.FileSize {
			return &command.AppendUpload{UploadID: up.ID, Offset: up.FileOffset, Part: c.few.blobs[c.Rnd.IntN(int(up.FileSize-up.FileOffset))]}
		}
		f.ID, f.ChannelID, f.Content, f.Size = ID[core.File](c.Log), up.ChannelID, c.few.blobs[up.FileSize-1], up.FileSize
		return &command.FinishUpload{UploadID: up.ID, File: f, Text: c.Word()}
	}
	return nil
}

// fileCommand makes a command about files, uploads or pictures.
func (c *Chaos) fileCommand(who int, room core.ChannelID, post core.PostID) command.Command {
	up := Pick(c, c.few.uploads)
	if c.Rnd.IntN(4) > 0 { // mostly where it is allowed
		room, up = c.channels[who], c.few.uploads[who%len(c.few.uploads)]
	}
	f := c.file(who, room)
	switch c.Rnd.IntN(15) {
	case 0, 7, 8:
		return &command.ShareFile{FileID: f.ID, Link: Pick(c, c.few.links)}
	case 1:
		if c.Rnd.IntN(8) == 0 {
			return &command.ExpireLinks{}
		}
		return &command.SetUserImage{UserID: c.users[who], Picture: Pick(c, append([]core.BlobRef{{}}, c.few.blobs...))}
	case 2, 3:
		return &command.CreateUpload{Quota: c.quota(), Upload: core.Upload{ID: up, Type: core.UploadAttachment, ChannelID: room, Filename: "f", FileSize: int64(1 + c.Rnd.IntN(4))}}
	case 4:
		return &command.AppendUpload{UploadID: up, Offset: int64(c.Rnd.IntN(3)), Part: Pick(c, c.few.blobs)}
	case 5, 10, 11: // as a client would
		if cmd := c.goOn(who, f); cmd != nil {
			return cmd
		}
		return &command.FinishUpload{UploadID: up, File: f, Text: c.Word()}
	case 6:
		ids := c.SomeFiles(who, room)
		return &command.PatchPost{PostID: post, PostPatch: core.PostPatch{FileIDs: &ids}}
	case 9:
		return &command.CreatePost{Post: core.Post{ChannelID: room, FileIDs: c.SomeFiles(who, room)}}
	}
	return &command.CreateFile{File: f, Text: c.Word(), Quota: c.quota()}
}

// quota gives home's word about stored bytes, which is sometimes changed.
func (c *Chaos) quota() core.Quota {
	switch c.Rnd.IntN(6) {
	case 0:
		return core.Quota{Person: int64(1 + c.Rnd.IntN(20))}
	case 1:
		return core.Quota{Team: int64(1 + c.Rnd.IntN(40))}
	}
	return core.Quota{}
}
