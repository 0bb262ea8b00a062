package access

import "github.com/nearside/nearside/core"

// NoUser says that there is no such user, or none that may be known.
func NoUser() *core.Error {
	return core.E(core.KindNotFound, "Unable to find the user.").WithID("app.user.missing_account.const")
}

// NoTeam says that there is no such team, or none that may be known.
func NoTeam() *core.Error {
	return core.E(core.KindNotFound, "Unable to find the team.").WithID("app.team.get.find.app_error")
}

// NoTeamMember says that there is no such membership in a team, or none that may be known.
func NoTeamMember() *core.Error {
	return core.E(core.KindNotFound, "No team member found for that user and team.").WithID("app.team.get_member.missing.app_error")
}

// NoChannel says that there is no such channel, or none that may be known.
func NoChannel() *core.Error {
	return core.E(core.KindNotFound, "Unable to find the channel.").WithID("app.channel.get.existing.app_error")
}

// NoChannelMember says that there is no such membership in a channel, or none that may be known.
func NoChannelMember() *core.Error {
	return core.E(core.KindNotFound, "No channel member found for that user and channel.").WithID("app.channel.get_member.missing.app_error")
}

// NoPost says that there is no such post, or none that may be known.
func NoPost() *core.Error {
	return core.E(core.KindNotFound, "Unable to get the post.").WithID("app.post.get.app_error")
}

// NoTeamOfName says that there is no such team with a name, or none that may be known.
func NoTeamOfName() *core.Error {
	return core.E(core.KindNotFound, "Unable to find the team.").WithID("app.team.get_by_name.missing.app_error")
}
