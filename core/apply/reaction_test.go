package apply_test

import (
	"testing"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/apply"
	"github.com/nearside/nearside/core/apply/applytest"
	"github.com/nearside/nearside/core/command"
	"github.com/nearside/nearside/core/event"
)

// A reaction counts once, is shown with its post, and is removed when its author removes it.
func TestReaction(t *testing.T) {
	w := newWorld(t)
	w.person("ada")
	bob := w.person("bob")
	team, town := w.team("ada")
	w.must("bob", &command.AddTeamMember{TeamID: team.ID, UserID: bob.ID}, nil)
	p := w.post("ada", town, core.PostID{}, "look")
	stored := func() core.Post { p, _ := apply.Posts.Get(w.rows(), p.ID); return p }

	add := &command.AddReaction{PostID: p.ID, EmojiName: "+1"}
	var first, again core.Reaction
	w.must("bob", add, &first)
	w.announced("reaction_added")
	w.must("bob", add, &again)
	w.announced()
	if first != again || first.UserID != bob.ID || first.ChannelID != town || !stored().HasReactions || stored().UpdateAt <= p.UpdateAt {
		t.Errorf("got %+v, then %+v, under %+v", first, again, stored())
	}
	pin := true
	w.must("ada", &command.PatchPost{PostID: p.ID, PostPatch: core.PostPatch{IsPinned: &pin}}, nil)
	if got := w.events[0].(event.PostEdited).Post.Metadata.Reactions; len(got) != 1 || got[0] != first {
		t.Errorf("the edited post is announced with %+v", got)
	}
	remove := &command.RemoveReaction{PostID: p.ID, UserID: bob.ID, EmojiName: "+1"}
	carol := w.person("carol")
	w.must("carol", &command.AddTeamMember{TeamID: team.ID, UserID: carol.ID}, nil)
	w.refused("carol", remove, core.KindForbidden)
	w.must("bob", remove, nil)
	w.announced("reaction_removed")
	w.must("bob", remove, nil)
	w.announced()
	if stored().HasReactions {
		t.Error("the post still says that it has reactions")
	}
}

// Reactions to what cannot be reacted to, and invalid emoji, are refused.
func TestReaction_Refusals(t *testing.T) {
	w := newWorld(t)
	w.person("ada")
	w.person("eve")
	team, town := w.team("ada")
	p := w.post("ada", town, core.PostID{}, "look")
	add := func(id core.PostID, name string) *command.AddReaction {
		return &command.AddReaction{PostID: id, EmojiName: name}
	}
	w.refused("eve", add(p.ID, "smile"), core.KindForbidden)
	w.refused("ada", add(core.PostID{1}, "smile"), core.KindNotFound)
	for _, name := range []string{"not an emoji", "", "nothing", "SMILE", "-", "smile_dark_skin_tone", "wave_dark_skin_tone_dark_skin_tone"} {
		w.refused("ada", add(p.ID, name), core.KindNotFound)
	}
	names := applytest.Emoji(core.MaxReactionsPerPost + 1)
	for _, name := range names[1:] {
		w.must("ada", add(p.ID, name), nil)
	}
	w.refused("ada", add(p.ID, names[0]), core.KindInvalid)
	w.must("ada", add(p.ID, names[7]), nil)
	var ch core.Channel
	w.must("ada", &command.CreateChannel{Channel: core.Channel{ID: core.NewID[core.Channel](w.at), TeamID: team.ID, Type: "O", Name: "old", DisplayName: "Old"}}, &ch)
	old := w.post("ada", ch.ID, core.PostID{}, "bye")
	w.must("ada", &command.DeleteChannel{ChannelID: ch.ID}, nil)
	w.refused("ada", add(old.ID, "smile"), core.KindForbidden)
}
