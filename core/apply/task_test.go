package apply_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/apply"
	"github.com/nearside/nearside/core/command"
	"github.com/nearside/nearside/core/event"
)

func (w *world) tasks() (out []core.Task) {
	for _, row := range w.store.Rows(apply.Tasks.Shape) {
		out = append(out, *(*core.Task)(row))
	}
	return out
}

// finish does all pieces of all tasks, as home does, and gives their number.
func (w *world) finish() (pieces int) {
	w.Helper()
	for list := w.tasks(); len(list) > 0; list = w.tasks() {
		for _, t := range list {
			w.must("", &command.ContinueTask{TaskID: t.ID, Step: t.Steps}, nil)
			pieces++
		}
	}
	return pieces
}

// A long thread is deleted in pieces. Commands about the replies that are left are refused, and a
// piece that is proposed twice is done once.
func TestDeletePost_LongThread(t *testing.T) {
	w := newWorld(t)
	w.person("ada")
	_, town := w.team("ada")
	root := w.post("ada", town, core.PostID{}, "root")
	var replies []core.Post
	for i := range 50 {
		replies = append(replies, w.post("ada", town, root.ID, fmt.Sprint(i)))
	}
	w.must("ada", &command.DeletePost{PostID: root.ID}, nil)
	alive := func() (n int) {
		for _, r := range replies {
			if p, _ := apply.Posts.Get(w.rows(), r.ID); p.DeleteAt == 0 {
				n++
			}
		}
		return n
	}
	left := alive()
	if left == 0 || left == 50 {
		t.Fatalf("%d replies are left after the first piece", left)
	}
	text := "still here"
	w.refused("ada", &command.PatchPost{PostID: replies[49].ID, PostPatch: core.PostPatch{Message: &text}}, core.KindNotFound)
	w.refused("ada", &command.AddReaction{PostID: replies[49].ID, EmojiName: "wave"}, core.KindNotFound)
	w.refused("ada", &command.CreatePost{Post: core.Post{ChannelID: town, RootID: root.ID, Message: "more"}}, core.KindInvalid)
	first := w.tasks()[0]
	for i := range 2 {
		w.must("", &command.ContinueTask{TaskID: first.ID, Step: first.Steps}, nil)
		if i == 0 && !reflect.DeepEqual(w.events, []event.Event{event.RepliesDeleted{Channel: town}}) {
			t.Errorf("caches keep the replies of a later piece: they learn %+v", w.events)
		}
	}
	if now := alive(); now != left-(50-left) {
		t.Errorf("one piece asked for twice: %d replies are left of %d", now, left)
	}
	w.finish()
	if n := alive(); n != 0 {
		t.Errorf("%d replies are left in the end", n)
	}
}

// Regression: one account's 700 long replies and one delete were one entry, for which every node needed more
// memory than it had, again and again. Now no entry comes near the price, with the longest posts there can be.
func TestDeletePost_LongRepliesOfOneAccount(t *testing.T) {
	w := newWorld(t)
	w.person("ada")
	_, town := w.team("ada")
	root := w.post("ada", town, core.PostID{}, "root")
	long := strings.Repeat("\U0001F600", core.MaxPostRunes)
	props := map[string]any{"a": strings.Repeat("x", core.MaxProps-20)}
	const replies = 700
	for range replies {
		w.must("ada", &command.CreatePost{Post: core.Post{ChannelID: town, RootID: root.ID, Message: long, Props: props}}, nil)
	}
	w.must("ada", &command.DeletePost{PostID: root.ID}, nil)
	if pieces := w.finish(); pieces < replies/10 {
		t.Errorf("%d long replies are deleted in %d pieces", replies, pieces)
	}
	if p, _ := apply.Posts.Get(w.rows(), root.ID); p.DeleteAt == 0 {
		t.Error("the root is left")
	}
	if list := w.tasks(); len(list) != 0 {
		t.Errorf("%d tasks are left", len(list))
	}
}

// A user who has left a team has no rights in its channels, also in those where the membership is not
// removed yet, and can come back only after all are removed.
func TestRemoveTeamMember_ManyChannels(t *testing.T) {
	w := newWorld(t)
	w.person("ada")
	bob := w.person("bob")
	team, _ := w.team("ada")
	w.must("ada", &command.AddTeamMember{TeamID: team.ID, UserID: bob.ID}, nil)
	var rooms []core.ChannelID
	for i := range 250 {
		ch := core.Channel{ID: core.NewID[core.Channel](w.at), TeamID: team.ID, Type: core.ChannelPrivate, Name: fmt.Sprint("room-", i), DisplayName: "R"}
		w.must("ada", &command.CreateChannel{Channel: ch}, nil)
		w.must("ada", &command.AddChannelMember{ChannelID: ch.ID, UserID: bob.ID}, nil)
		rooms = append(rooms, ch.ID)
	}
	w.must("ada", &command.RemoveTeamMember{TeamID: team.ID, UserID: bob.ID}, nil)
	if len(w.tasks()) != 1 {
		t.Fatalf("tasks are %v", w.tasks())
	}
	for _, ch := range rooms {
		w.refused("bob", &command.CreatePost{Post: core.Post{ChannelID: ch, Message: "x"}}, core.KindForbidden)
	}
	w.refused("ada", &command.AddTeamMember{TeamID: team.ID, UserID: bob.ID}, core.KindUnavailable)
	w.finish()
	for _, ch := range rooms {
		if _, still := apply.ChannelMembers.Get(w.rows(), apply.ChannelUser{Channel: ch, User: bob.ID}); still {
			t.Errorf("still in %v", ch)
		}
	}
	w.must("ada", &command.AddTeamMember{TeamID: team.ID, UserID: bob.ID}, nil)
}

// A row over a limit of its declaration is refused when it is written, whatever the handler and the
// edge have checked, and an entry over its price is refused as a whole.
func TestApply_LimitsOfTheDeclaration(t *testing.T) {
	w := newWorld(t)
	ada := w.person("ada")
	long := map[string]string{"k": string(make([]byte, 3000))}
	s := core.Session{ID: core.NewID[core.Session](w.at), UserID: ada.ID, Props: long}
	w.refused("", &command.CreateSession{Session: s, PasswordSeal: core.SealOf([]byte("hash of ada"))}, core.KindInvalid)
}

// An entry whose scope is not that of the objects it names is refused.
func TestApply_WrongScope(t *testing.T) {
	w := newWorld(t)
	w.person("ada")
	_, town := w.team("ada")
	data, err := command.Encode(command.Caller{Session: w.sessions["ada"]}, &command.CreatePost{Post: core.Post{ChannelID: town, Message: "x"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, scope := range []core.Scope{{}, {Team: core.TeamID{9}}} {
		w.index++
		fx, err := w.store.Apply(core.Entry{Index: w.index, At: w.at, ID: core.ProposalID{1}, Scope: scope, Data: data})
		if err != nil || fx.Accepted || len(fx.Events) > 0 {
			t.Errorf("scope %v: %v, accepted %v", scope, err, fx.Accepted)
		}
	}
}
