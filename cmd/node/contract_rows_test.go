package node_test

import (
	"fmt"
	"image"
	"image/png"
	"net/http"
	"strings"
	"testing"
)

// row says how one operation is requested. Most rows have only the operation and the body: ada, a member of
// the team and the channel, asks for objects of hers; eve, who is in neither, is forbidden; the malformed
// request is derived from the good one.
type row struct {
	op        string                                           // METHOD path
	as        string                                           // who asks; default ada
	fresh     func(t *testing.T, f *fixture) map[string]string // parameters that this row needs for itself
	query     string                                           // of the good request; its parameters are filled in as those of the path
	body      func(f *fixture) any                             // of the good request
	status    int                                              // of the good answer; default 200
	described int                                              // the status whose schema the answer has, where the description has another

	open     bool   // it needs no session
	nobody   string // why no user is forbidden
	stranger string // who is forbidden; default eve
	denied   int    // status of the answer to the stranger; default 403

	badQuery  string // a malformed query, where there is neither a body nor an id in the path
	badStatus int    // default 400
	anyForm   string // why no request can be malformed
	bytes     bool   // the body is a file's bytes, and they may be any

	unlike string // how existing servers and clients differ from the description, whose schema is then not compared

	elsewhere string // the test that checks this operation instead
}

func (r row) values(t *testing.T, f *fixture) map[string]string {
	t.Helper()
	if r.fresh == nil {
		return nil
	}
	return r.fresh(t, f)
}

func (r row) content(f *fixture) any {
	if r.body == nil {
		return nil
	}
	return r.body(f)
}

type m = map[string]any

// Reasons that several rows share.
const (
	own       = "everybody may ask it of themselves"
	everybody = "every account may ask it"
	theFile   = "described without a good answer; it is the file's bytes"
	noForm    = "it takes no body, no id and no query that could be wrong"
)

// contract is the table of operations that are built, in the order of the nouns.
func contract() []row {
	return []row{
		// users and sessions
		{op: "POST /api/v4/users", status: 201, open: true, nobody: "anybody may sign up", body: func(f *fixture) any { return f.newAccount() }},
		{op: "POST /api/v4/users/login", described: 201, open: true, nobody: "anybody may try", body: func(*fixture) any { return m{"login_id": "ada", "password": password} }},
		{op: "POST /api/v4/users/login/type", open: true, nobody: "anybody may ask", body: func(*fixture) any { return m{"login_id": "ada"} }},
		{op: "POST /api/v4/users/logout", described: 201, as: "leaver", open: true, nobody: own, anyForm: noForm},
		{op: "GET /api/v4/users", nobody: everybody, badQuery: "?in_team=no-id"},
		{op: "GET /api/v4/users/stats", nobody: everybody, anyForm: noForm},
		{op: "GET /api/v4/users/autocomplete", query: "?name=a", nobody: everybody, badQuery: "?name=a&in_team=no-id"},
		{op: "POST /api/v4/users/search", nobody: everybody, body: func(*fixture) any { return m{"term": "ad"} }},
		{op: "POST /api/v4/users/ids", nobody: everybody, body: func(f *fixture) any { return []string{f.values["user_id"]} }},
		{op: "POST /api/v4/users/usernames", nobody: everybody, body: func(*fixture) any { return []string{"ada"} }},
		{op: "GET /api/v4/users/username/{username}", nobody: everybody, anyForm: "any text may be a name"},
		{op: "GET /api/v4/users/email/{email}", nobody: everybody, anyForm: "any text may be an address"},
		{op: "GET /api/v4/users/{user_id}", nobody: everybody},
		{op: "PUT /api/v4/users/{user_id}/patch", body: func(*fixture) any { return m{"nickname": "Countess"} }},
		{op: "POST /api/v4/users/{user_id}/email/verify/member", as: "admin", stranger: "ada"},
		{op: "GET /api/v4/users/{user_id}/sessions"},
		{op: "POST /api/v4/users/status/ids", nobody: everybody, body: func(f *fixture) any { return []string{f.values["user_id"]} }},
		{op: "GET /api/v4/users/{user_id}/status", nobody: everybody},
		{op: "POST /api/v4/users/{user_id}/typing", body: func(f *fixture) any { return m{"channel_id": f.values["channel_id"]} }},

		// the audit trail
		{op: "GET /api/v4/users/{user_id}/audits"},
		{op: "GET /api/v4/audits", as: "admin", stranger: "ada", anyForm: noForm},

		// roles
		{op: "GET /api/v4/roles", as: "admin", stranger: "ada", anyForm: noForm},
		{op: "GET /api/v4/roles/{role_id}", nobody: everybody},
		{op: "GET /api/v4/roles/name/{role_name}", nobody: everybody, anyForm: "any text may be a name"},
		{op: "POST /api/v4/roles/names", nobody: everybody, body: func(*fixture) any { return []string{"system_user"} }},

		// teams
		{op: "POST /api/v4/teams", status: 201, nobody: everybody, body: func(f *fixture) any { return f.newTeam() }},
		{op: "GET /api/v4/teams", nobody: everybody, anyForm: noForm},
		{op: "GET /api/v4/teams/{team_id}"},
		{op: "GET /api/v4/teams/name/{name}", anyForm: "any text may be a name"},
		{op: "GET /api/v4/teams/name/{name}/exists", nobody: everybody, anyForm: "any text may be a name"},
		{op: "PUT /api/v4/teams/{team_id}/patch", as: "admin", stranger: "ada", body: func(*fixture) any { return m{"description": "ours"} }},
		{op: "DELETE /api/v4/teams/{team_id}", as: "admin", stranger: "ada", fresh: freshTeam},
		{op: "GET /api/v4/teams/invite/{invite_id}", open: true, nobody: "whoever has an invitation may ask", anyForm: "any text may be an invitation"},
		{op: "POST /api/v4/teams/members/invite", query: "?invite_id={invite_id}", status: 201, nobody: "whoever has an invitation may join", badQuery: "?invite_id="},
		{op: "GET /api/v4/teams/{team_id}/stats"},
		{op: "GET /api/v4/teams/{team_id}/members"},
		{op: "POST /api/v4/teams/{team_id}/members", status: 201, body: func(f *fixture) any { return m{"team_id": f.values["team_id"], "user_id": f.joiner()} }},
		{op: "POST /api/v4/teams/{team_id}/members/batch", status: 201, body: func(f *fixture) any { return []m{{"team_id": f.values["team_id"], "user_id": f.joiner()}} }},
		{op: "POST /api/v4/teams/{team_id}/members/ids", body: func(f *fixture) any { return []string{f.values["user_id"]} }},
		{op: "GET /api/v4/teams/{team_id}/members/{user_id}"},
		{op: "DELETE /api/v4/teams/{team_id}/members/{user_id}", as: "admin", fresh: freshMember},
		{op: "GET /api/v4/users/{user_id}/teams"},
		{op: "GET /api/v4/users/{user_id}/teams/members"},
		{op: "GET /api/v4/users/{user_id}/teams/unread"},
		{op: "GET /api/v4/users/{user_id}/teams/{team_id}/unread"},

		// channels
		{op: "POST /api/v4/channels", status: 201, body: func(f *fixture) any { return f.newChannel() }},
		{op: "GET /api/v4/channels/{channel_id}"},
		{op: "PUT /api/v4/channels/{channel_id}/patch", body: func(*fixture) any { return m{"header": "hear, hear"} }},
		{op: "DELETE /api/v4/channels/{channel_id}", fresh: freshChannel},
		{op: "GET /api/v4/channels/{channel_id}/stats"},
		{op: "GET /api/v4/channels/{channel_id}/members"},
		{op: "POST /api/v4/channels/{channel_id}/members", status: 201, body: func(f *fixture) any { return m{"user_id": f.values["admin_id"]} }},
		{op: "POST /api/v4/channels/{channel_id}/members/ids", body: func(f *fixture) any { return []string{f.values["user_id"]} }},
		{op: "GET /api/v4/channels/{channel_id}/members/{user_id}"},
		{op: "DELETE /api/v4/channels/{channel_id}/members/{user_id}", fresh: freshChannel},
		{op: "POST /api/v4/channels/members/{user_id}/view", body: func(f *fixture) any { return m{"channel_id": f.values["channel_id"]} }},
		{op: "GET /api/v4/teams/{team_id}/channels"},
		{op: "GET /api/v4/teams/{team_id}/channels/name/{channel_name}"},
		{op: "GET /api/v4/teams/name/{team_name}/channels/name/{channel_name}", anyForm: "any text may be a name"},
		{op: "GET /api/v4/users/{user_id}/channels"},
		{op: "GET /api/v4/users/{user_id}/channel_members"},
		{op: "GET /api/v4/users/{user_id}/teams/{team_id}/channels"},
		{op: "GET /api/v4/users/{user_id}/teams/{team_id}/channels/members"},
		{op: "GET /api/v4/users/{user_id}/teams/{team_id}/channels/categories", unlike: "described as a list, but it is {categories, order}"},
		{op: "GET /api/v4/users/{user_id}/channels/{channel_id}/unread"},

		// posts
		{op: "POST /api/v4/posts", status: 201, body: func(f *fixture) any { return m{"channel_id": f.values["channel_id"], "message": "hello"} }},
		{op: "GET /api/v4/posts/{post_id}"},
		{op: "PUT /api/v4/posts/{post_id}", fresh: freshPost, body: func(f *fixture) any { return m{"id": f.last, "message": "put"} }},
		{op: "PUT /api/v4/posts/{post_id}/patch", fresh: freshPost, body: func(*fixture) any { return m{"message": "patched"} }},
		{op: "DELETE /api/v4/posts/{post_id}", fresh: freshPost},
		{op: "POST /api/v4/posts/{post_id}/pin"},
		{op: "POST /api/v4/posts/{post_id}/unpin"},
		{op: "GET /api/v4/posts/{post_id}/thread"},
		{op: "GET /api/v4/posts/{post_id}/edit_history", fresh: freshPost},
		{op: "POST /api/v4/posts/ids", nobody: "what may not be read is left out", body: func(f *fixture) any { return []string{f.values["post_id"]} }},
		{op: "GET /api/v4/channels/{channel_id}/posts"},
		{op: "GET /api/v4/channels/{channel_id}/pinned"},
		{op: "GET /api/v4/users/{user_id}/channels/{channel_id}/posts/unread"},

		// preferences
		{op: "GET /api/v4/users/{user_id}/preferences"},
		{op: "PUT /api/v4/users/{user_id}/preferences", body: func(f *fixture) any { return f.preference("put") }},
		{op: "POST /api/v4/users/{user_id}/preferences/delete", body: func(f *fixture) any { return f.preference("gone") }},
		{op: "GET /api/v4/users/{user_id}/preferences/{category}"},
		{op: "GET /api/v4/users/{user_id}/preferences/{category}/name/{preference_name}"},

		// bookmarks
		{op: "GET /api/v4/channels/{channel_id}/bookmarks", query: "?bookmarks_since=1", described: 201},
		{op: "POST /api/v4/channels/{channel_id}/bookmarks", status: 201, body: newBookmark},
		{op: "PATCH /api/v4/channels/{channel_id}/bookmarks/{bookmark_id}", fresh: freshBookmark, body: func(*fixture) any { return m{"display_name": "The rules"} }},
		{op: "POST /api/v4/channels/{channel_id}/bookmarks/{bookmark_id}/sort_order", fresh: freshBookmark, body: func(*fixture) any { return 0 }},
		{op: "DELETE /api/v4/channels/{channel_id}/bookmarks/{bookmark_id}", fresh: freshBookmark},

		// reactions
		{op: "POST /api/v4/reactions", described: 201, body: func(f *fixture) any {
			return m{"user_id": f.values["user_id"], "post_id": f.values["post_id"], "emoji_name": "smile"}
		}},
		{op: "GET /api/v4/posts/{post_id}/reactions"},
		{op: "POST /api/v4/posts/ids/reactions", nobody: "what may not be read is left out", body: func(f *fixture) any { return []string{f.values["post_id"]} }},
		{op: "DELETE /api/v4/users/{user_id}/posts/{post_id}/reactions/{emoji_name}"},

		// uploads
		{op: "POST /api/v4/files", status: 201, query: "?channel_id={channel_id}&filename=log.txt", bytes: true, badQuery: "?channel_id=no-id&filename=log.txt",
			body: func(*fixture) any { return "ahoy" }},
		{op: "POST /api/v4/uploads", status: 201, body: func(f *fixture) any { return f.newUpload() }},
		{op: "GET /api/v4/uploads/{upload_id}", fresh: freshUpload, unlike: "described without a good answer; it is an UploadSession"},
		{op: "POST /api/v4/uploads/{upload_id}", status: 201, fresh: freshUpload, bytes: true, body: func(*fixture) any { return "ahoy" }},
		{op: "GET /api/v4/users/{user_id}/uploads"},

		// files
		{op: "GET /api/v4/files/{file_id}", unlike: theFile},
		{op: "HEAD /api/v4/files/{file_id}"},
		{op: "GET /api/v4/files/{file_id}/thumbnail", unlike: theFile},
		{op: "HEAD /api/v4/files/{file_id}/thumbnail"},
		{op: "GET /api/v4/files/{file_id}/preview", unlike: theFile},
		{op: "HEAD /api/v4/files/{file_id}/preview"},
		{op: "GET /api/v4/files/{file_id}/info"},
		{op: "GET /api/v4/files/{file_id}/link"},
		{op: "GET /files/{file_id}/public", fresh: freshLink, query: "?h={token}", open: true, nobody: "a link is for anybody who has it", unlike: theFile},
		{op: "HEAD /files/{file_id}/public", fresh: freshLink, query: "?h={token}", open: true, nobody: "a link is for anybody who has it"},
		{op: "POST /api/v4/files/links/expire", as: "admin", stranger: "ada", anyForm: noForm},
		{op: "POST /api/v4/files/search", nobody: "what may not be read is left out", body: func(*fixture) any { return m{"terms": "sail", "is_or_search": false} }},
		{op: "POST /api/v4/teams/{team_id}/files/search", body: func(*fixture) any { return m{"terms": "ext:png", "is_or_search": false} }},
		{op: "GET /api/v4/posts/{post_id}/files/info", fresh: func(_ *testing.T, f *fixture) map[string]string {
			return map[string]string{"post_id": f.values["file_post_id"]}
		}},
		{op: "GET /api/v4/users/{user_id}/image", nobody: everybody},
		{op: "POST /api/v4/users/{user_id}/image", body: func(*fixture) any { return pictureForm }},
		{op: "DELETE /api/v4/users/{user_id}/image"},
		{op: "GET /api/v4/users/{user_id}/image/default", nobody: everybody},
		{op: "GET /api/v4/usage/storage", nobody: everybody, anyForm: noForm},

		// the system
		{op: "GET /api/v4/config/client", query: "?format=old", open: true, nobody: "anybody may ask", anyForm: noForm},
		{op: "GET /api/v4/license/client", query: "?format=old", open: true, nobody: "anybody may ask", anyForm: noForm},
		{op: "GET /api/v4/system/ping", open: true, nobody: "anybody may ask", anyForm: noForm},
		{op: "GET /api/v4/system/timezones", nobody: everybody, anyForm: noForm},
		{op: "GET /api/v4/limits/server", nobody: everybody, anyForm: noForm, unlike: "described as a list, but it is one object"},
		{op: "GET /api/v4/plugins/webapp", open: true, nobody: "anybody may ask", anyForm: noForm},
		{op: "GET /api/v4/websocket", open: true, elsewhere: "a WebSocket is no request and answer: edge/ws tests it"},
	}
}

const password = "correct horse battery"

// fixture is a deployment with an administrator, ada in a team with a channel, and eve outside.
type fixture struct {
	url    string
	tokens map[string]string
	values map[string]string // of path parameters
	last   string            // the id that fresh made last
	made   int
	t      *testing.T
}

func newFixture(t *testing.T, url string) *fixture {
	t.Helper()
	f := &fixture{url: url, tokens: map[string]string{}, values: map[string]string{
		"username": "ada", "email": "ada@example.com", "name": "crew", "team_name": "crew", "channel_name": "deck",
		"category": "display_settings", "preference_name": "use", "role_name": "system_user", "emoji_name": "smile",
	}, t: t}
	f.values["admin_id"] = f.account("admin")
	f.values["user_id"] = f.account("ada")
	f.values["eve_id"] = f.account("eve")
	f.tokens["leaver"] = f.login("eve")
	f.values["team_id"] = f.make("admin", "/api/v4/teams", m{"name": "crew", "display_name": "Crew", "type": "O"})
	f.values["invite_id"], _ = object(f.send(t, "GET", "/api/v4/teams/"+f.values["team_id"], f.token("admin"), nil).body)["invite_id"].(string)
	f.make("admin", "/api/v4/teams/"+f.values["team_id"]+"/members", m{"team_id": f.values["team_id"], "user_id": f.values["user_id"]})
	f.values["channel_id"] = f.make("ada", "/api/v4/channels", m{"team_id": f.values["team_id"], "name": "deck", "display_name": "Deck", "type": "O"})
	f.values["post_id"] = f.make("ada", "/api/v4/posts", m{"channel_id": f.values["channel_id"], "message": "first"})
	f.addFile()
	roles := f.send(t, "POST", "/api/v4/roles/names", f.token("ada"), []string{"system_user"})
	if l := list(roles.body); len(l) == 1 {
		f.values["role_id"], _ = object(l[0])["id"].(string)
	}
	f.send(t, "PUT", "/api/v4/users/me/preferences", f.token("ada"), f.preference("use"))
	f.send(t, "PUT", "/api/v4/users/me/preferences", f.token("ada"), f.preference("gone"))
	return f
}

func (f *fixture) token(who string) string { return f.tokens[orElse(who, "ada")] }

// make creates something and gives its id.
func (f *fixture) make(as, path string, body any) string {
	f.t.Helper()
	got := f.send(f.t, "POST", path, f.token(as), body)
	if got.status != http.StatusCreated {
		f.t.Fatalf("POST %s as %s: %d %s", path, as, got.status, got.raw)
	}
	id, _ := object(got.body)["id"].(string)
	return id
}

func (f *fixture) account(name string) string {
	id := f.make("", "/api/v4/users", m{"username": name, "email": name + "@example.com", "password": password})
	f.tokens[name] = f.login(name)
	return id
}

func (f *fixture) login(name string) string {
	return f.send(f.t, "POST", "/api/v4/users/login", "", m{"login_id": name, "password": password}).header.Get("Token")
}

// unique gives a new name.
func (f *fixture) unique(prefix string) string {
	f.made++
	return fmt.Sprintf("%s%d", prefix, f.made)
}

func (f *fixture) newAccount() any {
	name := f.unique("guest")
	return m{"username": name, "email": name + "@example.com", "password": password}
}

func (f *fixture) newTeam() any {
	return m{"name": f.unique("team"), "display_name": "Another", "type": "O"}
}

func (f *fixture) newChannel() any {
	return m{"team_id": f.values["team_id"], "name": f.unique("channel"), "display_name": "Another", "type": "O"}
}

func (f *fixture) preference(name string) any {
	return []m{{"user_id": f.values["user_id"], "category": f.values["category"], "name": name, "value": "true"}}
}

// joiner gives the id of an account that is in no team.
func (f *fixture) joiner() string { return f.make("", "/api/v4/users", f.newAccount()) }

func freshTeam(t *testing.T, f *fixture) map[string]string {
	t.Helper()
	return map[string]string{"team_id": f.make("admin", "/api/v4/teams", f.newTeam())}
}

func freshMember(t *testing.T, f *fixture) map[string]string {
	t.Helper()
	who := f.joiner()
	f.make("admin", "/api/v4/teams/"+f.values["team_id"]+"/members", m{"team_id": f.values["team_id"], "user_id": who})
	return map[string]string{"user_id": who}
}

func freshChannel(t *testing.T, f *fixture) map[string]string {
	t.Helper()
	return map[string]string{"channel_id": f.make("ada", "/api/v4/channels", f.newChannel())}
}

func freshPost(t *testing.T, f *fixture) map[string]string {
	t.Helper()
	f.last = f.make("ada", "/api/v4/posts", m{"channel_id": f.values["channel_id"], "message": "to change"})
	f.send(t, "PUT", "/api/v4/posts/"+f.last+"/patch", f.token("ada"), m{"message": "changed"})
	return map[string]string{"post_id": f.last}
}

// picture is a PNG, and pictureForm a form with it.
var (
	picture = func() string {
		var b strings.Builder
		if err := png.Encode(&b, image.NewGray(image.Rect(0, 0, 30, 20))); err != nil {
			panic(err)
		}
		return b.String()
	}()
	pictureForm = "--edge\r\nContent-Disposition: form-data; name=\"image\"; filename=\"me.png\"\r\n\r\n" + picture + "\r\n--edge--\r\n"
)

// addFile uploads a picture and posts it.
func (f *fixture) addFile() {
	f.t.Helper()
	got := f.send(f.t, "POST", "/api/v4/files?channel_id="+f.values["channel_id"]+"&filename=sail.png", f.token("ada"), picture)
	infos := list(object(got.body)["file_infos"])
	if len(infos) != 1 {
		f.t.Fatalf("upload: %d %s", got.status, got.raw)
	}
	f.values["file_id"], _ = object(infos[0])["id"].(string)
	f.values["file_post_id"] = f.make("ada", "/api/v4/posts", m{"channel_id": f.values["channel_id"], "message": "", "file_ids": []string{f.values["file_id"]}})
}

func freshLink(t *testing.T, f *fixture) map[string]string {
	t.Helper()
	link, _ := object(f.send(t, "GET", "/api/v4/files/"+f.values["file_id"]+"/link", f.token("ada"), nil).body)["link"].(string)
	_, token, _ := strings.Cut(link, "?h=")
	return map[string]string{"token": token}
}

func newBookmark(*fixture) any {
	return m{"display_name": "Rules", "type": "link", "link_url": "https://example.com/rules", "emoji": ":scroll:"}
}

func freshBookmark(_ *testing.T, f *fixture) map[string]string {
	return map[string]string{"bookmark_id": f.make("ada", "/api/v4/channels/"+f.values["channel_id"]+"/bookmarks", newBookmark(f))}
}

func (f *fixture) newUpload() any {
	return m{"channel_id": f.values["channel_id"], "filename": "log.txt", "file_size": len("ahoy")}
}

func freshUpload(t *testing.T, f *fixture) map[string]string {
	t.Helper()
	return map[string]string{"upload_id": f.make("ada", "/api/v4/uploads", f.newUpload())}
}
