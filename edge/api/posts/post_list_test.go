package posts_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/edge/api/apitest"
)

func TestPosts_Pages(t *testing.T) {
	// Pages count from the newest post and name the next newer and older posts.
	_, s := apitest.NewHome(t)
	ann := s.SignUp(t, "ann")
	ch, p := apitest.ChannelOf(ann, 5)
	id := func(i int) string { return p[i-1].ID.String() }
	for _, c := range []struct {
		query, texts, next, prev string
	}{
		{"page=0&per_page=2", "5 4", "", id(3)},
		{"page=1&per_page=2", "3 2", id(4), id(1)},
		{"page=2&per_page=2", "1 ann joined the channel.", id(2), ""},
		{"page=3&per_page=2", "", "last", ""},
		{"per_page=0", "", "", id(5)},
		{"per_page=6", "5 4 3 2 1 ann joined the channel.", "", ""},
		{"before=" + id(4) + "&per_page=2", "3 2", id(4), id(1)},
		{"before=" + id(4) + "&per_page=2&page=1", "1 ann joined the channel.", id(2), ""},
		{"before=" + id(1) + "&per_page=2", "ann joined the channel.", id(1), ""},
		{"after=" + id(2) + "&per_page=2", "4 3", id(5), id(2)},
		{"after=" + id(2) + "&per_page=2&page=1", "5", "", id(4)},
		{"after=" + id(5), "", "", id(5)},
		{"after=" + strings.Repeat("a", 26), "", "", ""},
	} {
		l := ann.List("/channels/%s/posts?%s", ch, c.query)
		if c.next == "last" {
			c.next = l.Next // beyond the end there are no neighbours
		}
		if l.Texts() != c.texts || l.Next != c.next || l.Prev != c.prev {
			t.Errorf("%s: %q next %q prev %q; want %q %q %q", c.query, l.Texts(), l.Next, l.Prev, c.texts, c.next, c.prev)
		}
	}
}

func TestPosts_Since(t *testing.T) {
	// A list since a time has the posts that were made, changed or deleted after it, deleted ones
	// without their message, and earlier texts.
	_, s := apitest.NewHome(t)
	ann := s.SignUp(t, "ann")
	ch, p := apitest.ChannelOf(ann, 4)
	ann.Must(200, "PUT", "/posts/"+p[0].ID.String()+"/patch", map[string]string{"message": "one"}, nil)
	ann.Must(200, "DELETE", "/posts/"+p[1].ID.String(), nil, nil)
	l := ann.List("/channels/%s/posts?since=%d", ch, p[3].UpdateAt-1)
	var live, gone, earlier int
	for _, post := range l.Posts {
		switch {
		case post.DeleteAt == 0:
			live++
		case !post.OriginalID.IsZero():
			earlier++
		default:
			gone++
		}
		if post.DeleteAt != 0 && post.Message != "" {
			t.Errorf("deleted %+v still says something", post)
		}
	}
	if live != 2 || gone != 1 || earlier != 1 || l.Next != "" || l.Prev != "" || l.Posts[p[0].ID].Message != "one" {
		t.Errorf("%d live, %d gone, %d earlier: %+v", live, gone, earlier, l)
	}
	ann.Fails(400, "api.context.invalid_param.app_error", "GET", "/channels/"+ch.String()+"/posts?since=never", nil)
}

func TestPosts_Threads(t *testing.T) {
	// Replies are listed unless threads are collapsed, and their threads are added.
	_, s := apitest.NewHome(t)
	ann := s.SignUp(t, "ann")
	ch, p := apitest.ChannelOf(ann, 2)
	for _, text := range []string{"a", "b", "c"} {
		ann.Reply(p[0], text)
	}
	flat := ann.List("/channels/%s/posts?per_page=1", ch)
	if flat.Texts() != "c" || len(flat.Posts) != 4 || flat.Posts[p[0].ID].ReplyCount != 3 {
		t.Errorf("flat: %q with %d posts", flat.Texts(), len(flat.Posts))
	}
	if l := ann.List("/channels/%s/posts?per_page=1&skipFetchThreads=true", ch); len(l.Posts) != 2 {
		t.Errorf("without threads: %d posts", len(l.Posts))
	}
	if l := ann.List("/channels/%s/posts?collapsedThreads=true", ch); l.Texts() != "2 1 ann joined the channel." || len(l.Posts) != 3 {
		t.Errorf("collapsed: %q", l.Texts())
	}
	root := p[0].ID
	for query, want := range map[string]string{
		"": "1 a b c false", "direction=up": "1 c b a false", "perPage=2": "1 a b true", "perPage=2&direction=up": "1 c b true",
	} {
		l := ann.List("/posts/%s/thread?%s", root, query)
		if got := fmt.Sprint(l.Texts(), " ", *l.HasNext); got != want {
			t.Errorf("thread %q: %q, not %q", query, got, want)
		}
	}
	first := ann.List("/posts/%s/thread?perPage=1", root)
	a := first.Posts[first.Order[1]]
	if l := ann.List("/posts/%s/thread?perPage=5&fromPost=%s&fromCreateAt=%d", a.ID, a.ID, a.CreateAt); l.Texts() != "1 b c" {
		t.Errorf("from a on, asked by the reply: %q", l.Texts())
	}
	ann.Fails(400, "api.context.invalid_url_param.app_error", "GET", "/posts/"+root.String()+"/thread?perPage=201", nil)
	ann.Must(200, "DELETE", "/posts/"+root.String(), nil, nil)
	ann.Fails(404, "app.post.get.app_error", "GET", "/posts/"+root.String()+"/thread", nil)
	if l := ann.List("/channels/%s/posts", ch); l.Texts() != "2 ann joined the channel." {
		t.Errorf("after deleting the thread: %q", l.Texts())
	}
}

func TestPosts_Unread(t *testing.T) {
	// The list around the first unread post begins limit_after posts above it and ends
	// limit_before posts below; if everything is read, or the channel was never viewed, it is the
	// newest page.
	_, s := apitest.NewHome(t)
	ann := s.SignUp(t, "ann")
	bob := s.SignUp(t, "bob")
	team := ann.NewTeam("crew")
	ch := ann.NewChannel(team.ID, "deck", "O")
	bob.JoinTeam(team.ID)
	bob.Join(ch)
	var p []core.Post
	for i := range 3 {
		p = append(p, ann.Post(ch, fmt.Sprint(i+1)))
	}
	unread := func(limits string) apitest.List { return bob.List("/users/me/channels/%s/posts/unread?%s", ch, limits) }
	if l := unread("limit_before=2&limit_after=2"); l.Texts() != "3 2" {
		t.Errorf("never looked: %q", l.Texts())
	}
	var seen struct {
		Times map[string]int64 `json:"last_viewed_at_times"`
	}
	bob.Must(200, "POST", "/channels/members/me/view", map[string]string{"channel_id": ch.String()}, &seen)
	if seen.Times[ch.String()] != p[2].CreateAt {
		t.Errorf("viewed up to %v, not %d", seen.Times, p[2].CreateAt)
	}
	if l := unread("limit_before=2&limit_after=2"); l.Texts() != "3 2" || l.Next != "" || l.Prev != p[0].ID.String() {
		t.Errorf("nothing unread: %q", l.Texts())
	}
	for i := range 3 {
		p = append(p, ann.Post(ch, fmt.Sprint(i+4)))
	}
	if l := unread("limit_before=1&limit_after=2"); l.Texts() != "5 4 3" || l.Next != p[5].ID.String() || l.Prev != p[1].ID.String() {
		t.Errorf("some unread: %q next %q prev %q", l.Texts(), l.Next, l.Prev)
	}
	bob.Fails(400, "api.context.invalid_param.app_error", "GET", "/users/me/channels/"+ch.String()+"/posts/unread?limit_after=0", nil)
	var u struct {
		Msg     int64 `json:"msg_count"`
		Mention int64 `json:"mention_count"`
	}
	ann.Post(ch, "@bob look")
	bob.Must(200, "GET", "/users/me/channels/"+ch.String()+"/unread", nil, &u)
	if u.Msg != 4 || u.Mention != 1 {
		t.Errorf("unread in the channel: %+v", u)
	}
}

func TestPosts_PendingID(t *testing.T) {
	// Sending a post several times with one pending id, even concurrently, makes one post.
	_, s := apitest.NewHome(t)
	ann := s.SignUp(t, "ann")
	ch, _ := apitest.ChannelOf(ann, 0)
	body := map[string]string{"channel_id": ch.String(), "message": "once", "pending_post_id": ann.Me.ID.String() + ":1"}
	ids := make(chan core.PostID)
	for range 8 {
		go func() {
			var p core.Post
			ann.Do("POST", "/posts", body, &p)
			ids <- p.ID
		}()
	}
	first := <-ids
	for range 7 {
		if id := <-ids; id != first || id.IsZero() {
			t.Errorf("got %v and %v", first, id)
		}
	}
	if l := ann.List("/channels/%s/posts", ch); l.Texts() != "once ann joined the channel." {
		t.Errorf("the channel holds %q", l.Texts())
	}
}
