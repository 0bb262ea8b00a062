package applytest

import (
	"fmt"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/command"
)

// Scene plays a day of two people, with every command there is, each where it is accepted. A test of a hostile edge tries
// other forms of each command just before.
type Scene struct {
	Name  string                                                         // of this day; every one has people and objects of its own
	Admin command.Caller                                                 // a system administrator; zero: nothing that needs one is done
	Do    func(by command.Caller, c command.Command) (made command.Made) // orders a command; a refusal gives the zero result

	ids int
}

func sceneID[T any](s *Scene) core.ID[T] {
	s.ids++
	return core.DeriveID[T]("scene", s.Name, fmt.Sprint(s.ids))
}

// Play plays the day.
func (s *Scene) Play() {
	ada, bob := s.person("ada"), s.person("bob")
	team, room := sceneID[core.Team](s), sceneID[core.Channel](s)
	s.Do(ada.by, &command.CreateTeam{TownSquare: "Town", Team: core.Team{ID: team, Name: "crew-" + s.Name, DisplayName: "Crew", Type: core.TeamOpen, InviteID: "invite-" + s.Name, AllowOpenInvite: true}})
	s.Do(bob.by, &command.AddTeamMember{TeamID: team, UserID: bob.id})
	s.Do(ada.by, &command.CreateChannel{Channel: core.Channel{ID: room, TeamID: team, Name: "room", DisplayName: "Room", Type: core.ChannelOpen}})
	s.Do(bob.by, &command.AddChannelMember{ChannelID: room, UserID: bob.id})
	s.settings(ada, team)
	text := "changed"
	s.Do(ada.by, &command.PatchChannel{ChannelID: room, ChannelPatch: core.ChannelPatch{Header: &text}})
	s.posts(ada, bob, room)
	s.files(ada, room)
	s.bookmarks(ada, room)
	s.Do(bob.by, &command.ViewChannel{Channels: []core.ChannelID{room}})
	s.Do(bob.by, &command.RemoveChannelMember{ChannelID: room, UserID: bob.id})
	s.Do(ada.by, &command.DeleteChannel{ChannelID: room})
	s.Do(bob.by, &command.RemoveTeamMember{TeamID: team, UserID: bob.id})
	s.Do(ada.by, &command.DeleteTeam{TeamID: team})
	s.Do(bob.by, &command.ReportRefusals{Refusals: []core.Audit{{Action: "GET /api/v4/audits", Object: "others", Result: "api.context.permissions.app_error", Times: 2}}})
	s.Do(bob.by, &command.EndSession{SessionID: bob.by.Session})
	if s.Admin != (command.Caller{}) {
		s.Do(s.Admin, &command.ExpireLinks{})
		s.Do(s.Admin, &command.VerifyEmail{UserID: bob.id, Email: "bob-" + s.Name + "@example.com"})
	}
	// Only home may propose these.
	s.Do(ada.by, &command.RaiseVersion{To: core.LogVersion})
	s.Do(ada.by, &command.ReportAudits{Audits: []core.Audit{{Kind: core.AuditRefusal, UserID: bob.id, Action: core.AuditLoginFailed, Result: "wrong", Times: 3}}})
	s.Do(ada.by, &command.TrimAudits{Before: 1})
	key := core.NodeKey{1}
	s.Do(ada.by, &command.AdmitNodes{Nodes: []core.Node{{Name: "edge-" + s.Name, Region: "here", Roles: "home,edge", Key: key}, {Name: "home", Region: "here", Roles: "home", Key: key}}})
	s.Do(ada.by, &command.RenewNode{Name: "edge-" + s.Name, Was: key, Key: core.NodeKey{2}})
	s.Do(ada.by, &command.RevokeNode{Name: "edge-" + s.Name, Reason: "stolen"})
	s.Do(ada.by, &command.CountAttempts{Attempts: []core.Attempt{{ID: sceneID[core.Attempt](s), Kind: core.AttemptPassword, UserID: ada.id}}})
}

type actor struct {
	id core.UserID
	by command.Caller
}

// person signs somebody up and in.
func (s *Scene) person(name string) actor {
	a := actor{sceneID[core.User](s), command.Caller{Session: sceneID[core.Session](s)}}
	name += "-" + s.Name
	s.Do(command.Caller{}, &command.CreateUser{OpenServer: true, User: core.User{ID: a.id, Username: name, Email: name + "@example.com", PasswordSeal: PasswordSeal}})
	s.Do(command.Caller{}, &command.CreateSession{PasswordSeal: PasswordSeal, Session: core.Session{ID: a.by.Session, UserID: a.id}})
	return a
}

func (s *Scene) settings(a actor, team core.TeamID) {
	text := "changed"
	list := []core.Preference{{UserID: a.id, Category: "theme", Name: "n", Value: "dark"}}
	s.Do(a.by, &command.PatchUser{UserID: a.id, UserPatch: core.UserPatch{Nickname: &text, Props: &map[string]string{"a": "b"}}})
	s.Do(a.by, &command.SetUserImage{UserID: a.id, Picture: s.blob("face", 4)})
	s.Do(a.by, &command.PatchTeam{TeamID: team, TeamPatch: core.TeamPatch{Description: &text}})
	s.Do(a.by, &command.SetPreferences{Preferences: list})
	s.Do(a.by, &command.DeletePreferences{Preferences: list})
}

func (s *Scene) posts(ada, bob actor, room core.ChannelID) {
	root := s.Do(ada.by, &command.CreatePost{Post: core.Post{ChannelID: room, Message: "hi", PendingPostID: "p", Props: map[string]any{"a": []any{1.5, "b"}}}, Mentions: []string{"bob-" + s.Name}}).ID
	for range 6 { // more than one entry deletes
		s.Do(bob.by, &command.CreatePost{Post: core.Post{ChannelID: room, RootID: root, Message: "yes"}})
	}
	text := "changed"
	s.Do(ada.by, &command.PatchPost{PostID: root, PostPatch: core.PostPatch{Message: &text}})
	s.Do(bob.by, &command.AddReaction{PostID: root, EmojiName: "wave"})
	s.Do(bob.by, &command.RemoveReaction{PostID: root, UserID: bob.id, EmojiName: "wave"})
	s.Do(ada.by, &command.DeletePost{PostID: root})
	s.Do(ada.by, &command.ContinueTask{TaskID: core.TaskIDOf(core.Task{Kind: core.TaskDeleteThread, PostID: root, UserID: ada.id}), Step: 1})
}

func (s *Scene) files(a actor, room core.ChannelID) {
	file := func(content core.BlobRef) core.File {
		return core.File{ID: sceneID[core.File](s), ChannelID: room, Name: "a.png", Extension: "png", MimeType: "image/png", Size: content.Size, Content: content,
			Width: 3, Height: 4, HasPreview: true, Thumbnail: s.blob("small", 3), Preview: s.blob("large", 4), MiniPreview: []byte{1}}
	}
	f, up := file(s.blob("content", 9)), sceneID[core.Upload](s)
	s.Do(a.by, &command.CreateFile{File: f, Text: "words"})
	s.Do(a.by, &command.ShareFile{FileID: f.ID, Link: s.blob("link", 1).ID})
	s.Do(a.by, &command.CreatePost{Post: core.Post{ChannelID: room, FileIDs: []core.FileID{f.ID}}})
	s.Do(a.by, &command.CreateUpload{Upload: core.Upload{ID: up, Type: core.UploadAttachment, ChannelID: room, Filename: "b.txt", FileSize: 10}})
	s.Do(a.by, &command.AppendUpload{UploadID: up, Part: s.blob("part", 10)})
	s.Do(a.by, &command.FinishUpload{UploadID: up, File: file(s.blob("whole", 10)), Text: "words"})
}

func (s *Scene) blob(name string, size int64) core.BlobRef {
	id := core.DeriveID[core.Blob]("blob", s.Name, name)
	ref := core.BlobRef{Size: size}
	copy(ref.ID[:], id[:])
	return ref
}

func (s *Scene) bookmarks(a actor, room core.ChannelID) {
	link := &command.CreateBookmark{Bookmark: core.Bookmark{ChannelID: room, DisplayName: "Link", LinkURL: "https://example.com", Type: "link"}}
	b := core.BookmarkID(s.Do(a.by, link).ID)
	s.Do(a.by, link)
	text := "changed"
	s.Do(a.by, &command.PatchBookmark{ChannelID: room, BookmarkID: b, BookmarkPatch: core.BookmarkPatch{DisplayName: &text}})
	s.Do(a.by, &command.SortBookmark{ChannelID: room, BookmarkID: b, Place: 1})
	s.Do(a.by, &command.DeleteBookmark{ChannelID: room, BookmarkID: b})
}
