package command

import "reflect"

// The numbers. Append-only: never renumber, never reuse.
const (
	KindCreateUser          Kind = 1
	KindPatchUser           Kind = 2
	KindCreateSession       Kind = 10
	KindEndSession          Kind = 11
	KindCreateTeam          Kind = 20
	KindPatchTeam           Kind = 21
	KindAddTeamMember       Kind = 22
	KindRemoveTeamMember    Kind = 23
	KindDeleteTeam          Kind = 24
	KindCreateChannel       Kind = 30
	KindPatchChannel        Kind = 31
	KindDeleteChannel       Kind = 32
	KindAddChannelMember    Kind = 33
	KindRemoveChannelMember Kind = 34
	KindViewChannel         Kind = 35
	KindCreatePost          Kind = 40
	KindPatchPost           Kind = 41
	KindDeletePost          Kind = 42
	KindSetPreferences      Kind = 50
	KindDeletePreferences   Kind = 51
	KindAddReaction         Kind = 60
	KindRemoveReaction      Kind = 61
	KindCreateFile          Kind = 70
	KindShareFile           Kind = 71
	KindExpireLinks         Kind = 72
	KindCreateUpload        Kind = 73
	KindAppendUpload        Kind = 74
	KindFinishUpload        Kind = 75
	KindSetUserImage        Kind = 76
)

// makers is the one row that a new command adds here: how to make room for one.
var makers = map[Kind]func() Command{
	KindCreateUser:          room[CreateUser],
	KindPatchUser:           room[PatchUser],
	KindCreateSession:       room[CreateSession],
	KindEndSession:          room[EndSession],
	KindCreateTeam:          room[CreateTeam],
	KindPatchTeam:           room[PatchTeam],
	KindDeleteTeam:          room[DeleteTeam],
	KindAddTeamMember:       room[AddTeamMember],
	KindRemoveTeamMember:    room[RemoveTeamMember],
	KindCreateChannel:       room[CreateChannel],
	KindPatchChannel:        room[PatchChannel],
	KindDeleteChannel:       room[DeleteChannel],
	KindAddChannelMember:    room[AddChannelMember],
	KindRemoveChannelMember: room[RemoveChannelMember],
	KindViewChannel:         room[ViewChannel],
	KindCreatePost:          room[CreatePost],
	KindPatchPost:           room[PatchPost],
	KindDeletePost:          room[DeletePost],
	KindSetPreferences:      room[SetPreferences],
	KindDeletePreferences:   room[DeletePreferences],
	KindAddReaction:         room[AddReaction],
	KindRemoveReaction:      room[RemoveReaction],
	KindCreateFile:          room[CreateFile],
	KindShareFile:           room[ShareFile],
	KindExpireLinks:         room[ExpireLinks],
	KindCreateUpload:        room[CreateUpload],
	KindAppendUpload:        room[AppendUpload],
	KindFinishUpload:        room[FinishUpload],
	KindSetUserImage:        room[SetUserImage],
}

// room makes an empty command of type T; only pointers implement Command, so that decoding
// can fill them.
func room[T any, P interface {
	*T
	Command
}]() Command {
	return P(new(T))
}

var mapType = reflect.TypeFor[map[string]any]()
