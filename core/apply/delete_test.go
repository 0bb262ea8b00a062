package apply_test

import (
	"testing"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/apply"
	"github.com/nearside/nearside/core/command"
)

// badges are a member's mentions in a channel: all, and those of root posts.
func (w *world) badges(ch core.ChannelID, who string) [2]int64 {
	m, _ := apply.ChannelMembers.Get(w.rows(), apply.ChannelUser{Channel: ch, User: w.users[who].ID})
	return [2]int64{m.MentionCount, m.MentionCountRoot}
}

func (w *world) mentioning(by string, ch core.ChannelID, root core.PostID, names ...string) (p core.Post) {
	w.Helper()
	w.must(by, &command.CreatePost{Post: core.Post{ChannelID: ch, RootID: root, Message: "you"}, Mentions: names}, &p)
	return p
}

// A deleted post takes its mentions out of the counts of those who have not read it, whether it is deleted by
// itself or with its thread. Who has read it has no badge of it any more, and keeps those of later posts.
func TestDeletePost_Badges(t *testing.T) {
	w, town := two(t)
	first := w.mentioning("ada", town, core.PostID{}, "bob", "bob", "nobody")
	root := w.mentioning("ada", town, core.PostID{}, "bob")
	reply := w.mentioning("ada", town, root.ID, "bob")
	w.mentioning("ada", town, root.ID, "bob")
	if got := w.badges(town, "bob"); got != [2]int64{4, 2} {
		t.Fatalf("before: %v", got)
	}
	w.must("ada", &command.PatchPost{PostID: first.ID, PostPatch: core.PostPatch{Message: new(string)}}, nil)
	w.must("ada", &command.DeletePost{PostID: first.ID}, nil)
	if got := w.badges(town, "bob"); got != [2]int64{3, 1} {
		t.Errorf("after the first: %v", got)
	}
	w.must("ada", &command.DeletePost{PostID: reply.ID}, nil)
	if got := w.badges(town, "bob"); got != [2]int64{2, 1} {
		t.Errorf("after the reply: %v", got)
	}
	w.must("ada", &command.DeletePost{PostID: root.ID}, nil)
	if got := w.badges(town, "bob"); got != [2]int64{} {
		t.Errorf("after the thread: %v", got)
	}
	seen := w.mentioning("ada", town, core.PostID{}, "bob")
	w.must("bob", &command.ViewChannel{Channels: []core.ChannelID{town}}, nil)
	w.mentioning("ada", town, core.PostID{}, "bob")
	w.must("ada", &command.DeletePost{PostID: seen.ID}, nil)
	if got := w.badges(town, "bob"); got != [2]int64{1, 1} {
		t.Errorf("after one that was read: %v", got)
	}
}
