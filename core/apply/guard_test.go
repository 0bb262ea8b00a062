package apply_test

import (
	"strings"
	"testing"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/apply"
	"github.com/nearside/nearside/core/command"
)

// Clients can set neither the props that mark a post of an integration nor the one that says who
// deleted it, when they create a post or edit it. What the server set stays.
func TestCreatePost_PropsOfTheServer(t *testing.T) {
	w := newWorld(t)
	w.person("ada")
	_, square := w.team("ada")
	forged := func() map[string]any {
		return map[string]any{"from_webhook": "true", "override_username": "boss", "from_bot": "true", "deleteBy": "x", "color": "red"}
	}
	check := func(p core.Post) {
		t.Helper()
		if len(p.Props) != 1 || p.Props["color"] != "red" {
			t.Errorf("props are %v", p.Props)
		}
	}
	var p core.Post
	w.must("ada", &command.CreatePost{Post: core.Post{ID: core.NewID[core.Post](w.at), ChannelID: square, Message: "hi", Props: forged()}}, &p)
	check(p)
	props := forged()
	w.must("ada", &command.PatchPost{PostID: p.ID, PostPatch: core.PostPatch{Props: &props}}, &p)
	check(p)
}

// Any member of a channel may pin a post. A patch of another user's post that changes nothing is not
// a pin: it is refused, because it would announce an edit.
func TestPatchPost_NothingOfOthers(t *testing.T) {
	w := newWorld(t)
	w.person("ada")
	bob := w.person("bob")
	team, square := w.team("ada")
	w.must("bob", &command.AddTeamMember{TeamID: team.ID, UserID: bob.ID}, nil)
	p := w.post("ada", square, core.PostID{}, "hi")
	tags, pinned := "#forged", true
	w.refused("bob", &command.PatchPost{PostID: p.ID}, core.KindForbidden)
	w.refused("bob", &command.PatchPost{PostID: p.ID, PostPatch: core.PostPatch{Hashtags: &tags, IsPinned: &pinned}}, core.KindForbidden)
	w.must("bob", &command.PatchPost{PostID: p.ID, PostPatch: core.PostPatch{IsPinned: &pinned}}, nil)
}

// Nothing is written into an archived channel: joining the team does not add a member to it, and no
// member can leave or be removed.
func TestArchivedChannel_StaysAsItIs(t *testing.T) {
	w := newWorld(t)
	w.person("ada")
	bob, cy := w.person("bob"), w.person("cy")
	team, _ := w.team("ada")
	offTopic, _ := w.channelNamed(apply.TeamName{Team: team.ID, Name: core.OffTopic})
	w.must("bob", &command.AddTeamMember{TeamID: team.ID, UserID: bob.ID}, nil)
	w.must("ada", &command.DeleteChannel{ChannelID: offTopic}, nil)
	was, _ := apply.Channels.Get(w.rows(), offTopic)
	w.must("cy", &command.AddTeamMember{TeamID: team.ID, UserID: cy.ID}, nil)
	if _, joined := apply.ChannelMembers.Get(w.rows(), apply.ChannelUser{Channel: offTopic, User: cy.ID}); joined {
		t.Error("joined an archived channel with the team")
	}
	w.refused("bob", &command.RemoveChannelMember{ChannelID: offTopic, UserID: bob.ID}, core.KindInvalid)
	w.refused("ada", &command.RemoveChannelMember{ChannelID: offTopic, UserID: bob.ID}, core.KindInvalid)
	if now, _ := apply.Channels.Get(w.rows(), offTopic); now.LastPostAt != was.LastPostAt {
		t.Error("somebody wrote into the archived channel")
	}
}

// A team that names domains accepts only members with an address in them, and its creator.
func TestAddTeamMember_AllowedDomains(t *testing.T) {
	w := newWorld(t)
	ada := w.person("ada")
	bob := w.person("bob")
	team, _ := w.team("ada")
	domains := "other.org, @sub.example.com"
	w.must("ada", &command.PatchTeam{TeamID: team.ID, TeamPatch: core.TeamPatch{AllowedDomains: &domains}}, nil)
	w.refused("bob", &command.AddTeamMember{TeamID: team.ID, UserID: bob.ID}, core.KindInvalid)
	w.refused("ada", &command.AddTeamMember{TeamID: team.ID, UserID: bob.ID}, core.KindInvalid)
	domains += " @EXAMPLE.com"
	w.must("ada", &command.PatchTeam{TeamID: team.ID, TeamPatch: core.TeamPatch{AllowedDomains: &domains}}, nil)
	w.refused("bob", &command.AddTeamMember{TeamID: team.ID, UserID: bob.ID}, core.KindInvalid) // anybody can say that an address is theirs
	w.must("ada", &command.VerifyEmail{UserID: bob.ID, Email: bob.Email}, nil)
	w.must("bob", &command.AddTeamMember{TeamID: team.ID, UserID: bob.ID}, nil)
	w.must("ada", &command.AddTeamMember{TeamID: team.ID, UserID: ada.ID}, nil)
}

// A team's address is always that of its creator, whatever the request says.
func TestCreateTeam_EmailOfCreator(t *testing.T) {
	w := newWorld(t)
	ada := w.person("ada")
	var got core.Team
	team := core.Team{ID: core.NewID[core.Team](w.at), Name: "crew", DisplayName: "Crew", Type: core.TeamOpen, Email: "boss@example.com"}
	w.must("ada", &command.CreateTeam{Team: team}, &got)
	if got.Email != ada.Email {
		t.Errorf("the team's address is %q", got.Email)
	}
}

// While threads are not collapsed, a reply marks the channel as read for its author, as a post does:
// nobody sees their own reply as unread.
func TestReply_MarksViewed(t *testing.T) {
	w := newWorld(t)
	w.person("ada")
	bob := w.person("bob")
	team, square := w.team("ada")
	w.must("bob", &command.AddTeamMember{TeamID: team.ID, UserID: bob.ID}, nil)
	root := w.post("ada", square, core.PostID{}, "hi @bob")
	reply := w.post("bob", square, root.ID, "yes")
	ch, _ := apply.Channels.Get(w.rows(), square)
	m, _ := apply.ChannelMembers.Get(w.rows(), apply.ChannelUser{Channel: square, User: bob.ID})
	if m.MsgCount != ch.TotalMsgCount || m.MentionCount != 0 || m.LastViewedAt != reply.CreateAt {
		t.Errorf("after replying: %+v in %+v", m, ch)
	}
}

// Whoever knows a team's id before the team is made knows the ids of its default channels too, and can make a channel with
// one of them elsewhere. The team is then refused, because that channel would move into it with everybody's posts.
func TestCreateTeam_TakesNoChannelOver(t *testing.T) {
	w := newWorld(t)
	w.person("ada")
	first, _ := w.team("ada")
	next := core.Team{ID: core.NewID[core.Team](w.at), Name: "next", DisplayName: "Next", Type: core.TeamOpen}
	taken := core.DeriveID[core.Channel]("default channel", next.ID.String(), core.OffTopic)
	w.must("ada", &command.CreateChannel{Channel: core.Channel{ID: taken, TeamID: first.ID, Type: core.ChannelOpen, Name: "mine", DisplayName: "Mine"}}, nil)
	w.refused("ada", &command.CreateTeam{Team: next}, core.KindConflict)
	if ch, _ := apply.Channels.Get(w.rows(), taken); ch.TeamID != first.ID {
		t.Error("the channel is in another team now")
	}
}

// Numbers that no real file has are refused: sums of sizes must stay numbers.
func TestCreateFile_ImpossibleSizes(t *testing.T) {
	w, town := two(t)
	for what, change := range map[string]func(f *core.File){
		"size":      func(f *core.File) { f.Size, f.Content.Size = 1<<62, 1<<62 },
		"negative":  func(f *core.File) { f.Size, f.Content.Size = -1, -1 },
		"thumbnail": func(f *core.File) { f.Thumbnail = core.BlobRef{ID: core.BlobID{7}, Size: 1 << 62} },
		"preview":   func(f *core.File) { f.Preview = core.BlobRef{ID: core.BlobID{7}, Size: -1} },
		"width":     func(f *core.File) { f.Width = 1 << 40 },
	} {
		f := core.File{ID: core.NewID[core.File](w.at), ChannelID: town, Name: "f", Size: 1, Content: core.BlobRef{ID: core.BlobID{1}, Size: 1}}
		change(&f)
		if err := w.do("bob", &command.CreateFile{File: f}, nil); core.KindOf(err) != core.KindInvalid {
			t.Errorf("%s: got %v", what, err)
		}
	}
	w.refused("bob", &command.CreateUpload{Upload: core.Upload{ID: core.NewID[core.Upload](w.at), ChannelID: town, Type: core.UploadAttachment, Filename: "f", FileSize: 1 << 62}}, core.KindInvalid)
}

// The props of a post are bounded here too, whatever an edge lets through.
func TestCreatePost_PropsAreBounded(t *testing.T) {
	w := newWorld(t)
	w.person("ada")
	_, square := w.team("ada")
	p := core.Post{ChannelID: square, Message: "hi", Props: map[string]any{"a": strings.Repeat("x", core.MaxProps)}}
	w.refused("ada", &command.CreatePost{Post: p}, core.KindInvalid)
	var made core.Post
	w.must("ada", &command.CreatePost{Post: core.Post{ChannelID: square, Message: "hi"}}, &made)
	w.refused("ada", &command.PatchPost{PostID: made.ID, PostPatch: core.PostPatch{Props: &p.Props}}, core.KindInvalid)
}
