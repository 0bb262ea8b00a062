package apply

import (
	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/command"
)

// Keys are rows that entries will probably ask for, so that a store can read those of a whole
// batch at once. A key too few costs a round trip and one too many a read in vain; nothing is
// decided by them.
type Keys struct {
	Users          []core.UserID
	Usernames      []string
	Emails         []string
	Sessions       []core.SessionID
	Teams          []core.TeamID
	TeamNames      []string
	TeamMembers    []TeamUser
	Channels       []core.ChannelID
	ChannelNames   []TeamName
	ChannelMembers []ChannelUser
	Posts          []core.PostID
	Pending        []PendingKey
	Counters       []string
	Files          []core.FileID
	Uploads        []core.UploadID
	Blobs          []core.BlobID
	FileLinks      []core.BlobID
}

// Hint adds what a command of a user will probably read. The user is zero when not known.
func (k *Keys) Hint(user core.UserID, c command.Command) {
	if !user.IsZero() {
		k.Users = append(k.Users, user)
	}
	if h := hints[c.Kind()]; h != nil {
		h(k, user, c)
	}
}

// hints is the table of hints; a command may have none.
var hints = map[command.Kind]func(*Keys, core.UserID, command.Command){
	command.KindCreateUser:       hint(hintCreateUser),
	command.KindCreateSession:    hint(hintCreateSession),
	command.KindAddTeamMember:    hint(hintAddTeamMember),
	command.KindAddChannelMember: hint(hintAddChannelMember),
	command.KindViewChannel:      hint(hintViewChannel),
	command.KindCreatePost:       hint(hintCreatePost),
	command.KindPatchPost:        hint(hintPatchPost),
	command.KindDeletePost:       hint(hintDeletePost),
	command.KindCreateFile:       hint(hintCreateFile),
	command.KindShareFile:        hint(hintShareFile),
	command.KindCreateUpload:     hint(hintCreateUpload),
	command.KindAppendUpload:     hint(hintAppendUpload),
	command.KindFinishUpload:     hint(hintFinishUpload),
	command.KindSetUserImage:     hint(hintSetUserImage),
}

func hint[C command.Command](f func(*Keys, core.UserID, C)) func(*Keys, core.UserID, command.Command) {
	return func(k *Keys, user core.UserID, c command.Command) { f(k, user, c.(C)) }
}

func hintCreateUser(k *Keys, _ core.UserID, c *command.CreateUser) {
	k.Users = append(k.Users, c.User.ID)
	k.Usernames = append(k.Usernames, c.User.Username)
	k.Emails = append(k.Emails, c.User.Email)
	k.Counters = append(k.Counters, userCount)
}

func hintCreateSession(k *Keys, _ core.UserID, c *command.CreateSession) {
	k.Users = append(k.Users, c.Session.UserID)
	k.Sessions = append(k.Sessions, c.Session.ID)
}

func hintAddTeamMember(k *Keys, user core.UserID, c *command.AddTeamMember) {
	k.Teams = append(k.Teams, c.TeamID)
	k.Users = append(k.Users, c.UserID)
	k.TeamMembers = append(k.TeamMembers, TeamUser{c.TeamID, c.UserID}, TeamUser{c.TeamID, user})
}

func hintAddChannelMember(k *Keys, user core.UserID, c *command.AddChannelMember) {
	k.Channels = append(k.Channels, c.ChannelID)
	k.Users = append(k.Users, c.UserID)
	k.ChannelMembers = append(k.ChannelMembers, ChannelUser{c.ChannelID, c.UserID}, ChannelUser{c.ChannelID, user})
}

func hintViewChannel(k *Keys, user core.UserID, c *command.ViewChannel) {
	for _, id := range c.Channels {
		k.Channels = append(k.Channels, id)
		k.ChannelMembers = append(k.ChannelMembers, ChannelUser{id, user})
	}
}

func hintCreatePost(k *Keys, user core.UserID, c *command.CreatePost) {
	k.Posts = append(k.Posts, c.Post.ID)
	if !c.Post.RootID.IsZero() {
		k.Posts = append(k.Posts, c.Post.RootID)
	}
	if c.Post.PendingPostID != "" {
		k.Pending = append(k.Pending, PendingKey{user, c.Post.PendingPostID})
	}
	k.Channels = append(k.Channels, c.Post.ChannelID)
	k.ChannelMembers = append(k.ChannelMembers, ChannelUser{c.Post.ChannelID, user})
	for _, name := range c.Mentions {
		k.Usernames = append(k.Usernames, lower(name))
	}
	k.Files = append(k.Files, c.Post.FileIDs...)
}

func hintPatchPost(k *Keys, _ core.UserID, c *command.PatchPost) {
	k.Posts = append(k.Posts, c.PostID, c.HistoryID)
	if c.FileIDs != nil {
		k.Files = append(k.Files, *c.FileIDs...)
	}
}

func hintDeletePost(k *Keys, _ core.UserID, c *command.DeletePost) {
	k.Posts = append(k.Posts, c.PostID)
}

func hintCreateFile(k *Keys, user core.UserID, c *command.CreateFile) { k.file(user, c.File) }

func (k *Keys) file(user core.UserID, f core.File) {
	k.Files = append(k.Files, f.ID)
	k.Channels = append(k.Channels, f.ChannelID)
	k.ChannelMembers = append(k.ChannelMembers, ChannelUser{f.ChannelID, user})
	k.blobs(f.Content, f.Thumbnail, f.Preview)
}

func (k *Keys) blobs(refs ...core.BlobRef) {
	for _, ref := range refs {
		if !ref.ID.IsZero() {
			k.Blobs = append(k.Blobs, ref.ID)
		}
	}
}

func hintShareFile(k *Keys, _ core.UserID, c *command.ShareFile) {
	k.Files = append(k.Files, c.FileID)
	k.FileLinks = append(k.FileLinks, c.Link)
	k.Counters = append(k.Counters, core.LinksExpired)
}

func hintCreateUpload(k *Keys, user core.UserID, c *command.CreateUpload) {
	k.Uploads = append(k.Uploads, c.Upload.ID)
	k.Channels = append(k.Channels, c.Upload.ChannelID)
	k.ChannelMembers = append(k.ChannelMembers, ChannelUser{c.Upload.ChannelID, user})
}

func hintAppendUpload(k *Keys, _ core.UserID, c *command.AppendUpload) {
	k.Uploads = append(k.Uploads, c.UploadID)
	k.blobs(c.Part)
}

func hintFinishUpload(k *Keys, user core.UserID, c *command.FinishUpload) {
	k.Uploads = append(k.Uploads, c.UploadID)
	k.file(user, c.File)
}

func hintSetUserImage(k *Keys, _ core.UserID, c *command.SetUserImage) {
	k.Users = append(k.Users, c.UserID)
	k.blobs(c.Picture)
}
