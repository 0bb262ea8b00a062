package apply

import (
	"reflect"

	"github.com/nearside/nearside/core"
)

// handlers is the state machine's table: one row for each command, whose number stands in the
// vocabulary of core/command.
var handlers = rows(
	on(createUser),
	on(patchUser),
	on(setUserImage),
	on(verifyEmail),
	on(createSession),
	on(endSession),
	on(countAttempts),
	on(reportAudits),
	on(trimAudits),
	on(reportRefusals),
	on(createTeam),
	on(patchTeam),
	on(deleteTeam),
	on(addTeamMember),
	on(removeTeamMember),
	on(createChannel),
	on(patchChannel),
	on(deleteChannel),
	on(addChannelMember),
	on(removeChannelMember),
	on(viewChannel),
	on(createPost),
	on(patchPost),
	on(deletePost),
	on(setPreferences),
	on(deletePreferences),
	on(addReaction),
	on(removeReaction),
	on(createFile),
	on(shareFile),
	on(expireLinks),
	on(createUpload),
	on(appendUpload),
	on(finishUpload),
	on(createBookmark),
	on(patchBookmark),
	on(sortBookmark),
	on(deleteBookmark),
	on(admitNodes),
	on(renewNode),
	on(revokeNode),
	on(raiseVersion),
	on(continueTask),
)

// handler applies one type of command.
type handler struct {
	typ reflect.Type
	run func(x *exec, c any) (any, error)
}

// on gives a typed handler the untyped form that the table holds.
func on[C any](h func(x *exec, c *C) (any, error)) handler {
	return handler{reflect.TypeFor[*C](), func(x *exec, c any) (any, error) { return h(x, c.(*C)) }}
}

func rows(list ...handler) map[reflect.Type]func(*exec, any) (any, error) {
	out := make(map[reflect.Type]func(*exec, any) (any, error), len(list))
	for _, h := range list {
		out[h.typ] = h.run
	}
	return out
}

// metadata has one row for each thing that is announced with a changed post.
var metadata = []func(x *exec, p *core.Post){
	addReactions,
	addFiles,
}
