package apply_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/apply"
	"github.com/nearside/nearside/core/apply/applytest"
	"github.com/nearside/nearside/core/command"
	"github.com/nearside/nearside/core/event"
)

// world is a state machine with a clock that the test moves, and with users by name.
type world struct {
	*testing.T
	store    *applytest.Store
	at       time.Time
	index    core.Index
	events   []event.Event
	told     []byte // every outcome
	sessions map[string]core.SessionID
	users    map[string]core.User
}

func newWorld(t *testing.T) *world {
	return &world{
		T: t, store: applytest.NewStore(), at: time.UnixMilli(1_700_000_000_000),
		sessions: map[string]core.SessionID{}, users: map[string]core.User{},
	}
}

// rows gives access to the state outside of an entry.
func (w *world) rows() apply.Direct { return apply.Direct{Store: w.store} }

func (w *world) channelNamed(n apply.TeamName) (core.ChannelID, bool) {
	ch, ok := apply.ChannelByName.Find(w.rows(), n)
	return ch.ID, ok
}

// do applies a command on behalf of a user ("" for nobody) and gives the refusal.
func (w *world) do(who string, c command.Command, into any) error {
	w.Helper()
	data, err := command.Encode(command.Caller{Session: w.sessions[who]}, c)
	if err != nil {
		w.Fatal(err)
	}
	w.index++
	w.at = w.at.Add(time.Millisecond)
	fx, err := w.store.Apply(core.Entry{Index: w.index, At: w.at, ID: core.NewID[core.Proposal](w.at), Scope: apply.ScopeOf(w.store, c), Data: data})
	if err != nil {
		w.Fatal(err)
	}
	w.events, w.told = fx.Events, append(w.told, fx.Outcome...)
	var made command.Made
	switch into.(type) {
	case nil, *command.Viewed:
		return command.DecodeOutcome(fx.Outcome, into)
	}
	err = command.DecodeOutcome(fx.Outcome, &made)
	if err == nil {
		w.readBack(c, made, into)
	}
	return err
}

// readBack gives the row that a command has made or changed.
func (w *world) readBack(c command.Command, made command.Made, into any) {
	w.Helper()
	ok := false
	switch c := c.(type) {
	case *command.CreateUser:
		*into.(*core.User), ok = apply.Users.Get(w.rows(), c.User.ID)
	case *command.PatchUser:
		*into.(*core.User), ok = apply.Users.Get(w.rows(), c.UserID)
	case *command.SetUserImage:
		*into.(*core.User), ok = apply.Users.Get(w.rows(), c.UserID)
	case *command.CreateTeam:
		*into.(*core.Team), ok = apply.Teams.Get(w.rows(), c.Team.ID)
	case *command.CreateChannel:
		*into.(*core.Channel), ok = apply.Channels.Get(w.rows(), c.Channel.ID)
	case *command.CreatePost:
		*into.(*core.Post), ok = apply.Posts.Get(w.rows(), made.ID)
	case *command.PatchPost:
		*into.(*core.Post), ok = apply.Posts.Get(w.rows(), c.PostID)
	case *command.AddReaction:
		*into.(*core.Reaction), ok = apply.Reactions.Get(w.rows(), apply.ReactionKey{Post: c.PostID, User: w.users["bob"].ID, Emoji: c.EmojiName})
	case *command.CreateFile:
		*into.(*core.File), ok = apply.Files.Get(w.rows(), c.File.ID)
	case *command.FinishUpload:
		*into.(*core.File), ok = apply.Files.Get(w.rows(), c.File.ID)
	case *command.CreateUpload:
		*into.(*core.Upload), ok = apply.Uploads.Get(w.rows(), c.Upload.ID)
	case *command.AppendUpload:
		*into.(*core.Upload), ok = apply.Uploads.Get(w.rows(), c.UploadID)
	default:
		*into.(*command.Made), ok = made, true
	}
	if !ok {
		w.Fatalf("%T left no row", c)
	}
}

func (w *world) must(who string, c command.Command, into any) {
	w.Helper()
	if err := w.do(who, c, into); err != nil {
		w.Fatalf("%T by %q: %v", c, who, err)
	}
}

func (w *world) refused(who string, c command.Command, kind core.Kind) {
	w.Helper()
	if err := w.do(who, c, nil); err == nil || core.KindOf(err) != kind {
		w.Fatalf("%T by %q: got %v, want kind %v", c, who, err, kind)
	}
	if len(w.events) != 0 {
		w.Fatalf("%T was refused but announced %v", c, w.names())
	}
}

func (w *world) names() (out []string) {
	for _, e := range w.events {
		for range e.To() {
			out = append(out, e.Name())
		}
	}
	return out
}

func (w *world) announced(want ...string) {
	w.Helper()
	if diff := cmp.Diff(want, w.names()); diff != "" {
		w.Fatalf("announced (-want +got):\n%s", diff)
	}
}

// person signs a user up and in.
func (w *world) person(name string) core.User {
	w.Helper()
	u := core.User{ID: core.NewID[core.User](w.at), Username: name, Email: name + "@example.com", PasswordSeal: core.SealOf([]byte("hash of " + name))}
	var out core.User
	w.must("", &command.CreateUser{User: u, OpenServer: true}, &out)
	s := core.Session{ID: core.NewID[core.Session](w.at), UserID: u.ID, Token: core.HashToken(name).Seal()}
	w.must("", &command.CreateSession{Session: s, PasswordSeal: u.PasswordSeal}, nil)
	w.sessions[name], w.users[name] = s.ID, out
	return out
}

func (w *world) team(by string) (core.Team, core.ChannelID) {
	w.Helper()
	var t core.Team
	w.must(by, &command.CreateTeam{Team: core.Team{ID: core.NewID[core.Team](w.at), Name: "crew", DisplayName: "Crew", Type: core.TeamOpen, AllowOpenInvite: true}}, &t)
	id, ok := w.channelNamed(apply.TeamName{Team: t.ID, Name: core.TownSquare})
	if !ok {
		w.Fatal("the team has no town square")
	}
	return t, id
}

func (w *world) post(by string, ch core.ChannelID, root core.PostID, text string) core.Post {
	w.Helper()
	var p core.Post
	w.must(by, &command.CreatePost{Post: core.Post{ID: core.NewID[core.Post](w.at), ChannelID: ch, RootID: root, Message: text}}, &p)
	return p
}

// history gives the earlier texts of a post.
func (w *world) history(id core.PostID) (out []core.Post) {
	for _, row := range w.store.Rows(apply.Posts.Shape) {
		if p := (*core.Post)(row); p.OriginalID == id {
			out = append(out, *p)
		}
	}
	return out
}

// The first account is a system administrator, later ones are not.
func TestCreateUser_FirstIsAdmin(t *testing.T) {
	w := newWorld(t)
	if got := w.person("ada").Roles; got != "system_admin system_user" {
		t.Errorf("the first account has roles %q", got)
	}
	if got := w.person("bob").Roles; got != "system_user" {
		t.Errorf("the second account has roles %q", got)
	}
}

// A name or an address can be taken only once; a refusal changes nothing.
func TestCreateUser_Refusals(t *testing.T) {
	w := newWorld(t)
	w.person("ada")
	fresh := func(name, mail string) *command.CreateUser {
		return &command.CreateUser{User: core.User{ID: core.NewID[core.User](w.at), Username: name, Email: mail}, OpenServer: true}
	}
	w.refused("", fresh("ada", "other@example.com"), core.KindInvalid)
	w.refused("", fresh("other", "ada@example.com"), core.KindInvalid)
	w.refused("", fresh("UPPER", "u@example.com"), core.KindInvalid)
	w.refused("", fresh("nul\x00", "u@example.com"), core.KindInvalid)
	closed := fresh("eve", "eve@example.com")
	closed.OpenServer = false
	w.refused("", closed, core.KindForbidden)
	if got := w.person("bob").Roles; got != "system_user" {
		t.Errorf("refused sign-ups changed the count: %q", got)
	}
}

// No answer and no event ever carries a password hash.
func TestUser_HashStaysInside(t *testing.T) {
	w := newWorld(t)
	ada := w.person("ada")
	nick := "Countess"
	w.must("ada", &command.PatchUser{UserID: ada.ID, UserPatch: core.UserPatch{Nickname: &nick}}, &ada)
	if ada.PasswordSeal.IsZero() || bytes.Contains(w.told, ada.PasswordSeal[:]) {
		t.Error("a result holds the hash")
	}
	for _, e := range w.events {
		if e, ok := e.(event.UserUpdated); ok && !e.User.PasswordSeal.IsZero() {
			t.Errorf("%s holds the hash", e.Name())
		}
	}
	w.announced("user_updated", "user_updated", "user_updated")
}

// A command is accepted only while its session is valid: not after sign-out, not after it expired,
// not with a session that does not exist.
func TestCaller_NeedsLiveSession(t *testing.T) {
	w := newWorld(t)
	w.person("ada")
	w.person("bob")
	cmd := func() *command.CreateTeam {
		return &command.CreateTeam{Team: core.Team{ID: core.NewID[core.Team](w.at), Name: "late", DisplayName: "Late", Type: "O"}}
	}
	w.refused("nobody", cmd(), core.KindUnauthorized)
	w.refused("bob", &command.EndSession{SessionID: w.sessions["ada"]}, core.KindInvalid)
	w.must("ada", &command.EndSession{SessionID: w.sessions["ada"]}, nil)
	w.refused("ada", cmd(), core.KindUnauthorized)
	w.at = w.at.Add(core.SessionLength)
	w.refused("bob", cmd(), core.KindUnauthorized)
}

// A sign-in that was checked against a password changed meanwhile is refused.
func TestCreateSession_ChecksHashAtApply(t *testing.T) {
	w := newWorld(t)
	ada := w.person("ada")
	s := core.Session{ID: core.NewID[core.Session](w.at), UserID: ada.ID}
	w.refused("", &command.CreateSession{Session: s, PasswordSeal: core.SealOf([]byte("old"))}, core.KindUnauthorized)
	w.refused("", &command.CreateSession{Session: s}, core.KindUnauthorized)
}

// A new team has its two channels, its creator administers it, and the channels tell of it.
func TestCreateTeam(t *testing.T) {
	w := newWorld(t)
	ada := w.person("ada")
	team, town := w.team("ada")
	w.announced("posted", "user_added", "posted", "user_added", "added_to_team")
	m, _ := apply.TeamMembers.Get(w.rows(), apply.TeamUser{Team: team.ID, User: ada.ID})
	if m.Roles() != "team_user team_admin" {
		t.Errorf("the creator has roles %q", m.Roles())
	}
	ch, _ := apply.Channels.Get(w.rows(), town)
	if ch.TotalMsgCount != 0 || ch.DisplayName != core.TownSquare || ch.LastPostAt <= ch.CreateAt {
		t.Errorf("town square is %+v", ch)
	}
	w.refused("ada", &command.CreateTeam{Team: core.Team{ID: core.NewID[core.Team](w.at), Name: "crew", DisplayName: "x", Type: "O"}}, core.KindInvalid)
	other := core.Team{ID: core.NewID[core.Team](w.at), Name: "others", DisplayName: "x", Type: "O"}
	w.refused("ada", &command.CreateTeam{Team: other, TownSquare: strings.Repeat("x", 65)}, core.KindInvalid)
	w.must("ada", &command.CreateTeam{Team: other, TownSquare: "Marktplatz"}, nil)
	id, _ := w.channelNamed(apply.TeamName{Team: other.ID, Name: core.TownSquare})
	if ch, _ := apply.Channels.Get(w.rows(), id); ch.DisplayName != "Marktplatz" {
		t.Errorf("a named town square is %+v", ch)
	}
}

// Times grow strictly within a channel even when the log's clock stands still.
func TestCreatePost_TimesGrow(t *testing.T) {
	w := newWorld(t)
	w.person("ada")
	_, town := w.team("ada")
	last := int64(0)
	for i := range 20 {
		w.at = w.at.Add(-time.Millisecond) // do() adds it again
		p := w.post("ada", town, core.PostID{}, fmt.Sprint(i))
		if p.CreateAt <= last {
			t.Fatalf("post %d at %d follows one at %d", i, p.CreateAt, last)
		}
		last = p.CreateAt
	}
}

// Posts without permission are refused by apply, whatever the edge has checked.
func TestCreatePost_Refusals(t *testing.T) {
	w := newWorld(t)
	w.person("ada")
	w.person("bob")
	team, town := w.team("ada")
	var private core.Channel
	w.must("ada", &command.CreateChannel{Channel: core.Channel{ID: core.NewID[core.Channel](w.at), TeamID: team.ID, Type: "P", Name: "quiet", DisplayName: "Quiet"}}, &private)
	root := w.post("ada", town, core.PostID{}, "root")
	reply := w.post("ada", town, root.ID, "reply")
	try := func(ch core.ChannelID, root core.PostID, more func(*core.Post)) *command.CreatePost {
		p := core.Post{ID: core.NewID[core.Post](w.at), ChannelID: ch, RootID: root, Message: "x"}
		if more != nil {
			more(&p)
		}
		return &command.CreatePost{Post: p}
	}
	w.refused("bob", try(private.ID, core.PostID{}, nil), core.KindForbidden)
	w.refused("bob", try(town, core.PostID{}, nil), core.KindForbidden)
	w.refused("ada", try(core.ChannelID{1}, core.PostID{}, nil), core.KindInvalid)
	w.refused("ada", try(private.ID, root.ID, nil), core.KindInvalid)
	w.refused("ada", try(town, reply.ID, nil), core.KindInvalid)
	w.refused("ada", try(town, core.PostID{7}, nil), core.KindInvalid)
	w.refused("ada", try(town, core.PostID{}, func(p *core.Post) { p.Type = "system_join_team" }), core.KindInvalid)
	w.refused("ada", try(town, core.PostID{}, func(p *core.Post) { p.Message = strings.Repeat("é", core.MaxPostRunes+1) }), core.KindInvalid)
	w.refused("ada", try(town, core.PostID{}, func(p *core.Post) { p.Props = map[string]any{"a": []any{"\x00"}} }), core.KindInvalid)
	w.must("ada", &command.DeleteChannel{ChannelID: private.ID}, nil)
	w.refused("ada", try(private.ID, core.PostID{}, nil), core.KindInvalid)
}

// The root of a thread has the right number of replies, last time and participants, also after
// replies are deleted.
func TestReply_RootKeepsCount(t *testing.T) {
	w := newWorld(t)
	w.person("ada")
	bob := w.person("bob")
	team, town := w.team("ada")
	w.must("bob", &command.AddTeamMember{TeamID: team.ID, UserID: bob.ID}, nil)
	root := w.post("ada", town, core.PostID{}, "root")
	one := w.post("bob", town, root.ID, "one")
	two := w.post("ada", town, root.ID, "two")
	got, _ := apply.Posts.Get(w.rows(), root.ID)
	if got.ReplyCount != 2 || got.LastReplyAt != two.CreateAt || len(got.Participants) != 2 || got.Participants[0].ID != bob.ID {
		t.Errorf("after two replies the root is %+v", got)
	}
	w.must("bob", &command.DeletePost{PostID: one.ID}, nil)
	got, _ = apply.Posts.Get(w.rows(), root.ID)
	if got.ReplyCount != 1 || len(got.Participants) != 1 || got.UpdateAt <= two.CreateAt {
		t.Errorf("after a deletion the root is %+v", got)
	}
	w.must("ada", &command.DeletePost{PostID: root.ID}, nil)
	w.announced("post_deleted", "post_deleted")
	if r, _ := apply.Posts.Get(w.rows(), two.ID); r.DeleteAt == 0 {
		t.Error("the root is gone but its reply is not")
	}
	ch, _ := apply.Channels.Get(w.rows(), town)
	if ch.TotalMsgCount != 3 || ch.TotalMsgCountRoot != 1 {
		t.Errorf("deletion changed the totals: %d and %d", ch.TotalMsgCount, ch.TotalMsgCountRoot)
	}
}

// An edit keeps the id and the old text; only the author may make it.
func TestPatchPost(t *testing.T) {
	w := newWorld(t)
	w.person("ada")
	bob := w.person("bob")
	team, town := w.team("ada")
	w.must("bob", &command.AddTeamMember{TeamID: team.ID, UserID: bob.ID}, nil)
	p := w.post("bob", town, core.PostID{}, "befor")
	text := "before"
	edit := func() *command.PatchPost {
		return &command.PatchPost{PostID: p.ID, PostPatch: core.PostPatch{Message: &text}}
	}
	var got core.Post
	w.must("bob", edit(), &got)
	w.announced("post_edited")
	if got.Message != text || got.EditAt == 0 || got.CreateAt != p.CreateAt {
		t.Errorf("the edited post is %+v", got)
	}
	if kept := w.history(p.ID); len(kept) != 1 || kept[0].ID == p.ID {
		t.Fatalf("the history is %+v", kept)
	}
	old := w.history(p.ID)[0]
	if old.Message != "befor" || old.OriginalID != p.ID || old.DeleteAt == 0 {
		t.Errorf("the kept text is %+v", old)
	}
	pin := true
	w.must("ada", &command.PatchPost{PostID: p.ID, PostPatch: core.PostPatch{IsPinned: &pin}}, &got)
	if !got.IsPinned || got.EditAt == got.UpdateAt {
		t.Errorf("pinning gave %+v", got)
	}
	w.must("bob", &command.DeletePost{PostID: p.ID}, nil)
	w.refused("bob", edit(), core.KindNotFound)
	carol := w.person("carol")
	w.must("carol", &command.AddTeamMember{TeamID: team.ID, UserID: carol.ID}, nil)
	p = w.post("bob", town, core.PostID{}, "mine")
	w.refused("carol", edit(), core.KindForbidden)
	w.refused("carol", &command.DeletePost{PostID: p.ID}, core.KindForbidden)
}

// Posts of others raise the unread counts, viewing the channel clears them, and mentions have a
// count of their own.
func TestViewChannel(t *testing.T) {
	w := newWorld(t)
	w.person("ada")
	bob := w.person("bob")
	team, town := w.team("ada")
	w.must("bob", &command.AddTeamMember{TeamID: team.ID, UserID: bob.ID}, nil)
	member := func() core.ChannelMember {
		m, _ := apply.ChannelMembers.Get(w.rows(), apply.ChannelUser{Channel: town, User: bob.ID})
		return m
	}
	w.must("ada", &command.CreatePost{Post: core.Post{ID: core.NewID[core.Post](w.at), ChannelID: town, Message: "@bob"}, Mentions: []string{"bob", "ghost", "ada"}}, nil)
	if !slices.Equal(w.events[0].(event.Posted).Mentions, []core.UserID{bob.ID}) {
		t.Errorf("mentioned %v", w.events[0].(event.Posted).Mentions)
	}
	if m := member(); m.MentionCount != 1 || m.MsgCount != 0 {
		t.Errorf("before viewing: %+v", m)
	}
	var v command.Viewed
	w.must("bob", &command.ViewChannel{Channels: []core.ChannelID{town, {}}}, &v)
	w.announced("multiple_channels_viewed")
	ch, _ := apply.Channels.Get(w.rows(), town)
	if m := member(); m.MentionCount != 0 || m.MsgCount != ch.TotalMsgCount || m.LastViewedAt != ch.LastPostAt || v.Times[0] != ch.LastPostAt {
		t.Errorf("after viewing: %+v, %+v", m, v)
	}
	w.must("bob", &command.ViewChannel{Channels: []core.ChannelID{town}}, &v)
	w.announced()
}

// A user who leaves a team leaves its channels, without events for them, and may come back.
func TestRemoveTeamMember(t *testing.T) {
	w := newWorld(t)
	w.person("ada")
	bob := w.person("bob")
	team, town := w.team("ada")
	w.must("bob", &command.AddTeamMember{TeamID: team.ID, UserID: bob.ID}, nil)
	w.refused("bob", &command.RemoveChannelMember{ChannelID: town, UserID: bob.ID}, core.KindInvalid)
	w.refused("bob", &command.RemoveTeamMember{TeamID: team.ID, UserID: w.users["ada"].ID}, core.KindForbidden)
	w.must("bob", &command.RemoveTeamMember{TeamID: team.ID, UserID: bob.ID}, nil)
	w.announced("posted", "leave_team", "leave_team")
	for _, row := range w.store.Rows(apply.ChannelMembers.Shape) {
		if m := (*core.ChannelMember)(row); m.UserID == bob.ID {
			t.Errorf("still in %v", m.ChannelID)
		}
	}
	w.must("bob", &command.AddTeamMember{TeamID: team.ID, UserID: bob.ID}, nil)
}

// A user can set only their own preferences.
func TestSetPreferences(t *testing.T) {
	w := newWorld(t)
	ada, bob := w.person("ada"), w.person("bob")
	list := []core.Preference{{UserID: ada.ID, Category: "display_settings", Name: "name_format", Value: "username"}}
	w.must("ada", &command.SetPreferences{Preferences: list}, nil)
	w.announced("sidebar_category_updated", "preferences_changed")
	list[0].UserID = bob.ID
	w.refused("ada", &command.SetPreferences{Preferences: list}, core.KindForbidden)
	w.refused("ada", &command.SetPreferences{}, core.KindInvalid)
}

// An entry that cannot be read stops the replica and says where.
func TestApply_UnknownStops(t *testing.T) {
	_, err := applytest.NewStore().Apply(core.Entry{Index: 7, Data: []byte{0xa0}})
	if core.KindOf(err) != core.KindUpgrade || !strings.Contains(err.Error(), "entry 7") {
		t.Errorf("got %v", err)
	}
}
