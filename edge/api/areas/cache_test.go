package areas_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/edge/api/apitest"
)

func TestPages_NeverOlderThanWritten(t *testing.T) {
	// While several users post, each page has at least the posts that were acknowledged before it
	// was requested, whether it comes from the cache or not.
	_, s := apitest.NewHome(t)
	ann := s.SignUp(t, "ann")
	team := ann.NewTeam("crew")
	ch := ann.NewChannel(team.ID, "deck", "O")
	const writers, each = 3, 40
	var acknowledged [writers]atomic.Int64
	var writing, reading sync.WaitGroup
	stop := make(chan struct{})
	for w := range writers {
		writing.Go(func() {
			for i := 1; i <= each; i++ {
				resp := ann.Do("POST", "/posts", map[string]string{"channel_id": ch.String(), "message": fmt.Sprintf("%d:%d", w, i)}, nil)
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
				var l apitest.List
				ann.Do("GET", fmt.Sprintf("/channels/%s/posts?per_page=%d", ch, size), nil, &l)
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
	// A cached page is dropped after an edit, a pin, a reply or a deletion of one of its posts.
	_, s := apitest.NewHome(t)
	ann := s.SignUp(t, "ann")
	ch, p := apitest.ChannelOf(ann, 2)
	show := func() string { return ann.List("/channels/%s/posts?per_page=2&collapsedThreads=true", ch).Texts() }
	show()
	ann.Must(200, "PUT", "/posts/"+p[0].ID.String()+"/patch", map[string]string{"message": "one"}, nil)
	if got := show(); got != "2 one" {
		t.Errorf("after an edit: %q", got)
	}
	ann.Must(200, "POST", "/posts/"+p[0].ID.String()+"/pin", nil, nil)
	if l := ann.List("/channels/%s/posts?per_page=2&collapsedThreads=true", ch); !l.Posts[p[0].ID].IsPinned {
		t.Error("a pin does not show")
	}
	ann.Reply(p[0], "re")
	if l := ann.List("/channels/%s/posts?per_page=2&collapsedThreads=true", ch); l.Posts[p[0].ID].ReplyCount != 1 {
		t.Error("a reply does not show")
	}
	ann.Must(200, "DELETE", "/posts/"+p[1].ID.String(), nil, nil)
	if got := show(); got != "one ann joined the channel." {
		t.Errorf("after a deletion: %q", got)
	}
}

func TestAccess_ChangesTakeEffectAtOnce(t *testing.T) {
	// Joining, leaving, signing out and renaming take effect when they are acknowledged.
	_, s := apitest.NewHome(t)
	ann, bob := s.SignUp(t, "ann"), s.SignUp(t, "bob")
	team := ann.NewTeam("crew")
	ch := ann.NewChannel(team.ID, "cabin", "P")
	path := "/channels/" + ch.String() + "/posts"
	bob.Fails(403, "api.context.permissions.app_error", "GET", path, nil)
	bob.JoinTeam(team.ID)
	bob.Fails(403, "api.context.permissions.app_error", "GET", path, nil)
	for range 3 {
		ann.Must(201, "POST", "/channels/"+ch.String()+"/members", map[string]string{"user_id": bob.Me.ID.String()}, nil)
		bob.Must(200, "GET", path, nil, nil)
		ann.Must(200, "DELETE", "/channels/"+ch.String()+"/members/"+bob.Me.ID.String(), nil, nil)
		bob.Fails(403, "api.context.permissions.app_error", "GET", path, nil)
	}
	bob.Must(200, "PUT", "/users/me/patch", map[string]string{"nickname": "bobby"}, nil)
	var me struct{ Nickname string }
	bob.Must(200, "GET", "/users/me", nil, &me)
	if me.Nickname != "bobby" {
		t.Errorf("nickname %q", me.Nickname)
	}
	bob.Must(200, "POST", "/users/logout", nil, nil)
	bob.Fails(401, "api.context.session_expired.app_error", "GET", path, nil)
}

func TestPages_DatabaseLostCommits(t *testing.T) {
	// Data that is read while the database is behind what was seen here, as after its crash, is
	// not cached: the lost entries are applied again, but not announced again.
	_, s := apitest.NewHome(t)
	ann := s.SignUp(t, "ann")
	ch, _ := apitest.ChannelOf(ann, 1)
	change := func(text string) {
		if _, err := s.DB.Exec(t.Context(), "UPDATE posts SET message = $1 WHERE type = ''", text); err != nil {
			t.Fatal(err)
		}
	}
	show := func() string { return ann.List("/channels/%s/posts?per_page=1", ch).Texts() }
	if got := show(); got != "1" {
		t.Fatal(got)
	}
	change("unannounced")
	if got := show(); got != "1" {
		t.Fatalf("%q: the page was not kept, so this test shows nothing", got)
	}
	s.LoseCommit()
	const other = "/channels/%s/posts?per_page=2"
	ann.List(other, ch)
	change("applied again")
	if got := ann.List(other, ch).Texts(); got != "applied again ann joined the channel." {
		t.Errorf("kept what was read from a database that lost commits: %q", got)
	}
}

func TestPages_HistoryReplaced(t *testing.T) {
	// When history is replaced by a shorter one, nothing of the old one is shown, and no request
	// waits for an index that no longer exists.
	_, s := apitest.NewHome(t)
	ann := s.SignUp(t, "ann")
	ch, _ := apitest.ChannelOf(ann, 1)
	ctx, cancel := context.WithTimeout(t.Context(), apitest.Limit)
	defer cancel()
	snap, err := s.Snapshot(ctx, "", true)
	if err != nil {
		t.Fatal(err)
	}
	defer snap.Close()
	ann.Post(ch, "2")
	ann.List("/channels/%s/posts", ch)
	r := io.NewSectionReader(snap, 0, 1<<40)
	if err := s.Restore(ctx, snap.Position(), r); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		var l apitest.List
		resp := ann.Must(200, "GET", "/channels/"+ch.String()+"/posts", nil, &l)
		if l.Texts() != "1 ann joined the channel." || resp.Header.Get("X-Nearside-Stale") != "" {
			t.Errorf("%q, stale %q", l.Texts(), resp.Header.Get("X-Nearside-Stale"))
		}
	}
}

func TestView_HomeIsToldOnce(t *testing.T) {
	// Clients say all day that they look at a channel. Home is told when that changes something, and only then.
	_, s := apitest.NewHome(t)
	ann := s.SignUp(t, "ann")
	bob := s.SignUp(t, "bob")
	team := ann.NewTeam("crew")
	ch := ann.NewChannel(team.ID, "deck", "O")
	bob.JoinTeam(team.ID)
	bob.Join(ch)
	looks := func(told bool) {
		t.Helper()
		before := s.Position().Index
		var seen struct {
			Times map[core.ChannelID]int64 `json:"last_viewed_at_times"`
		}
		bob.Must(200, "POST", "/channels/members/me/view", map[string]string{"channel_id": ch.String()}, &seen)
		if got := s.Position().Index > before; got != told {
			t.Errorf("home was told: %v, want %v", got, told)
		}
		var m struct {
			Viewed int64 `json:"last_viewed_at"`
		}
		bob.Must(200, "GET", "/channels/"+ch.String()+"/members/me", nil, &m)
		if seen.Times[ch] == 0 || seen.Times[ch] != m.Viewed {
			t.Errorf("read up to %d, the membership says %d", seen.Times[ch], m.Viewed)
		}
		var unread struct {
			Messages int64 `json:"msg_count"`
		}
		bob.Must(200, "GET", "/users/me/channels/"+ch.String()+"/unread", nil, &unread)
		if unread.Messages != 0 {
			t.Errorf("%d are unread after a look", unread.Messages)
		}
	}
	ann.Post(ch, "fair wind")
	looks(true)
	looks(false)
	ann.Post(ch, "land ahoy")
	looks(true)
	looks(false)
	bob.Must(200, "DELETE", "/channels/"+ch.String()+"/members/me", nil, nil)
	bob.Fails(404, "app.channel.get_member.missing.app_error", "POST", "/channels/members/me/view", map[string]string{"channel_id": ch.String()})
	bob.Join(ch)
	ann.Post(ch, "anchor")
	looks(true)
	looks(false)
}
