package api_test

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

func TestPages_NeverOlderThanWritten(t *testing.T) {
	// While several people post, whoever reads a page finds at least every post that was
	// acknowledged before they asked, whether the page comes from the cache or not.
	_, s := newHome(t)
	ann := s.signUp(t, "ann")
	team := ann.newTeam("crew")
	ch := ann.newChannel(team.ID, "deck", "O")
	const writers, each = 3, 40
	var acknowledged [writers]atomic.Int64
	var writing, reading sync.WaitGroup
	stop := make(chan struct{})
	for w := range writers {
		writing.Go(func() {
			for i := 1; i <= each; i++ {
				resp := ann.do("POST", "/posts", map[string]string{"channel_id": ch.String(), "message": fmt.Sprintf("%d:%d", w, i)}, nil)
				if resp.StatusCode != 201 {
					t.Errorf("post: %d", resp.StatusCode)
					return
				}
				acknowledged[w].Store(int64(i))
			}
		})
	}
	for range 3 {
		reading.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				var floor [writers]int64
				for w := range floor {
					floor[w] = acknowledged[w].Load()
				}
				size := []int{200, 150}[rand.IntN(2)]
				var l list
				ann.do("GET", fmt.Sprintf("/channels/%s/posts?per_page=%d", ch, size), nil, &l)
				have := [writers]int64{}
				for _, p := range l.Posts {
					if a, b, ok := strings.Cut(p.Message, ":"); ok {
						w, _ := strconv.Atoi(a)
						i, _ := strconv.ParseInt(b, 10, 64)
						have[w] = max(have[w], i)
					}
				}
				for w := range floor {
					if have[w] < floor[w] {
						t.Errorf("writer %d: saw %d after %d was acknowledged", w, have[w], floor[w])
						return
					}
				}
			}
		})
	}
	writing.Wait()
	close(stop)
	reading.Wait()
}

func TestPages_EditsAndDeletesShow(t *testing.T) {
	// A kept page does not outlive an edit, a pin, a reply or a deletion of one of its posts.
	_, s := newHome(t)
	ann := s.signUp(t, "ann")
	ch, p := channelOf(ann, 2)
	show := func() string { return ann.list("/channels/%s/posts?per_page=2&collapsedThreads=true", ch).texts() }
	show()
	ann.must(200, "PUT", "/posts/"+p[0].ID.String()+"/patch", map[string]string{"message": "one"}, nil)
	if got := show(); got != "2 one" {
		t.Errorf("after an edit: %q", got)
	}
	ann.must(200, "POST", "/posts/"+p[0].ID.String()+"/pin", nil, nil)
	if l := ann.list("/channels/%s/posts?per_page=2&collapsedThreads=true", ch); !l.Posts[p[0].ID].IsPinned {
		t.Error("a pin does not show")
	}
	ann.reply(p[0], "re")
	if l := ann.list("/channels/%s/posts?per_page=2&collapsedThreads=true", ch); l.Posts[p[0].ID].ReplyCount != 1 {
		t.Error("a reply does not show")
	}
	ann.must(200, "DELETE", "/posts/"+p[1].ID.String(), nil, nil)
	if got := show(); got != "one ann joined the channel." {
		t.Errorf("after a deletion: %q", got)
	}
}

func TestAccess_ChangesTakeEffectAtOnce(t *testing.T) {
	// Joining, leaving, signing out and renaming count from the moment they are acknowledged.
	_, s := newHome(t)
	ann, bob := s.signUp(t, "ann"), s.signUp(t, "bob")
	team := ann.newTeam("crew")
	ch := ann.newChannel(team.ID, "cabin", "P")
	path := "/channels/" + ch.String() + "/posts"
	bob.fails(403, "api.context.permissions.app_error", "GET", path, nil)
	bob.joinTeam(team.ID)
	bob.fails(403, "api.context.permissions.app_error", "GET", path, nil)
	for range 3 {
		ann.must(201, "POST", "/channels/"+ch.String()+"/members", map[string]string{"user_id": bob.me.ID.String()}, nil)
		bob.must(200, "GET", path, nil, nil)
		ann.must(200, "DELETE", "/channels/"+ch.String()+"/members/"+bob.me.ID.String(), nil, nil)
		bob.fails(403, "api.context.permissions.app_error", "GET", path, nil)
	}
	bob.must(200, "PUT", "/users/me/patch", map[string]string{"nickname": "bobby"}, nil)
	var me struct{ Nickname string }
	bob.must(200, "GET", "/users/me", nil, &me)
	if me.Nickname != "bobby" {
		t.Errorf("nickname %q", me.Nickname)
	}
	bob.must(200, "POST", "/users/logout", nil, nil)
	bob.fails(401, "api.context.session_expired.app_error", "GET", path, nil)
}
