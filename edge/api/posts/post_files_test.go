package posts_test

import (
	"slices"
	"testing"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/read"
	"github.com/nearside/nearside/edge/api/apitest"
)

// A post gets the files that it names, in one request and without a message; its answer, its
// event and every list show them, and an edit and a deletion remove them.
func TestPost_Files(t *testing.T) {
	_, s := apitest.NewHome(t)
	ada, bob := s.SignUp(t, "ada"), s.SignUp(t, "bob")
	team := ada.NewTeam("crew")
	bob.JoinTeam(team.ID)
	ch := ada.NewChannel(team.ID, "deck", "O")
	bob.Join(ch)
	a, b := ada.AddPicture(ch, "a.png"), ada.AddFile(ch, "b.txt", "text/plain", []byte("bee"), nil)
	shows := func(where string, p core.Post, want ...core.FileID) {
		t.Helper()
		var got []core.FileID
		for _, f := range p.Metadata.Files {
			got = append(got, f.ID)
		}
		if !slices.Equal(got, want) || !slices.Equal(p.FileIDs, want) {
			t.Errorf("%s: files %v, shown %v, want %v", where, p.FileIDs, got, want)
		}
	}
	ids := func(list ...core.FileID) map[string]any {
		return map[string]any{"channel_id": ch, "file_ids": list, "pending_post_id": "p:1"}
	}
	var p, again core.Post
	ada.Must(201, "POST", "/posts", ids(b.ID, a.ID), &p)
	shows("the answer", p, b.ID, a.ID)
	ada.Must(201, "POST", "/posts", ids(b.ID, a.ID), &again)
	shows("the answer to a retry", again, b.ID, a.ID)
	if again.ID != p.ID {
		t.Error("the retry made another post")
	}
	for _, path := range []string{"/channels/" + ch.String() + "/posts", "/posts/" + p.ID.String() + "/thread"} {
		shows(path, bob.List("%s", path).Posts[p.ID], b.ID, a.ID)
	}
	bob.Fails(400, "api.post.create_post.file_ids.app_error", "POST", "/posts", ids(a.ID))
	ada.Fails(400, "api.post.create_post.file_ids.app_error", "POST", "/posts", map[string]any{"channel_id": ch, "message": "x", "file_ids": []core.FileID{a.ID}})
	ada.Fails(400, "model.post.is_valid.file_ids.app_error", "POST", "/posts", ids(make([]core.FileID, 11)...))

	var edited, whole core.Post
	ada.Must(200, "PUT", "/posts/"+p.ID.String()+"/patch", map[string]any{"message": "words"}, &edited)
	shows("edited words", edited, b.ID, a.ID)
	ada.Must(200, "PUT", "/posts/"+p.ID.String(), map[string]any{"id": p.ID, "file_ids": []core.FileID{a.ID}, "message": "words"}, &whole)
	shows("edited files", whole, a.ID)
	var history []core.Post
	ada.Must(200, "GET", "/posts/"+p.ID.String()+"/edit_history", nil, &history)
	shows("the earlier text", history[0], b.ID, a.ID)
	shows("the page after the edit", bob.List("/channels/%v/posts", ch).Posts[p.ID], a.ID)

	ada.Must(200, "DELETE", "/posts/"+p.ID.String(), nil, nil)
	f, _, err := read.New(s.DB, nil).File(t.Context(), a.ID)
	if err != nil || f.DeleteAt == 0 {
		t.Errorf("the deleted post's file is %+v, %v", f, err)
	}
}
