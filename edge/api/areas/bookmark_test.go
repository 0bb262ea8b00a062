package areas_test

import (
	"testing"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/edge/api/apitest"
)

func init() {
	apitest.More["bookmark_id"] = func(c *apitest.Client, ch core.ChannelID) string {
		var mark core.Bookmark
		c.Must(201, "POST", "/channels/"+ch.String()+"/bookmarks", map[string]string{"display_name": "Log", "type": "link", "link_url": "https://example.com"}, &mark)
		return mark.ID.String()
	}
}

// A patch answers with the bookmark as it is now. With another file the bookmark is another one, and the
// answer also holds the one that was deleted.
func TestBookmarks_Patch(t *testing.T) {
	_, s := apitest.NewHome(t)
	ann := s.SignUp(t, "ann")
	ch, _ := apitest.ChannelOf(ann, 1)
	old, next := ann.AddPicture(ch, "old.png"), ann.AddPicture(ch, "new.png")
	var mark core.Bookmark
	path := "/channels/" + ch.String() + "/bookmarks"
	ann.Must(201, "POST", path, map[string]string{"display_name": "Map", "type": "file", "file_id": old.ID.String()}, &mark)
	var renamed, replaced core.BookmarkUpdate
	ann.Must(200, "PATCH", path+"/"+mark.ID.String(), map[string]string{"display_name": "The map"}, &renamed)
	if u := renamed.Updated; u.ID != mark.ID || u.DisplayName != "The map" || !renamed.Deleted.ID.IsZero() {
		t.Errorf("renamed: %+v", renamed)
	}
	ann.Must(200, "PATCH", path+"/"+mark.ID.String(), map[string]string{"file_id": next.ID.String()}, &replaced)
	if u, d := replaced.Updated, replaced.Deleted; u.ID == mark.ID || u.DeleteAt != 0 || u.File == nil || u.File.ID != next.ID || d.ID != mark.ID || d.DeleteAt == 0 {
		t.Errorf("replaced: %+v", replaced)
	}
}
