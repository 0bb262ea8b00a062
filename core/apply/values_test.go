package apply_test

import (
	"testing"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/apply"
	"github.com/nearside/nearside/core/command"
)

// A value that clients could not read, or that could pass for another one, is refused by apply too: an
// edge that does not check it changes nothing.
func TestValues_RefusedByApply(t *testing.T) {
	w := newWorld(t)
	ada := w.person("ada")
	team, square := w.team("ada")
	content := core.BlobRef{ID: core.BlobID{1}, Size: 1}
	bad := "\u202enimda"
	zone, status := map[string]string{"manualTimezone": "Eu rope"}, map[string]string{"customStatus": "{"}
	locale, domains, mail := "../..", "a..b", "a@b@example.com"
	for _, c := range []command.Command{
		&command.CreateUser{User: core.User{ID: core.NewID[core.User](w.at), Username: "eve", Email: mail}, OpenServer: true},
		&command.CreateUser{User: core.User{ID: core.NewID[core.User](w.at), Username: "eve", Email: "eve@example.com", Nickname: bad}, OpenServer: true},
		&command.PatchUser{UserID: ada.ID, UserPatch: core.UserPatch{Email: &mail}},
		&command.PatchUser{UserID: ada.ID, UserPatch: core.UserPatch{Nickname: &bad}},
		&command.PatchUser{UserID: ada.ID, UserPatch: core.UserPatch{FirstName: &bad}},
		&command.PatchUser{UserID: ada.ID, UserPatch: core.UserPatch{LastName: &bad}},
		&command.PatchUser{UserID: ada.ID, UserPatch: core.UserPatch{Position: &bad}},
		&command.PatchUser{UserID: ada.ID, UserPatch: core.UserPatch{Locale: &locale}},
		&command.PatchUser{UserID: ada.ID, UserPatch: core.UserPatch{Timezone: &zone}},
		&command.PatchUser{UserID: ada.ID, UserPatch: core.UserPatch{Props: &status}},
		&command.CreateTeam{Team: core.Team{ID: core.NewID[core.Team](w.at), Name: "other", DisplayName: bad, Type: core.TeamOpen}},
		&command.PatchTeam{TeamID: team.ID, TeamPatch: core.TeamPatch{DisplayName: &bad}},
		&command.PatchTeam{TeamID: team.ID, TeamPatch: core.TeamPatch{CompanyName: &bad}},
		&command.PatchTeam{TeamID: team.ID, TeamPatch: core.TeamPatch{AllowedDomains: &domains}},
		&command.CreateChannel{Channel: core.Channel{ID: core.NewID[core.Channel](w.at), TeamID: team.ID, Name: "ducks", DisplayName: "\u3164", Type: core.ChannelOpen}},
		&command.SetPreferences{Preferences: []core.Preference{{UserID: ada.ID, Category: "theme", Value: "zz"}}},
		&command.SetPreferences{Preferences: []core.Preference{{UserID: ada.ID, Category: "recent_emojis", Name: ada.ID.String(), Value: "{}"}}},
		&command.SetPreferences{Preferences: []core.Preference{{UserID: ada.ID, Category: "custom_status", Name: "recent_custom_statuses", Value: "[1]"}}},
		&command.CreateFile{File: core.File{ID: core.NewID[core.File](w.at), ChannelID: square, Name: "a\r\nSet-Cookie: x=1.txt", Size: 1, Content: content}},
		&command.CreateFile{File: core.File{ID: core.NewID[core.File](w.at), ChannelID: square, Name: "\u202egpj.exe", Size: 1, Content: content}},
		&command.CreatePost{Post: core.Post{ChannelID: square, Props: map[string]any{"attachments": []any{map[string]any{"fields": "x"}}}}},
		&command.CreateUpload{Upload: core.Upload{ID: core.NewID[core.Upload](w.at), Type: core.UploadAttachment, ChannelID: square, Filename: "\u202egpj.exe", FileSize: 1}},
	} {
		w.refused("ada", c, core.KindInvalid)
	}
	good := map[string]any{"attachments": []any{map[string]any{"text": "x", "fields": []any{map[string]any{"title": "a"}}}}}
	w.must("ada", &command.CreatePost{Post: core.Post{ChannelID: square, Props: good}}, nil)
}

// A preference is deleted by its name: a client need not know its value, and one that was stored before
// values were checked can still go away.
func TestValues_DeleteWithoutValue(t *testing.T) {
	w := newWorld(t)
	ada := w.person("ada")
	key := core.Preference{UserID: ada.ID, Category: "theme"}
	set := key
	set.Value = `{"sidebarBg":"#145dbf"}`
	w.must("ada", &command.SetPreferences{Preferences: []core.Preference{set}}, nil)
	w.must("ada", &command.DeletePreferences{Preferences: []core.Preference{key}}, nil)
	if _, ok := apply.Preferences.Get(w.rows(), apply.PreferenceKey{User: ada.ID, Category: "theme"}); ok {
		t.Error("the theme is still there")
	}
}
