package apply_test

import (
	"testing"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/apply"
	"github.com/nearside/nearside/core/command"
)

// An administrator sets the time of a message that is brought in from elsewhere. It counts like every
// other, does not move the channel's latest post back, and was changed now, so that clients learn of it.
func TestCreatePost_BroughtIn(t *testing.T) {
	w := newWorld(t)
	w.person("ada")
	bob := w.person("bob")
	team, square := w.team("ada")
	w.must("bob", &command.AddTeamMember{TeamID: team.ID, UserID: bob.ID}, nil)
	root := w.post("ada", square, core.PostID{}, "a root of today")
	before, _ := apply.Channels.Get(w.rows(), square)

	old := w.at.UnixMilli() - 1_000_000
	bring := func(who string, at int64, root core.PostID) (p core.Post, err error) {
		err = w.do(who, &command.CreatePost{Post: core.Post{ChannelID: square, RootID: root, Message: "long ago", CreateAt: at, IsPinned: true}}, &p)
		return p, err
	}
	first, err := bring("ada", old, core.PostID{})
	if err != nil || first.CreateAt != old || first.UpdateAt < w.at.UnixMilli() || !first.IsPinned {
		t.Fatalf("%+v, %v", first, err)
	}
	after, _ := apply.Channels.Get(w.rows(), square)
	if after.LastPostAt != before.LastPostAt || after.LastRootPostAt != before.LastRootPostAt || after.TotalMsgCount != before.TotalMsgCount+1 {
		t.Errorf("the channel went from %+v to %+v", before, after)
	}
	second, err := bring("ada", old, core.PostID{})
	if err != nil || second.CreateAt != old || second.ID == first.ID {
		t.Errorf("a second message of the same time: %+v, %v", second, err)
	}
	if p, err := bring("bob", old, core.PostID{}); err != nil || p.CreateAt <= before.LastPostAt {
		t.Errorf("somebody else set a time: %+v, %v", p, err)
	}
	for name, c := range map[string]core.Post{
		"before 1970": {CreateAt: -1}, "tomorrow": {CreateAt: w.at.UnixMilli() + 86_400_000}, "before its root": {CreateAt: old, RootID: root.ID},
	} {
		if _, err := bring("ada", c.CreateAt, c.RootID); core.KindOf(err) != core.KindInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	if p, err := bring("ada", w.at.UnixMilli()+5_000, core.PostID{}); err != nil || p.CreateAt > w.at.UnixMilli()+10 {
		t.Errorf("a clock that is a little ahead: %+v, %v", p, err)
	}
}

// A reply that is brought in is counted in its thread, and does not pass for the latest.
func TestCreatePost_ReplyBroughtIn(t *testing.T) {
	w := newWorld(t)
	ada := w.person("ada")
	bob := w.person("bob")
	team, square := w.team("ada")
	w.must("bob", &command.AddTeamMember{TeamID: team.ID, UserID: bob.ID}, nil)
	old := w.at.UnixMilli() - 1_000_000
	var root, reply core.Post
	w.must("ada", &command.CreatePost{Post: core.Post{ChannelID: square, CreateAt: old}}, &root)
	latest := w.post("bob", square, root.ID, "of today")
	w.must("ada", &command.CreatePost{Post: core.Post{ChannelID: square, RootID: root.ID, CreateAt: old + 5}}, &reply)
	got, _ := apply.Posts.Get(w.rows(), root.ID)
	if reply.CreateAt != old+5 || got.ReplyCount != 2 || got.LastReplyAt != latest.CreateAt {
		t.Errorf("%+v, thread %d replies, the last at %d", reply, got.ReplyCount, got.LastReplyAt)
	}
	if n := len(got.Participants); n != 2 || got.Participants[n-1].ID != bob.ID || got.Participants[0].ID != ada.ID {
		t.Errorf("participants %v", got.Participants)
	}
}
