package areas_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/edge/api/apitest"
)

func TestPosts_BroughtIn(t *testing.T) {
	// An administrator brings in messages with their times, several of the same millisecond too: each
	// page and each neighbour shows every one of them once. The time that others send is ignored, as on
	// existing servers.
	_, s := apitest.NewHome(t)
	ann := s.SignUp(t, "ann")
	team := ann.NewTeam("crew")
	ch := ann.NewChannel(team.ID, "deck", "O")
	bob := s.SignUp(t, "bob")
	bob.JoinTeam(team.ID)
	bob.Join(ch)
	const may2016 = 1463076386000
	send := func(c *apitest.Client, text string, at int64) (p core.Post) {
		c.Must(201, "POST", "/posts", map[string]any{"channel_id": ch, "message": text, "create_at": at}, &p)
		return p
	}
	for i, text := range []string{"a", "b", "c", "d", "e", "f"} {
		if p := send(ann, text, may2016+int64(i/3)); p.CreateAt != may2016+int64(i/3) {
			t.Fatalf("%s has the time %d", text, p.CreateAt)
		}
	}
	if p := send(bob, "now", may2016); p.CreateAt < may2016+1000 {
		t.Errorf("somebody else set the time %d", p.CreateAt)
	}
	ann.Fails(400, "model.post.is_valid.create_at.app_error", "POST", "/posts", map[string]any{"channel_id": ch, "message": "x", "create_at": int64(1) << 50})

	all := ann.List("/channels/%s/posts?per_page=200", ch)
	want := all.Order
	for size := 1; size <= 4; size++ {
		var pages []core.PostID
		for page := 0; len(pages) < len(want); page++ {
			l := ann.List("/channels/%s/posts?per_page=%d&page=%d", ch, size, page)
			pages = append(pages, l.Order...)
		}
		same(t, "pages", pages, want)
		older := []core.PostID{want[0]}
		for len(older) < len(want) {
			l := ann.List("/channels/%s/posts?per_page=%d&before=%s", ch, size, older[len(older)-1])
			if len(l.Order) == 0 {
				break
			}
			older = append(older, l.Order...)
		}
		same(t, "before", older, want)
		newer := []core.PostID{want[len(want)-1]}
		for len(newer) < len(want) {
			l := ann.List("/channels/%s/posts?per_page=%d&after=%s", ch, size, newer[0])
			if len(l.Order) == 0 {
				break
			}
			newer = append(l.Order, newer...)
		}
		same(t, "after", newer, want)
	}
}

func same(t *testing.T, how string, got, want []core.PostID) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", how, diff)
	}
}
