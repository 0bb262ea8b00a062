package areas_test

import (
	"encoding/json"
	"io"
	"strings"
	"testing"

	"github.com/nearside/nearside/edge/api/apitest"
)

// tour is one good request for each operation, with its body, what it answers, and fields
// that its answer, or the first element of it, must have.
var tour = []struct {
	op, body string
	status   int
	fields   string
}{
	{"GET /users", "", 200, "id username roles props timezone locale"},
	{"POST /users/ids", `["{user_id}"]`, 200, "id username"},
	{"POST /users/usernames", `["ANN"]`, 200, "id username"},
	{"POST /users/search", `{"term":"@an"}`, 200, "id username"},
	{"GET /users/autocomplete", "", 200, "users"},
	{"GET /users/stats", "", 200, "total_users_count"},
	{"GET /users/{user_id}", "", 200, "id create_at update_at delete_at username auth_service email nickname first_name last_name position roles props notify_props locale timezone"},
	{"PUT /users/{user_id}/patch", `{"position":"captain"}`, 200, "id position notify_props"},
	{"GET /users/username/{username}", "", 200, "id"},
	{"GET /users/email/{email}", "", 200, "id"},
	{"GET /users/{user_id}/sessions", "", 200, "id create_at expires_at last_activity_at user_id device_id roles props token is_oauth team_members"},
	{"POST /users/{user_id}/typing", `{"channel_id":"{channel_id}"}`, 200, "status"},
	{"GET /users/{user_id}/status", "", 200, "user_id status manual last_activity_at"},
	{"POST /users/status/ids", `["{user_id}"]`, 200, "user_id status manual last_activity_at"},
	{"GET /users/{user_id}/preferences", "", 200, "user_id category name value"},
	{"PUT /users/{user_id}/preferences", `[{"user_id":"{user_id}","category":"theme","name":"","value":"{}"}]`, 200, "status"},
	{"GET /users/{user_id}/preferences/{category}", "", 200, "user_id category name value"},
	{"GET /users/{user_id}/preferences/{category}/name/{preference_name}", "", 200, "user_id category name value"},
	{"POST /users/{user_id}/preferences/delete", `[{"user_id":"{user_id}","category":"theme","name":""}]`, 200, "status"},
	{"GET /roles", "", 200, "id name permissions"},
	{"GET /roles/{role_id}", "", 200, "id name display_name description permissions scheme_managed built_in"},
	{"GET /roles/name/{role_name}", "", 200, "id name permissions"},
	{"POST /roles/names", `["system_user","nonsense"]`, 200, "id name permissions"},
	{"GET /teams", "", 200, "id name"},
	{"GET /teams/{team_id}", "", 200, "id create_at update_at delete_at display_name name description email type company_name allowed_domains invite_id allow_open_invite"},
	{"PUT /teams/{team_id}/patch", `{"description":"seafarers"}`, 200, "id description"},
	{"GET /teams/name/{name}", "", 200, "id"},
	{"GET /teams/name/{name}/exists", "", 200, "exists"},
	{"GET /teams/{team_id}/stats", "", 200, "team_id total_member_count active_member_count"},
	{"GET /teams/{team_id}/members", "", 200, "team_id user_id roles delete_at scheme_user scheme_admin explicit_roles"},
	{"POST /teams/{team_id}/members", `{"team_id":"{team_id}","user_id":"{other_id}"}`, 201, "team_id user_id roles"},
	{"POST /teams/{team_id}/members/batch", `[{"team_id":"{team_id}","user_id":"{other_id}"}]`, 201, "team_id user_id roles"},
	{"POST /teams/{team_id}/members/ids", `["{user_id}"]`, 200, "team_id user_id roles"},
	{"GET /teams/{team_id}/members/{user_id}", "", 200, "team_id user_id roles"},
	{"GET /users/{user_id}/teams", "", 200, "id name"},
	{"GET /users/{user_id}/teams/members", "", 200, "team_id user_id roles"},
	{"GET /users/{user_id}/teams/unread", "", 200, "team_id msg_count mention_count msg_count_root mention_count_root thread_count thread_mention_count thread_urgent_mention_count"},
	{"GET /users/{user_id}/teams/{team_id}/unread", "", 200, "team_id msg_count mention_count"},
	{"GET /channels/{channel_id}", "", 200, "id create_at update_at delete_at team_id type display_name name header purpose last_post_at total_msg_count extra_update_at creator_id scheme_id props group_constrained shared total_msg_count_root policy_id last_root_post_at"},
	{"PUT /channels/{channel_id}/patch", `{"header":"ahoy"}`, 200, "id header"},
	{"GET /channels/{channel_id}/stats", "", 200, "channel_id member_count guest_count pinnedpost_count files_count"},
	{"GET /teams/{team_id}/channels", "", 200, "id name"},
	{"GET /teams/{team_id}/channels/name/{channel_name}", "", 200, "id name"},
	{"GET /teams/name/{team_name}/channels/name/{channel_name}", "", 200, "id name"},
	{"GET /users/{user_id}/channels", "", 200, "id name"},
	{"GET /users/{user_id}/teams/{team_id}/channels", "", 200, "id name"},
	{"GET /channels/{channel_id}/members", "", 200, "channel_id user_id roles last_viewed_at msg_count mention_count notify_props last_update_at"},
	{"POST /channels/{channel_id}/members", `{"user_ids":["{other_id}"]}`, 201, "channel_id user_id roles"},
	{"POST /channels/{channel_id}/members/ids", `["{user_id}"]`, 200, "channel_id user_id"},
	{"GET /channels/{channel_id}/members/{user_id}", "", 200, "channel_id user_id"},
	{"POST /channels/members/{user_id}/view", `{"channel_id":"{channel_id}","collapsed_threads_supported":true}`, 200, "status last_viewed_at_times"},
	{"GET /users/{user_id}/teams/{team_id}/channels/members", "", 200, "channel_id user_id roles"},
	{"GET /users/{user_id}/channel_members", "", 200, "channel_id user_id team_name team_display_name team_update_at"},
	{"GET /users/{user_id}/channels/{channel_id}/unread", "", 200, "team_id channel_id msg_count mention_count"},
	{"GET /users/{user_id}/teams/{team_id}/channels/categories", "", 200, "categories order"},
	{"GET /posts/{post_id}", "", 200, "id create_at update_at edit_at delete_at is_pinned user_id channel_id root_id original_id message type props hashtags pending_post_id reply_count last_reply_at participants metadata"},
	{"PUT /posts/{post_id}", `{"id":"{post_id}","message":"hello again"}`, 200, "id edit_at"},
	{"PUT /posts/{post_id}/patch", `{"message":"hello once more"}`, 200, "id edit_at"},
	{"POST /posts/{post_id}/pin", "", 200, "status"},
	{"GET /channels/{channel_id}/pinned", "", 200, "order posts"},
	{"POST /posts/{post_id}/unpin", "", 200, "status"},
	{"GET /posts/{post_id}/thread", "", 200, "order posts has_next"},
	{"GET /posts/{post_id}/edit_history", "", 200, "id original_id message delete_at"},
	{"POST /posts/ids", `["{post_id}"]`, 200, "id message"},
	{"GET /channels/{channel_id}/posts", "", 200, "order posts next_post_id prev_post_id first_inaccessible_post_time"},
	{"GET /users/{user_id}/channels/{channel_id}/posts/unread", "", 200, "order posts next_post_id prev_post_id"},
	{"POST /files", apitest.ChannelForm + apitest.FormWith("files", "a.txt", []byte("ahoy")), 201, "file_infos client_ids"},
	{"POST /uploads", `{"channel_id":"{channel_id}","filename":"log.txt","file_size":4}`, 201, "id type create_at user_id channel_id filename file_size file_offset"},
	{"GET /uploads/{upload_id}", "", 200, "id type create_at user_id channel_id filename file_size file_offset"},
	{"GET /users/{user_id}/uploads", "", 200, "id type create_at user_id channel_id filename file_size file_offset"},
	{"POST /uploads/{upload_id}", "ahoy", 201, "id name size mime_type"},
	{"GET /files/{file_id}", "", 200, notJSON},
	{"GET /files/{file_id}/thumbnail", "", 200, notJSON},
	{"GET /files/{file_id}/preview", "", 200, notJSON},
	{"GET /files/{file_id}/link", "", 200, "link"},
	{"GET /files/{file_id}/info", "", 200, "id user_id post_id channel_id create_at update_at delete_at name extension size mime_type width height has_preview_image mini_preview remote_id archived"},
	{"GET /files/{file_id}/public", "", 200, notJSON},
	{"POST /files/links/expire", "", 200, "status"},
	{"POST /files/search", `{"terms":"sail"}`, 200, "order file_infos next_file_info_id prev_file_info_id first_inaccessible_file_time"},
	{"POST /teams/{team_id}/files/search", `{"terms":"ext:png"}`, 200, "order file_infos"},
	{"GET /posts/{post_id}/files/info", "", 200, "id post_id name"},
	{"GET /users/{user_id}/image", "", 200, notJSON},
	{"GET /users/{user_id}/image/default", "", 200, notJSON},
	{"POST /users/{user_id}/image", apitest.PictureForm, 200, "status"},
	{"DELETE /users/{user_id}/image", "", 200, "status"},
	{"GET /usage/storage", "", 200, "bytes"},
	{"POST /posts", `{"channel_id":"{channel_id}","message":"x","pending_post_id":"p:1"}`, 201, "id create_at pending_post_id metadata"},
	{"POST /reactions", `{"user_id":"{user_id}","post_id":"{post_id}","emoji_name":"smile"}`, 200, "user_id post_id emoji_name create_at update_at delete_at remote_id channel_id"},
	{"GET /posts/{post_id}/reactions", "", 200, "user_id post_id emoji_name"},
	{"POST /posts/ids/reactions", `["{post_id}"]`, 200, ""},
	{"DELETE /users/{user_id}/posts/{post_id}/reactions/{emoji_name}", "", 200, "status"},
	{"GET /config/client", "", 200, "Version"},
	{"GET /license/client", "", 200, "IsLicensed"},
	{"GET /system/ping", "", 200, "status"},
	{"GET /system/timezones", "", 200, ""},
	{"GET /plugins/webapp", "", 200, ""},
	{"GET /limits/server", "", 200, "maxUsersLimit activeUserCount"},
	{"POST /users/login/type", `{"login_id":"ann"}`, 200, "auth_service"},
	{"POST /users", `{"username":"eve","email":"eve@example.com","password":"long enough"}`, 201, "id username roles notify_props"},
	{"POST /users/login", `{"login_id":"ann","password":"` + apitest.Password + `"}`, 200, "id username notify_props"},
	{"POST /teams", `{"name":"other","display_name":"Other","type":"I"}`, 201, "id invite_id email"},
	{"POST /channels", `{"team_id":"{team_id}","name":"other","display_name":"Other","type":"P"}`, 201, "id"},
	{"DELETE /posts/{post_id}", "", 200, "status"},
	{"DELETE /channels/{channel_id}/members/{user_id}", "", 200, "status"},
	{"DELETE /channels/{channel_id}", "", 200, "status"},
	{"DELETE /teams/{team_id}/members/{user_id}", "", 200, "status"},
	{"DELETE /teams/{team_id}", "", 200, "status"},
	{"POST /users/logout", "", 200, "status"},
}

const notJSON = "-"

func TestTour_EveryOperation(t *testing.T) {
	// Every row of the table answers a good request with its status and its fields.
	_, s := apitest.NewHome(t)
	ann := s.SignUp(t, "ann")
	bob := s.SignUp(t, "bob")
	ids := apitest.Furnish(ann)
	ids["other_id"] = bob.Me.ID.String()
	ids["upload_id"] = ann.Begin(ids["channel_id"], "log.txt", 4).ID.String()
	var roles []struct{ ID string }
	ann.Must(200, "GET", "/roles", nil, &roles)
	ids["role_id"] = roles[0].ID
	seen := map[string]bool{}
	for _, step := range tour {
		method, path, _ := strings.Cut(step.op, " ")
		seen[step.op] = true
		full := apitest.Filled(path, ids)
		if strings.HasSuffix(path, "/client") {
			full += "?format=old"
		}
		if strings.HasSuffix(path, "/public") {
			full += "?h=" + ann.LinkToken(ids["file_id"])
		}
		var body any
		if step.body != "" {
			body = apitest.Filled(step.body, ids)
		}
		resp := ann.Must(step.status, method, full, body, nil)
		raw, _ := io.ReadAll(resp.Body)
		if step.fields == notJSON {
			continue
		}
		checkFields(t, step.op, raw, strings.Fields(step.fields))
	}
	for _, r := range s.API.Routes() {
		if op := r.Method + " " + strings.TrimPrefix(r.Path, "/api/v4"); !seen[op] {
			t.Errorf("the tour leaves %s out", op)
		}
	}
}

func checkFields(t *testing.T, op string, raw []byte, fields []string) {
	t.Helper()
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Errorf("%s: %v", op, err)
		return
	}
	if l, ok := v.([]any); ok && len(fields) > 0 {
		if len(l) == 0 {
			t.Errorf("%s: an empty list", op)
			return
		}
		v = l[0]
	}
	for _, f := range fields {
		if _, ok := v.(map[string]any)[f]; !ok {
			t.Errorf("%s: no %s in %s", op, f, raw)
		}
	}
}
