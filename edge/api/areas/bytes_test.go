package areas_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/read"
	"github.com/nearside/nearside/edge/api/apitest"
)

func TestBytes_ListsOfLongPosts(t *testing.T) {
	// Regression: one answer had 95 MB. Lists that go on elsewhere end when they have a few megabytes, and
	// going on from there gives every post once.
	_, s := apitest.NewHome(t)
	ann := s.SignUp(t, "ann")
	ch, _ := apitest.ChannelOf(ann, 0)
	long := strings.Repeat("\U0001F600", core.MaxPostRunes) // 64 KB
	root := ann.Post(ch, "root")
	const replies = 90
	for range replies {
		ann.Must(http.StatusCreated, "POST", "/posts", map[string]any{"channel_id": ch, "root_id": root.ID, "message": long}, nil)
	}
	auth := map[string]string{"Authorization": "Bearer " + ann.Token}
	get := func(path string) (l struct {
		Order []core.PostID             `json:"order"`
		Posts map[core.PostID]core.Post `json:"posts"`
		Next  bool                      `json:"has_next"`
		Prev  string                    `json:"prev_post_id"`
	}) {
		t.Helper()
		raw, err := io.ReadAll(s.Raw(t, "GET", path, "", auth).Body)
		if err != nil {
			t.Fatal(err)
		}
		if len(raw) > 2*read.MaxBytes+1<<20 { // a page, and the threads of its posts
			t.Errorf("%s: %d bytes", path, len(raw))
		}
		if err := json.Unmarshal(raw, &l); err != nil {
			t.Fatal(err)
		}
		return l
	}
	seen := map[core.PostID]bool{}
	for from, more, n := "", true, 0; more; n++ {
		l := get(fmt.Sprintf("/posts/%s/thread?perPage=200%s", root.ID, from))
		for _, id := range l.Order[1:] {
			if seen[id] {
				t.Fatalf("post %s comes twice", id)
			}
			seen[id] = true
		}
		last := l.Posts[l.Order[len(l.Order)-1]]
		from, more = fmt.Sprintf("&fromCreateAt=%d&fromPost=%s", last.CreateAt, last.ID), l.Next
		if n > replies {
			t.Fatal("the thread has no end")
		}
	}
	if len(seen) != replies {
		t.Errorf("the thread has %d replies, want %d", len(seen), replies)
	}
	newest := ann.Post(ch, "newest").ID.String()
	seen = map[core.PostID]bool{}
	pages := 0
	for at := newest; at != ""; pages++ {
		l := get(fmt.Sprintf("/channels/%s/posts?per_page=200&before=%s&skipFetchThreads=true", ch, at))
		for _, id := range l.Order {
			if seen[id] {
				t.Fatalf("post %s comes twice", id)
			}
			seen[id] = true
		}
		if at = ""; l.Prev != "" {
			at = l.Order[len(l.Order)-1].String()
		}
	}
	if len(seen) < replies+1 || pages < 2 {
		t.Errorf("%d posts in %d pages", len(seen), pages)
	}
	if l := get(fmt.Sprintf("/channels/%s/posts?since=1", ch)); len(l.Order) == 0 {
		t.Error("nothing since the beginning")
	}
}

func TestBytes_PropsOfAPost(t *testing.T) {
	// Props have at most 16 KB and a thousand values; with as many as that a post can be deleted.
	_, s := apitest.NewHome(t)
	ann := s.SignUp(t, "ann")
	ch, _ := apitest.ChannelOf(ann, 0)
	post := func(props any) map[string]any {
		return map[string]any{"channel_id": ch, "message": "hi", "props": props}
	}
	small := make(map[string]any)
	for i := range core.MaxPropsValues - 1 {
		small[fmt.Sprint(i)] = []any{}
	}
	var p core.Post
	for _, most := range []any{map[string]any{"a": strings.Repeat("x", core.MaxProps-len(`{"a":""}`))}, small} {
		ann.Must(http.StatusCreated, "POST", "/posts", post(most), &p)
		ann.Must(http.StatusOK, "DELETE", "/posts/"+p.ID.String(), nil, nil)
	}
	small["more"] = 1
	const id = "model.post.is_valid.props.app_error"
	ann.Fails(http.StatusBadRequest, id, "POST", "/posts", post(small))
	ann.Fails(http.StatusBadRequest, id, "POST", "/posts", post(map[string]any{"a": strings.Repeat("x", core.MaxProps)}))
}
