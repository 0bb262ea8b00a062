package authz

import (
	"slices"
	"strings"
)

// Role names.
const (
	SystemAdmin = "system_admin"
	SystemUser  = "system_user"
)

// The permissions that code asks for by name. Those for private channels come from Permission.In.
const (
	CreateTeam             Permission = "create_team"
	ListPublicTeams        Permission = "list_public_teams"
	ListPrivateTeams       Permission = "list_private_teams"
	JoinPublicTeams        Permission = "join_public_teams"
	JoinPrivateTeams       Permission = "join_private_teams"
	ViewTeam               Permission = "view_team"
	ManageTeam             Permission = "manage_team"
	AddUserToTeam          Permission = "add_user_to_team"
	RemoveUserFromTeam     Permission = "remove_user_from_team"
	InviteUser             Permission = "invite_user"
	ListTeamChannels       Permission = "list_team_channels"
	JoinPublicChannels     Permission = "join_public_channels"
	ReadPublicChannel      Permission = "read_public_channel"
	CreatePublicChannel    Permission = "create_public_channel"
	ManagePublicProperties Permission = "manage_public_channel_properties"
	DeletePublicChannel    Permission = "delete_public_channel"
	ManagePublicMembers    Permission = "manage_public_channel_members"
	ReadChannel            Permission = "read_channel"
	ReadChannelContent     Permission = "read_channel_content"
	CreatePost             Permission = "create_post"
	CreatePostPublic       Permission = "create_post_public"
	EditPost               Permission = "edit_post"
	EditOthersPosts        Permission = "edit_others_posts"
	DeletePost             Permission = "delete_post"
	DeleteOthersPosts      Permission = "delete_others_posts"
	AddReaction            Permission = "add_reaction"
	RemoveReaction         Permission = "remove_reaction"
	RemoveOthersReactions  Permission = "remove_others_reactions"
	UploadFile             Permission = "upload_file"
	GetPublicLink          Permission = "get_public_link"
	UseChannelMentions     Permission = "use_channel_mentions"
	EditOtherUsers         Permission = "edit_other_users"
	ViewMembers            Permission = "view_members"
	ListUsersWithoutTeam   Permission = "list_users_without_team"
	ManageSystem           Permission = "manage_system"
)

// What the built-in roles of a new deployment allow, as existing clients expect it.
// Each later role may repeat permissions of an earlier one; sets are united.
var builtin = build(map[string]string{
	"system_user": `list_public_teams join_public_teams create_direct_channel create_group_channel view_members create_team
		create_custom_group edit_custom_group delete_custom_group restore_custom_group manage_custom_group_members
		create_emojis delete_emojis`,
	"system_guest": `create_direct_channel create_group_channel`,
	"team_user": `list_team_channels join_public_channels read_public_channel view_team create_public_channel
		create_private_channel invite_user add_user_to_team`,
	"team_guest": `view_team`,
	"team_admin": `manage_team manage_team_roles remove_user_from_team manage_channel_roles manage_incoming_webhooks
		manage_own_incoming_webhooks manage_others_incoming_webhooks manage_outgoing_webhooks manage_own_outgoing_webhooks
		manage_others_outgoing_webhooks manage_slash_commands manage_own_slash_commands manage_others_slash_commands
		bypass_incoming_webhook_channel_lock convert_public_channel_to_private convert_private_channel_to_public
		delete_post delete_others_posts import_team ` + bookmarks,
	"channel_user": `read_channel read_channel_content add_reaction remove_reaction manage_public_channel_members
		manage_private_channel_members upload_file get_public_link create_post edit_post delete_post use_channel_mentions
		use_group_mentions manage_public_channel_properties manage_private_channel_properties delete_public_channel
		delete_private_channel ` + bookmarks,
	"channel_guest": `read_channel read_channel_content add_reaction remove_reaction upload_file edit_post create_post
		use_channel_mentions`,
	"channel_admin": `manage_channel_roles use_group_mentions create_post add_reaction remove_reaction
		manage_public_channel_members manage_private_channel_members use_channel_mentions
		manage_public_channel_banner manage_private_channel_banner ` + bookmarks,
	"system_post_all":          `create_post use_channel_mentions use_group_mentions`,
	"system_post_all_public":   `create_post_public use_channel_mentions use_group_mentions`,
	"team_post_all":            `create_post use_channel_mentions use_group_mentions`,
	"team_post_all_public":     `create_post_public use_channel_mentions use_group_mentions`,
	"system_user_access_token": `create_user_access_token read_user_access_token revoke_user_access_token`,
	"system_admin":             administration,
})

const bookmarks = `add_bookmark_public_channel edit_bookmark_public_channel delete_bookmark_public_channel
	order_bookmark_public_channel add_bookmark_private_channel edit_bookmark_private_channel
	delete_bookmark_private_channel order_bookmark_private_channel`

// administration has the permissions that only administrators have; build adds all others to theirs.
const administration = `manage_system manage_roles edit_other_users list_users_without_team list_private_teams
	join_private_teams manage_oauth manage_system_wide_oauth manage_jobs read_jobs manage_bots manage_others_bots create_bot read_bots
	read_others_bots assign_bot assign_system_admin_role create_post_public create_post_ephemeral edit_others_posts
	remove_others_reactions delete_others_emojis permanent_delete_user manage_secure_connections manage_shared_channels
	demote_to_guest promote_guest invite_guest read_audits read_license_information manage_license_information
	sysconsole_read_about_edition_and_license sysconsole_write_about_edition_and_license
	sysconsole_read_user_management_users sysconsole_write_user_management_users
	sysconsole_read_user_management_teams sysconsole_write_user_management_teams
	sysconsole_read_user_management_channels sysconsole_write_user_management_channels
	sysconsole_read_user_management_permissions sysconsole_write_user_management_permissions
	sysconsole_read_environment_web_server sysconsole_write_environment_web_server
	sysconsole_read_environment_database sysconsole_write_environment_database
	sysconsole_read_environment_file_storage sysconsole_write_environment_file_storage
	sysconsole_read_environment_high_availability sysconsole_write_environment_high_availability
	sysconsole_read_environment_session_lengths sysconsole_write_environment_session_lengths
	sysconsole_read_site_posts sysconsole_write_site_posts sysconsole_read_site_users_and_teams
	sysconsole_write_site_users_and_teams sysconsole_read_authentication_password sysconsole_write_authentication_password
	sysconsole_read_reporting_site_statistics sysconsole_read_reporting_team_statistics sysconsole_read_reporting_server_logs`

func build(lists map[string]string) map[string]*Role {
	roles := make(map[string]*Role, len(lists))
	all := map[Permission]bool{}
	for name, list := range lists {
		r := &Role{Name: name, DisplayName: "authentication.roles." + name + ".name", Scheme: scheme(name), set: map[Permission]bool{}}
		for _, p := range strings.Fields(list) {
			r.set[Permission(p)] = true
			all[Permission(p)] = true
		}
		roles[name] = r
	}
	for p := range all {
		roles[SystemAdmin].set[p] = true
	}
	for _, r := range roles {
		for p := range r.set {
			r.Permissions = append(r.Permissions, p)
		}
		slices.Sort(r.Permissions)
	}
	return roles
}

func scheme(name string) bool {
	return !strings.Contains(name, "post_all") && !strings.HasSuffix(name, "access_token")
}
