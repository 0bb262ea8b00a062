package apply

import (
	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/command"
)

// handlers is the state machine's table: one row for each command.
var handlers = map[command.Kind]handler{
	command.KindCreateUser:          on(createUser),
	command.KindPatchUser:           on(patchUser),
	command.KindCreateSession:       on(createSession),
	command.KindEndSession:          on(endSession),
	command.KindCreateTeam:          on(createTeam),
	command.KindPatchTeam:           on(patchTeam),
	command.KindDeleteTeam:          on(deleteTeam),
	command.KindAddTeamMember:       on(addTeamMember),
	command.KindRemoveTeamMember:    on(removeTeamMember),
	command.KindCreateChannel:       on(createChannel),
	command.KindPatchChannel:        on(patchChannel),
	command.KindDeleteChannel:       on(deleteChannel),
	command.KindAddChannelMember:    on(addChannelMember),
	command.KindRemoveChannelMember: on(removeChannelMember),
	command.KindViewChannel:         on(viewChannel),
	command.KindCreatePost:          on(createPost),
	command.KindPatchPost:           on(patchPost),
	command.KindDeletePost:          on(deletePost),
	command.KindSetPreferences:      on(setPreferences),
	command.KindDeletePreferences:   on(deletePreferences),
	command.KindAddReaction:         on(addReaction),
	command.KindRemoveReaction:      on(removeReaction),
	command.KindCreateFile:          on(createFile),
	command.KindShareFile:           on(shareFile),
	command.KindExpireLinks:         on(expireLinks),
	command.KindCreateUpload:        on(createUpload),
	command.KindAppendUpload:        on(appendUpload),
	command.KindFinishUpload:        on(finishUpload),
	command.KindSetUserImage:        on(setUserImage),
}

// metadata is the table of what a post carries for its readers when it is announced again.
var metadata = []func(x *exec, p *core.Post){
	addReactions,
	addFiles,
}
