package api

import (
	_ "embed"
	"strings"
)

// route is one operation.
type route struct {
	method, path string
	handle       func(*API, *call) error
	session      bool // needs a session
	trust        bool // may come from another site's page: no CSRF check
}

// Flags of the table.
const (
	open  = false // anybody may ask
	known = true  // only who has a session
)

// table is every operation that this version has.
var table = []route{
	{"POST", "/api/v4/users", (*API).createUser, open, false},
	{"GET", "/api/v4/users", (*API).listUsers, known, false},
	{"POST", "/api/v4/users/login", (*API).login, open, false},
	{"POST", "/api/v4/users/login/type", (*API).loginType, open, false},
	{"POST", "/api/v4/users/logout", (*API).logout, open, false},
	{"POST", "/api/v4/users/ids", (*API).usersByIDs, known, false},
	{"POST", "/api/v4/users/usernames", (*API).usersByNames, known, false},
	{"POST", "/api/v4/users/search", (*API).searchUsers, known, false},
	{"GET", "/api/v4/users/autocomplete", (*API).autocompleteUsers, known, false},
	{"GET", "/api/v4/users/stats", (*API).userStats, known, false},
	{"GET", "/api/v4/users/{user_id}", (*API).getUser, known, false},
	{"PUT", "/api/v4/users/{user_id}/patch", (*API).patchUser, known, false},
	{"GET", "/api/v4/users/username/{username}", (*API).userByName, known, false},
	{"GET", "/api/v4/users/email/{email}", (*API).userByEmail, known, false},
	{"GET", "/api/v4/users/{user_id}/sessions", (*API).listSessions, known, false},
	{"POST", "/api/v4/users/{user_id}/typing", (*API).publishTyping, known, false},
	{"GET", "/api/v4/users/{user_id}/status", (*API).userStatus, known, false},
	{"POST", "/api/v4/users/status/ids", (*API).statusesByIDs, known, false},

	{"GET", "/api/v4/users/{user_id}/preferences", (*API).listPreferences, known, false},
	{"PUT", "/api/v4/users/{user_id}/preferences", (*API).setPreferences, known, false},
	{"POST", "/api/v4/users/{user_id}/preferences/delete", (*API).deletePreferences, known, false},
	{"GET", "/api/v4/users/{user_id}/preferences/{category}", (*API).preferencesOfCategory, known, false},
	{"GET", "/api/v4/users/{user_id}/preferences/{category}/name/{preference_name}", (*API).getPreference, known, false},

	{"GET", "/api/v4/roles", (*API).listRoles, known, true},
	{"GET", "/api/v4/roles/{role_id}", (*API).getRole, known, true},
	{"GET", "/api/v4/roles/name/{role_name}", (*API).roleByName, known, true},
	{"POST", "/api/v4/roles/names", (*API).rolesByNames, known, true},

	{"POST", "/api/v4/teams", (*API).createTeam, known, false},
	{"GET", "/api/v4/teams", (*API).listTeams, known, false},
	{"GET", "/api/v4/teams/{team_id}", (*API).getTeam, known, false},
	{"PUT", "/api/v4/teams/{team_id}/patch", (*API).patchTeam, known, false},
	{"DELETE", "/api/v4/teams/{team_id}", (*API).deleteTeam, known, false},
	{"GET", "/api/v4/teams/name/{name}", (*API).teamByName, known, false},
	{"GET", "/api/v4/teams/name/{name}/exists", (*API).teamExists, known, false},
	{"GET", "/api/v4/teams/{team_id}/stats", (*API).teamStats, known, false},
	{"GET", "/api/v4/teams/{team_id}/members", (*API).listTeamMembers, known, false},
	{"POST", "/api/v4/teams/{team_id}/members", (*API).addTeamMember, known, false},
	{"POST", "/api/v4/teams/{team_id}/members/batch", (*API).addTeamMembers, known, false},
	{"POST", "/api/v4/teams/{team_id}/members/ids", (*API).teamMembersByIDs, known, false},
	{"GET", "/api/v4/teams/{team_id}/members/{user_id}", (*API).getTeamMember, known, false},
	{"DELETE", "/api/v4/teams/{team_id}/members/{user_id}", (*API).removeTeamMember, known, false},
	{"GET", "/api/v4/users/{user_id}/teams", (*API).teamsOfUser, known, false},
	{"GET", "/api/v4/users/{user_id}/teams/members", (*API).teamMembersOfUser, known, false},
	{"GET", "/api/v4/users/{user_id}/teams/unread", (*API).teamsUnread, known, false},
	{"GET", "/api/v4/users/{user_id}/teams/{team_id}/unread", (*API).teamUnread, known, false},

	{"POST", "/api/v4/channels", (*API).createChannel, known, false},
	{"GET", "/api/v4/channels/{channel_id}", (*API).getChannel, known, false},
	{"PUT", "/api/v4/channels/{channel_id}/patch", (*API).patchChannel, known, false},
	{"DELETE", "/api/v4/channels/{channel_id}", (*API).deleteChannel, known, false},
	{"GET", "/api/v4/channels/{channel_id}/stats", (*API).channelStats, known, false},
	{"GET", "/api/v4/teams/{team_id}/channels", (*API).publicChannels, known, false},
	{"GET", "/api/v4/teams/{team_id}/channels/name/{channel_name}", (*API).channelByName, known, false},
	{"GET", "/api/v4/teams/name/{team_name}/channels/name/{channel_name}", (*API).channelByTeamName, known, false},
	{"GET", "/api/v4/users/{user_id}/channels", (*API).channelsOfUser, known, false},
	{"GET", "/api/v4/users/{user_id}/teams/{team_id}/channels", (*API).channelsOfUserInTeam, known, false},
	{"GET", "/api/v4/channels/{channel_id}/members", (*API).listChannelMembers, known, false},
	{"POST", "/api/v4/channels/{channel_id}/members", (*API).addChannelMember, known, false},
	{"POST", "/api/v4/channels/{channel_id}/members/ids", (*API).channelMembersByIDs, known, false},
	{"GET", "/api/v4/channels/{channel_id}/members/{user_id}", (*API).getChannelMember, known, false},
	{"DELETE", "/api/v4/channels/{channel_id}/members/{user_id}", (*API).removeChannelMember, known, false},
	{"POST", "/api/v4/channels/members/{user_id}/view", (*API).viewChannel, known, false},
	{"GET", "/api/v4/users/{user_id}/teams/{team_id}/channels/members", (*API).channelMembersOfUser, known, false},
	{"GET", "/api/v4/users/{user_id}/channel_members", (*API).allChannelMembersOfUser, known, false},
	{"GET", "/api/v4/users/{user_id}/channels/{channel_id}/unread", (*API).channelUnread, known, false},
	{"GET", "/api/v4/users/{user_id}/teams/{team_id}/channels/categories", (*API).listCategories, known, false},

	{"POST", "/api/v4/posts", (*API).createPost, known, false},
	{"GET", "/api/v4/posts/{post_id}", (*API).getPost, known, false},
	{"PUT", "/api/v4/posts/{post_id}", (*API).updatePost, known, false},
	{"PUT", "/api/v4/posts/{post_id}/patch", (*API).patchPost, known, false},
	{"DELETE", "/api/v4/posts/{post_id}", (*API).deletePost, known, false},
	{"POST", "/api/v4/posts/{post_id}/pin", (*API).pinPost, known, false},
	{"POST", "/api/v4/posts/{post_id}/unpin", (*API).unpinPost, known, false},
	{"GET", "/api/v4/posts/{post_id}/thread", (*API).getThread, known, false},
	{"GET", "/api/v4/posts/{post_id}/edit_history", (*API).postHistory, known, false},
	{"POST", "/api/v4/posts/ids", (*API).postsByIDs, known, false},
	{"GET", "/api/v4/channels/{channel_id}/posts", (*API).listPosts, known, false},
	{"GET", "/api/v4/channels/{channel_id}/pinned", (*API).pinnedPosts, known, false},
	{"GET", "/api/v4/users/{user_id}/channels/{channel_id}/posts/unread", (*API).unreadPosts, known, false},

	{"POST", "/api/v4/reactions", (*API).addReaction, known, false},
	{"GET", "/api/v4/posts/{post_id}/reactions", (*API).listReactions, known, false},
	{"POST", "/api/v4/posts/ids/reactions", (*API).reactionsOfPosts, known, false},
	{"DELETE", "/api/v4/users/{user_id}/posts/{post_id}/reactions/{emoji_name}", (*API).removeReaction, known, false},

	{"POST", "/api/v4/files", (*API).uploadFiles, known, false},
	{"POST", "/api/v4/uploads", (*API).createUpload, known, false},
	{"GET", "/api/v4/uploads/{upload_id}", (*API).getUpload, known, false},
	{"POST", "/api/v4/uploads/{upload_id}", (*API).uploadData, known, false},
	{"GET", "/api/v4/users/{user_id}/uploads", (*API).listUploads, known, false},

	{"GET", "/api/v4/files/{file_id}", (*API).getFile, known, true},
	{"GET", "/api/v4/files/{file_id}/thumbnail", (*API).fileThumbnail, known, true},
	{"GET", "/api/v4/files/{file_id}/preview", (*API).filePreview, known, true},
	{"GET", "/api/v4/files/{file_id}/link", (*API).fileLink, known, false},
	{"GET", "/api/v4/files/{file_id}/info", (*API).fileInfo, known, false},
	{"GET", "/files/{file_id}/public", (*API).publicFile, open, false},
	{"POST", "/api/v4/files/links/expire", (*API).expireLinks, known, false},
	{"POST", "/api/v4/files/search", (*API).searchFiles, known, false},
	{"POST", "/api/v4/teams/{team_id}/files/search", (*API).searchFilesOfTeam, known, false},
	{"GET", "/api/v4/posts/{post_id}/files/info", (*API).filesOfPost, known, false},
	{"GET", "/api/v4/users/{user_id}/image", (*API).userImage, known, true},
	{"POST", "/api/v4/users/{user_id}/image", (*API).setUserImage, known, false},
	{"DELETE", "/api/v4/users/{user_id}/image", (*API).deleteUserImage, known, false},
	{"GET", "/api/v4/users/{user_id}/image/default", (*API).defaultUserImage, known, true},
	{"GET", "/api/v4/usage/storage", (*API).storageUsage, known, false},

	{"GET", "/api/v4/config/client", (*API).clientConfig, open, false},
	{"GET", "/api/v4/license/client", (*API).clientLicense, open, false},
	{"GET", "/api/v4/system/ping", (*API).ping, open, false},
	{"GET", "/api/v4/system/timezones", (*API).timezones, known, false},
	{"GET", "/api/v4/plugins/webapp", (*API).webPlugins, open, false},
	{"GET", "/api/v4/limits/server", (*API).serverLimits, known, false},
}

// operations lists every operation of the API, one in a row: method, path, name, area.
//
//go:embed operations.tsv
var operations string

var unknownRoute = route{handle: (*API).unknown}

func (a *API) unknown(*call) error { return errUnknown() }

// newRoutes builds the router: what is built, and 501 for the rest of the API.
func newRoutes() (*router, error) {
	top := new(router)
	for i := range table {
		if err := top.add(&table[i]); err != nil {
			return nil, err
		}
	}
	for line := range strings.Lines(operations) {
		f := strings.Split(strings.TrimSpace(line), "\t")
		if len(f) < 4 || f[0] == "method" {
			continue
		}
		r := &route{method: f[0], path: f[1]}
		r.handle = func(*API, *call) error { return notBuilt("the operation " + f[2]) }
		_ = top.add(r) // it is there already: built
	}
	return top, nil
}
