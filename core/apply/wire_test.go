package apply_test

import (
	"crypto/sha256"
	"flag"
	"fmt"
	"os"
	"regexp"
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

var update = flag.Bool("update", false, "rewrite golden files")

// story applies commands and writes down what each announced.
type story struct {
	*testing.T
	store *applytest.Store
	at    time.Time
	index core.Index
	as    map[string]core.SessionID
	out   strings.Builder
}

func storyID[T any](name string) core.ID[T] { return core.DeriveID[T]("story", name) }

func (s *story) do(who string, c command.Command, into any) {
	s.Helper()
	data, err := command.Encode(command.Caller{Session: s.as[who]}, c)
	if err != nil {
		s.Fatal(err)
	}
	s.index++
	s.at = s.at.Add(time.Second)
	fx, err := s.store.Apply(core.Entry{Index: s.index, At: s.at, ID: core.DeriveID[core.Proposal](fmt.Sprint(s.index)), Scope: apply.ScopeOf(s.store, c), Data: data})
	if err != nil {
		s.Fatal(err)
	}
	if err := command.DecodeOutcome(fx.Outcome, into); err != nil {
		s.Fatalf("%T by %s: %v", c, who, err)
	}
	fmt.Fprintf(&s.out, "%s %s\n", strings.TrimPrefix(fmt.Sprintf("%T", c), "*command."), who)
	s.tell(fx.Events)
}

func (s *story) tell(events []event.Event) {
	var forget []string
	drop := func(what string, id fmt.Stringer) { forget = append(forget, what+" "+id.String()) }
	for _, e := range events {
		if e, ok := e.(event.MembershipChanged); ok {
			s.membership(e.MembershipChanged())
		}
		if e, ok := e.(event.UserChanged); ok {
			drop("user", e.UserChanged())
		}
		if e, ok := e.(event.TeamChanged); ok {
			drop("team", e.TeamChanged())
		}
		if e, ok := e.(event.ChannelChanged); ok {
			drop("channel", e.ChannelChanged())
		}
		if e, ok := e.(event.PostsChanged); ok {
			drop("posts of", e.PostsChanged())
		}
		if e, ok := e.(event.SessionEnded); ok {
			forget = append(forget, fmt.Sprintf("session %s of %s, token %x", e.Session, e.User, e.Token[:4]))
		}
		for _, to := range e.To() {
			enc, err := event.Encode(e, &to, nil)
			if err != nil {
				s.Fatal(err)
			}
			fmt.Fprintf(&s.out, "  %s\n", enc.Append(nil, 0, core.UserID{}, 0))
		}
		if e, ok := e.(event.Personal); ok {
			c := e.Personal()
			for _, u := range c.Mentions {
				fmt.Fprintf(&s.out, "    mentions %s\n", u)
			}
			for _, u := range c.Followers {
				fmt.Fprintf(&s.out, "    followed by %s\n", u)
			}
		}
	}
	slices.Sort(forget)
	for _, f := range slices.Compact(forget) {
		fmt.Fprintf(&s.out, "  forget %s\n", f)
	}
}

func (s *story) membership(m event.Membership) {
	how, where := "left", "team "+m.Team.String()
	if m.Joined {
		how = "joined"
	}
	if !m.Channel.IsZero() {
		where = "channel " + m.Channel.String()
	}
	fmt.Fprintf(&s.out, "  ! %s %s %s\n", m.User, how, where)
}

var idText = regexp.MustCompile(`\b[a-z0-9]{26}\b`)

// plain gives ids names that are easy to follow: #1 is the first that was seen.
func plain(text string) string {
	names := map[string]string{}
	return idText.ReplaceAllStringFunc(text, func(id string) string {
		if names[id] == "" {
			names[id] = fmt.Sprintf("#%d", len(names)+1)
		}
		return names[id]
	})
}

// The golden file has what each command announces, as clients see it: names, fields, their order, and
// the audiences.
func TestWire_Golden(t *testing.T) {
	s := &story{T: t, store: applytest.NewStore(), at: time.UnixMilli(1_700_000_000_000), as: map[string]core.SessionID{}}
	ids := map[string]core.UserID{}
	for _, name := range [...]string{"ada", "bob", "eve"} {
		ids[name] = storyID[core.User](name)
		u := core.User{ID: ids[name], Username: name, Email: name + "@example.com", PasswordSeal: core.SealOf([]byte("hash of " + name))}
		s.do("nobody", &command.CreateUser{User: u, OpenServer: true}, nil)
		id := storyID[core.Session](name)
		s.do("nobody", &command.CreateSession{Session: core.Session{ID: id, UserID: u.ID, Token: core.HashToken(name).Seal()}, PasswordSeal: u.PasswordSeal}, nil)
		s.as[name] = id
	}
	str := func(v string) *string { return &v }
	blob := func(text string) core.BlobRef {
		return core.BlobRef{ID: sha256.Sum256([]byte(text)), Size: int64(len(text))}
	}
	s.do("ada", &command.PatchUser{UserID: ids["ada"], UserPatch: core.UserPatch{Nickname: str("<Countess> & \"Ada\"")}}, nil)
	s.do("ada", &command.SetUserImage{UserID: ids["bob"], Picture: blob("face")}, nil)

	tm := core.Team{ID: storyID[core.Team]("crew"), Name: "crew", DisplayName: "Crew", Type: core.TeamOpen, InviteID: "secret", AllowOpenInvite: true}
	s.do("ada", &command.CreateTeam{Team: tm, TownSquare: "Town Square", OffTopic: "Off-Topic"}, nil)
	s.do("ada", &command.PatchTeam{TeamID: tm.ID, TeamPatch: core.TeamPatch{Description: str("all of us")}}, nil)
	s.do("bob", &command.AddTeamMember{TeamID: tm.ID, UserID: ids["bob"]}, nil)
	s.do("ada", &command.AddTeamMember{TeamID: tm.ID, UserID: ids["eve"]}, nil)

	open := core.Channel{ID: storyID[core.Channel]("open"), TeamID: tm.ID, Type: core.ChannelOpen, Name: "open", DisplayName: "Open"}
	private := core.Channel{ID: storyID[core.Channel]("private"), TeamID: tm.ID, Type: core.ChannelPrivate, Name: "private", DisplayName: "Private"}
	s.do("ada", &command.CreateChannel{Channel: open}, nil)
	s.do("bob", &command.CreateChannel{Channel: private}, nil)
	s.do("ada", &command.PatchChannel{ChannelID: open.ID, ChannelPatch: core.ChannelPatch{DisplayName: str("Open to all"), Header: str("new header"), Purpose: str("talk")}}, nil)
	s.do("bob", &command.AddChannelMember{ChannelID: open.ID, UserID: ids["bob"]}, nil)
	s.do("ada", &command.AddChannelMember{ChannelID: open.ID, UserID: ids["eve"]}, nil)

	file := func(name, kind string) core.FileID {
		f := core.File{ID: storyID[core.File](name), ChannelID: open.ID, Name: name, Extension: "x", MimeType: kind, Size: blob(name).Size, Content: blob(name)}
		s.do("bob", &command.CreateFile{File: f, Text: "text"}, nil)
		return f.ID
	}
	notes, picture := file("notes", "text/plain"), file("picture", "image/png")
	post := func(who, name string, root core.PostID, text string, files []core.FileID, mentions ...string) core.Post {
		in := core.Post{
			ID: storyID[core.Post](name), ChannelID: open.ID, RootID: root, Message: text, FileIDs: files,
			PendingPostID: name, Props: map[string]any{"b": true, "a": []any{"x", 1.5}},
		}
		var made command.Made
		s.do(who, &command.CreatePost{Post: in, Mentions: mentions, SetOnline: who == "ada"}, &made)
		in.ID = made.ID
		return in
	}
	root := post("ada", "root", core.PostID{}, "\"hi\" @bob @eve <b> \\ \u2028 \n\t é", nil, "bob", "eve")
	post("bob", "notes", core.PostID{}, "see #notes", []core.FileID{notes})
	withPicture := post("bob", "picture", core.PostID{}, "", []core.FileID{picture})
	reply := post("bob", "reply", root.ID, "@ada hello", nil, "ada")
	post("eve", "second reply", root.ID, "me too", nil)
	pin := true
	s.do("ada", &command.PatchPost{PostID: root.ID, PostPatch: core.PostPatch{Message: str("good morning")}}, nil)
	s.do("bob", &command.PatchPost{PostID: root.ID, PostPatch: core.PostPatch{IsPinned: &pin}}, nil)
	s.do("bob", &command.AddReaction{PostID: withPicture.ID, EmojiName: "wave"}, nil)
	s.do("ada", &command.AddReaction{PostID: withPicture.ID, EmojiName: "+1"}, nil)
	s.do("ada", &command.RemoveReaction{PostID: withPicture.ID, UserID: ids["ada"], EmojiName: "+1"}, nil)
	s.do("bob", &command.PatchPost{PostID: withPicture.ID, PostPatch: core.PostPatch{IsPinned: &pin}}, nil)
	s.do("bob", &command.DeletePost{PostID: reply.ID}, nil)
	s.do("ada", &command.DeletePost{PostID: root.ID}, nil)
	s.do("bob", &command.DeletePost{PostID: withPicture.ID}, nil)

	s.do("bob", &command.ViewChannel{Channels: []core.ChannelID{open.ID, private.ID}}, nil)
	prefs := []core.Preference{{UserID: ids["bob"], Category: "theme", Name: tm.ID.String(), Value: `{"type":"dark"}`}, {UserID: ids["bob"], Category: "flagged_post", Name: "x", Value: "true"}}
	s.do("bob", &command.SetPreferences{Preferences: prefs}, nil)
	s.do("bob", &command.DeletePreferences{Preferences: prefs[:1]}, nil)

	s.do("ada", &command.RemoveChannelMember{ChannelID: open.ID, UserID: ids["eve"]}, nil)
	s.do("bob", &command.RemoveChannelMember{ChannelID: open.ID, UserID: ids["bob"]}, nil)
	s.do("bob", &command.DeleteChannel{ChannelID: private.ID}, nil)
	s.do("ada", &command.DeleteChannel{ChannelID: open.ID}, nil)
	s.do("bob", &command.RemoveTeamMember{TeamID: tm.ID, UserID: ids["bob"]}, nil)
	s.do("ada", &command.RemoveTeamMember{TeamID: tm.ID, UserID: ids["eve"]}, nil)
	s.do("ada", &command.DeleteTeam{TeamID: tm.ID}, nil)
	s.do("bob", &command.EndSession{SessionID: s.as["bob"]}, nil)

	kept, err := os.ReadFile("testdata/wire.txt")
	text := plain(s.out.String())
	if *update {
		kept, err = []byte(text), os.WriteFile("testdata/wire.txt", []byte(text), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(kept), text); diff != "" {
		t.Error(diff)
	}
}
