package event

import (
	"encoding/json"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/nearside/nearside/core"
)

var update = flag.Bool("update", false, "rewrite golden files")

// examples gives one event of every type, or more if it has several forms.
func examples() []Event {
	var (
		u, v  = core.DeriveID[core.User]("u"), core.DeriveID[core.User]("v")
		tm    = core.DeriveID[core.Team]("t")
		ch    = core.DeriveID[core.Channel]("c")
		open  = core.Channel{ID: ch, TeamID: tm, Type: core.ChannelOpen, Name: "town", DisplayName: "Town", DeleteAt: 9}
		post  = core.Post{ID: core.DeriveID[core.Post]("p"), UserID: u, ChannelID: ch, Message: "\"hi\" <b> \\ \u2028 é", CreateAt: 5}
		group = core.Channel{ID: ch, TeamID: tm, Type: core.ChannelPrivate, DeleteAt: 9}
		react = core.Reaction{UserID: u, PostID: post.ID, EmojiName: "wave", CreateAt: 6, ChannelID: ch}
		mark  = core.Bookmark{ID: core.DeriveID[core.Bookmark]("b"), ChannelID: ch, OwnerID: u, DisplayName: "Rules", Type: "link", LinkURL: "https://example.com", CreateAt: 6, UpdateAt: 6}
		prefs = []core.Preference{{UserID: u, Category: "c", Name: "n", Value: "v"}}
		files = post
		ofUs  = core.Post{ID: post.ID, UserID: u, ChannelID: ch, Type: core.TypeJoinChannel, Props: map[string]any{"username": "ada"}, CreateAt: 5}
	)
	files.FileIDs = []core.FileID{core.DeriveID[core.File]("f")}
	files.Metadata.Files = []core.File{{ID: files.FileIDs[0], Name: "face.png", MimeType: "image/png"}}
	return []Event{
		UserCreated{User: u},
		UserUpdated{User: core.User{ID: u, Username: "ada", Roles: "system_user", NotifyProps: map[string]string{"email": "true"}, EmailVerified: true}},
		NodeChanged{Node: core.Node{Name: "edge-1"}},
		SessionEnded{User: u, Session: core.DeriveID[core.Session]("s")},
		TeamCreated{Team: tm},
		TeamUpdated{Team: core.Team{ID: tm, Name: "crew", Email: "ada@example.com", InviteID: "secret"}},
		TeamDeleted{Team: core.Team{ID: tm, Name: "crew", Email: "ada@example.com", InviteID: "secret", DeleteAt: 9}},
		TeamJoined{User: u, Team: tm},
		AddedToTeam{User: u, Team: tm},
		TeamLeft{User: u, Team: tm},
		ChannelCreated{Channel: ch, Team: tm, Creator: u},
		ChannelCreated{Channel: ch, Team: tm},
		ChannelUpdated{Channel: open},
		ChannelDeleted{Channel: open},
		ChannelDeleted{Channel: group},
		ChannelJoined{User: u, Channel: ch},
		ChannelLeft{User: u, Channel: ch},
		UserAdded{User: u, Channel: ch, Team: tm},
		UserAdded{User: u, Channel: ch, Team: tm, WithTeam: true},
		UserRemoved{User: u, Channel: ch, Remover: v},
		ChannelsViewed{User: u, Times: map[core.ChannelID]int64{ch: 7, core.DeriveID[core.Channel]("d"): 8}},
		Posted{Post: post, Channel: open, Sender: "@ada", SetOnline: true, Mentions: []core.UserID{v}, Followers: []core.UserID{u, v}},
		Posted{Post: files, Channel: open, Sender: "@ada", Everyone: true},
		Posted{Post: ofUs, Channel: open},
		PostEdited{Post: post},
		PostDeleted{Post: post, By: u},
		RepliesDeleted{Channel: ch},
		BookmarkChanged{Change: "created", Bookmark: mark},
		BookmarkChanged{Change: "updated", Bookmark: mark},
		BookmarkChanged{Change: "updated", Bookmark: mark, Deleted: mark},
		BookmarkChanged{Change: "deleted", Bookmark: mark},
		BookmarksSorted{Channel: ch, Bookmarks: []core.Bookmark{mark}},
		ReactionAdded{Reaction: react},
		ReactionRemoved{Reaction: react},
		PreferencesChanged{User: u, Preferences: prefs},
		PreferencesDeleted{User: u, Preferences: prefs},
		SidebarUpdated{User: u},
		Hello{User: u, Connection: "id", Hostname: "here", Version: "11.6.0"},
		Typing{User: u, Channel: ch, Parent: post.ID},
		StatusChanged{User: u, Status: "away"},
	}
}

// Every event has exactly the form, audiences and effects in the golden file.
func TestEvents_Golden(t *testing.T) {
	var out strings.Builder
	for _, e := range examples() {
		fmt.Fprintln(&out, reflect.TypeOf(e).Name())
		describe(&out, e)
		for _, to := range e.To() {
			enc, err := Encode(e, &to, func(p *core.Post) string { return "the text of " + p.Type })
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&out, "  %s\n", enc.Append(nil, 0, core.UserID{}, 0))
			if p, ok := e.(Personal); ok {
				c := p.Personal()
				if !c.EveryoneBut.IsZero() {
					fmt.Fprintf(&out, "  mentioned: everybody but %s\n", c.EveryoneBut)
				}
				for _, u := range c.Mentions {
					fmt.Fprintf(&out, "  mentioned: %s\n", enc.Append(nil, WithMentions, u, 1))
				}
				for _, u := range c.Followers {
					fmt.Fprintf(&out, "  follower:  %s\n", enc.Append(nil, WithMentions|WithFollowers, u, 2))
				}
			}
		}
	}
	const path = "testdata/events.txt"
	kept, err := os.ReadFile(path)
	if *update {
		kept, err = []byte(out.String()), os.WriteFile(path, []byte(out.String()), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(kept), out.String()); diff != "" {
		t.Error(diff)
	}
}

func describe(out *strings.Builder, e Event) {
	if e, ok := e.(UserChanged); ok {
		fmt.Fprintln(out, "  changes user", e.UserChanged())
	}
	if e, ok := e.(AccountChanged); ok {
		u := e.AccountChanged()
		fmt.Fprintln(out, "  changes the account of", u.ID, "with the roles", u.Roles)
	}
	if e, ok := e.(TeamChanged); ok {
		fmt.Fprintln(out, "  changes team", e.TeamChanged())
	}
	if e, ok := e.(ChannelChanged); ok {
		fmt.Fprintln(out, "  changes channel", e.ChannelChanged())
	}
	if e, ok := e.(PostsChanged); ok {
		fmt.Fprintln(out, "  changes posts of", e.PostsChanged())
	}
	if e, ok := e.(MembershipChanged); ok {
		fmt.Fprintf(out, "  changes a membership: %+v\n", e.MembershipChanged())
	}
	if _, ok := e.(Droppable); ok {
		fmt.Fprintln(out, "  may be dropped")
	}
}

// Every type of event has an example, and so a form in the golden file.
func TestEvents_AllHaveExamples(t *testing.T) {
	have := map[string]bool{}
	for _, e := range examples() {
		have[reflect.TypeOf(e).Name()] = true
	}
	sources, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	types := map[string]bool{}
	for _, path := range sources {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl: // an event that is sent has a method To
				if n.Recv != nil && n.Name.Name == "To" {
					types[n.Recv.List[0].Type.(*ast.Ident).Name] = true
				}
			case *ast.TypeSpec: // one that is not sent has a quiet in it
				if s, ok := n.Type.(*ast.StructType); ok {
					for _, f := range s.Fields.List {
						if id, ok := f.Type.(*ast.Ident); ok && id.Name == "quiet" {
							types[n.Name.Name] = true
						}
					}
				}
			}
			return true
		})
	}
	delete(types, "quiet")
	if diff := cmp.Diff(slices.Sorted(maps.Keys(types)), slices.Sorted(maps.Keys(have))); diff != "" {
		t.Errorf("types of events and those with an example:\n%s", diff)
	}
}

// Decoding the quoted form of any text gives what encoding/json would give.
func FuzzAppendString(f *testing.F) {
	f.Add("plain")
	f.Add("\"\\\n\t\x00\u2028é\xff\xfe")
	f.Fuzz(func(t *testing.T, s string) {
		b := appendString([]byte(`"é"`), s)
		if !utf8.Valid(b) || string(b[:4]) != `"é"` {
			t.Fatalf("%q", b)
		}
		var got string
		if err := json.Unmarshal(b[4:], &got); err != nil {
			t.Fatalf("%q: %v", b, err)
		}
		if want := strings.ToValidUTF8(s, "\uFFFD"); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	})
}
