package access

import "github.com/nearside/nearside/core"

// The refusals for things that do not exist.
var (
	NoUser          = core.Refusal{Kind: core.KindNotFound, ID: "app.user.missing_account.const"}
	NoTeam          = core.Refusal{Kind: core.KindNotFound, ID: "app.team.get.find.app_error"}
	NoInvite        = core.Refusal{Kind: core.KindNotFound, ID: "app.team.get_by_invite_id.finding.app_error"}
	NoTeamMember    = core.Refusal{Kind: core.KindNotFound, ID: "app.team.get_member.missing.app_error"}
	NoChannel       = core.Refusal{Kind: core.KindNotFound, ID: "app.channel.get.existing.app_error"}
	NoChannelMember = core.Refusal{Kind: core.KindNotFound, ID: "app.channel.get_member.missing.app_error"}
	NoPost          = core.Refusal{Kind: core.KindNotFound, ID: "app.post.get.app_error"}
	NoTeamOfName    = core.Refusal{Kind: core.KindNotFound, ID: "app.team.get_by_name.missing.app_error"}
)
