package apply

import (
	"fmt"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/authz"
	"github.com/nearside/nearside/core/command"
	"github.com/nearside/nearside/core/event"
)

// Effects is what applying an entry gave.
type Effects struct {
	Outcome []byte // an encoded command.Outcome
	Events  []event.Event
}

// Apply applies one entry to a store. Its error means that the entry cannot be understood: the
// replica must stop. A refusal is no error but an outcome, and leaves the store as it was.
func Apply(store Store, e core.Entry) (Effects, error) {
	by, cmd, err := command.Decode(e.Data)
	if err != nil {
		return Effects{}, fmt.Errorf("entry %d: %w", e.Index, err)
	}
	handle := handlers[cmd.Kind()]
	if handle == nil {
		return Effects{}, fmt.Errorf("entry %d: %w", e.Index, core.E(core.KindUpgrade, "upgrade this node: it cannot apply command %d", cmd.Kind()))
	}
	x := &exec{State: store.State(), entry: e, now: e.At.UnixMilli(), by: by}
	store.Mark()
	result, refusal := x.run(handle, cmd)
	if refusal != nil {
		store.Revert()
		result, x.events = nil, nil
	}
	outcome, err := command.EncodeOutcome(result, refusal)
	if err != nil {
		return Effects{}, fmt.Errorf("entry %d: %w", e.Index, err)
	}
	return Effects{Outcome: outcome, Events: x.events}, nil
}

// handler applies one kind of command.
type handler func(x *exec, c command.Command) (any, error)

// on gives a typed handler the untyped form that the table holds.
func on[C command.Command](h func(x *exec, c C) (any, error)) handler {
	return func(x *exec, c command.Command) (any, error) { return h(x, c.(C)) }
}

// exec is one entry being applied.
type exec struct {
	*State
	entry  core.Entry
	now    int64 // the entry's time in Unix milliseconds
	by     command.Caller
	user   core.User // set by caller()
	events []event.Event
}

// run calls a handler. A panic in it is a bug of ours, but as deterministic as the handler, so
// every replica refuses the entry alike instead of all of them stopping on it for ever.
func (x *exec) run(h handler, c command.Command) (result any, refusal *core.Error) {
	defer func() {
		if p := recover(); p != nil {
			result, refusal = nil, core.E(core.KindInternal, "The server could not do this: a fault in command %d.", c.Kind())
		}
	}()
	if !storable(c) {
		return nil, core.E(core.KindInvalid, "Text may not hold NUL characters, and numbers must be finite.").WithID("api.context.invalid_body_param.app_error")
	}
	result, err := h(x, c)
	if err != nil {
		return nil, core.AsError(err)
	}
	return result, nil
}

// caller gives the user that the command is on behalf of, or refuses.
func (x *exec) caller() (core.User, error) {
	if !x.user.ID.IsZero() {
		return x.user, nil
	}
	s, ok := x.Sessions.Get(x.by.Session)
	if !ok || x.by.Session.IsZero() || s.Expired(x.now) {
		return core.User{}, core.E(core.KindUnauthorized, "Sign in again: the session is over.")
	}
	u, ok := x.Users.Get(s.UserID)
	if !ok || u.DeleteAt != 0 {
		return core.User{}, core.E(core.KindUnauthorized, "Sign in again: the account is closed.")
	}
	x.user = u
	return u, nil
}

// emit announces an event.
func (x *exec) emit(e event.Event) { x.events = append(x.events, e) }

// effect tells the caches of edges, and nobody else.
func (x *exec) effect(e event.Effect) { x.emit(event.Event{Effect: e}) }

// add changes a counter and gives its new value.
func (x *exec) add(counter string, by int64) int64 {
	c, _ := x.Counters.Get(counter)
	c.Name = counter
	c.Value += by
	x.Counters.Put(c)
	return c.Value
}

func (x *exec) count(counter string) int64 {
	c, _ := x.Counters.Get(counter)
	return c.Value
}

// may refuses unless the user's system roles allow p.
func (x *exec) may(u core.User, p authz.Permission) error {
	if authz.Allows(p, u.Roles) {
		return nil
	}
	return forbidden()
}

// mayInTeam refuses unless the user's system roles or roles in the team allow p.
func (x *exec) mayInTeam(u core.User, t core.TeamID, p authz.Permission) error {
	if authz.Allows(p, u.Roles, x.teamRoles(u.ID, t)) {
		return nil
	}
	return forbidden()
}

// mayInChannel refuses unless system roles, or roles in the channel or its team, allow p. A
// team's roles count only for people still in the team.
func (x *exec) mayInChannel(u core.User, c core.Channel, p authz.Permission) error {
	if authz.Allows(p, u.Roles, x.channelRoles(u.ID, c.ID), x.teamRoles(u.ID, c.TeamID)) {
		return nil
	}
	return forbidden()
}

func (x *exec) teamRoles(u core.UserID, t core.TeamID) string {
	if m, ok := x.TeamMembers.Get(TeamUser{t, u}); ok && m.DeleteAt == 0 {
		return m.Roles()
	}
	return ""
}

func (x *exec) channelRoles(u core.UserID, c core.ChannelID) string {
	if m, ok := x.ChannelMembers.Get(ChannelUser{c, u}); ok {
		return m.Roles()
	}
	return ""
}

func forbidden() error {
	return core.E(core.KindForbidden, "You do not have the appropriate permissions.")
}

func notFound(id, format string, args ...any) error {
	return core.E(core.KindNotFound, format, args...).WithID(id)
}

func invalid(id, format string, args ...any) error {
	return core.E(core.KindInvalid, format, args...).WithID(id)
}
