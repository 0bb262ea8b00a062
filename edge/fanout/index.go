package fanout

import (
	"slices"
	"strings"
	"time"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/event"
)

// member is a user with sockets here, with their memberships. Guarded by Hub.mu.
type member struct {
	id       core.UserID
	at       core.Index // the memberships include the effects up to here
	admin    bool
	deaf     bool // to mentions of everybody
	sockets  []*Socket
	channels map[core.ChannelID]core.TeamID // with each channel's team
	teams    map[core.TeamID]struct{}
}

// joining collects the effects for a user whose memberships are being read: those after the
// position of the reading are then applied to it. Guarded by Hub.mu.
type joining struct {
	readers int // calls of Register that wait for memberships
	effects []placed
	void    bool // history was replaced, or there were too many effects: start again
}

// placed is a change of a membership, or of the account if that is set, with its index in the log.
type placed struct {
	at core.Index
	event.Membership
	account *core.User
}

// effect applies an event's change to the indexes before the event is delivered.
func (h *Hub) effect(at core.Index, ev event.Event) {
	if e, ok := ev.(event.MembershipChanged); ok {
		h.changed(placed{at, e.MembershipChanged(), nil})
	}
	if e, ok := ev.(event.AccountChanged); ok {
		u := e.AccountChanged()
		h.changed(placed{at, event.Membership{User: u.ID}, &u})
	}
	if e, ok := ev.(event.SessionEnded); ok {
		h.sessionEnded(e.User, e.Session)
	}
}

func (h *Hub) changed(p placed) {
	if j := h.joining[p.User]; j != nil {
		if j.effects = append(j.effects, p); len(j.effects) > h.lim.Effects {
			j.void, j.effects = true, nil
		}
	}
	if m := h.users[p.User]; m != nil && p.at > m.at {
		h.apply(m, p)
	}
}

// apply applies one change to a member's memberships. A user who leaves a team leaves all its
// channels at once; the events for each channel come later, in pieces.
func (h *Hub) apply(m *member, p placed) {
	switch {
	case p.account != nil:
		m.admin = slices.Contains(strings.Fields(p.account.Roles), "system_admin")
		m.deaf = !p.account.HearsEveryone()
	case !p.Channel.IsZero() && p.Joined:
		link(h.channels, m.channels, p.Channel, p.Team, m)
	case !p.Channel.IsZero():
		unlink(h.channels, m.channels, p.Channel, m)
	case p.Joined:
		link(h.teams, m.teams, p.Team, struct{}{}, m)
	default:
		unlink(h.teams, m.teams, p.Team, m)
		for ch, team := range m.channels {
			if team == p.Team {
				unlink(h.channels, m.channels, ch, m)
			}
		}
	}
}

func link[K comparable, V any](all map[K]map[*member]struct{}, own map[K]V, k K, v V, m *member) {
	if all[k] == nil {
		all[k] = map[*member]struct{}{}
	}
	all[k][m] = struct{}{}
	own[k] = v
}

func unlink[K comparable, V any](all map[K]map[*member]struct{}, own map[K]V, k K, m *member) {
	delete(own, k)
	delete(all[k], m)
	if len(all[k]) == 0 {
		delete(all, k)
	}
}

// add makes a member from memberships that were read, and applies the changes since.
func (h *Hub) add(u core.UserID, got Memberships, since []placed) *member {
	m := &member{
		id: u, at: got.At.Index, admin: got.Admin, deaf: got.Deaf,
		channels: make(map[core.ChannelID]core.TeamID, len(got.Channels)), teams: make(map[core.TeamID]struct{}, len(got.Teams)),
	}
	h.users[u] = m
	for ch, t := range got.Channels {
		link(h.channels, m.channels, ch, t, m)
	}
	for _, t := range got.Teams {
		link(h.teams, m.teams, t, struct{}{}, m)
	}
	for _, p := range since {
		if p.at > m.at {
			h.apply(m, p)
		}
	}
	return m
}

// remove removes a socket from the indexes, and its user if it was their last one.
func (h *Hub) remove(s *Socket) {
	m := s.member
	m.sockets = slices.DeleteFunc(m.sockets, func(o *Socket) bool { return o == s })
	if len(m.sockets) > 0 || h.users[m.id] != m {
		return
	}
	delete(h.users, m.id)
	for ch := range m.channels {
		unlink(h.channels, m.channels, ch, m)
	}
	for t := range m.teams {
		unlink(h.teams, m.teams, t, m)
	}
}

// sessionEnded closes the session's sockets, and remembers the session for a while: a socket that
// was authenticated just before may be about to register.
func (h *Hub) sessionEnded(u core.UserID, id core.SessionID) {
	h.ended.add(id)
	m := h.users[u]
	if m == nil {
		return
	}
	for _, s := range m.sockets {
		if s.client.Session == id {
			h.drop(s, EndSession)
		}
	}
}

// endedSessions are the last sessions that ended. One would be missed only if 1,024 others end
// between a socket's authentication and its registration.
type endedSessions struct {
	ids  [1024]core.SessionID
	next int
}

func (e *endedSessions) add(id core.SessionID) {
	e.ids[e.next%len(e.ids)] = id
	e.next++
}

func (e *endedSessions) has(id core.SessionID) bool { return slices.Contains(e.ids[:], id) }

// deliver queues an event for its audience. The filters are those of the protocol, in its order;
// an event outside the log comes with an empty batch.
func (h *Hub) deliver(b *event.Batch, ev event.Event, now time.Time) {
	d := delivery{hub: h, at: b.Index, ev: ev, now: now}
	if p, ok := ev.(event.Personal); ok {
		d.Concerned = p.Personal()
	}
	var omit core.ConnectionID
	if _, ok := ev.(event.ForOthers); ok {
		omit = b.Connection
		if s := h.byID[omit.String()]; s != nil && s.client.Session == b.Session { // nobody can suppress another user's events
			d.omit = s
		}
	}
	audiences := ev.To()
	for i := range audiences {
		d.audience, d.msg = &audiences[i], nil
		d.audience.Connection = omit
		d.all()
	}
}

// delivery is one event being delivered; it is encoded when an audience has its first recipient.
type delivery struct {
	hub *Hub
	at  core.Index
	ev  event.Event
	event.Concerned
	now      time.Time
	omit     *Socket // gets nothing; nil: none
	audience *event.Audience
	msg      *message // for the audience
	bad      bool     // it cannot be encoded
}

func (d *delivery) all() {
	h, a := d.hub, d.audience
	switch {
	case !a.User.IsZero():
		if m := h.users[a.User]; m != nil {
			d.to(m)
		}
	case !a.Channel.IsZero():
		for m := range h.channels[a.Channel] {
			d.to(m)
		}
	case !a.Team.IsZero():
		for m := range h.teams[a.Team] {
			d.to(m)
		}
	default:
		for _, m := range h.users {
			d.to(m)
		}
	}
}

func (d *delivery) to(m *member) {
	a := d.audience
	if a.AdminsOnly && !m.admin || a.OthersOnly && m.admin || slices.Contains(a.Omit, m.id) || d.bad {
		return
	}
	var own event.Own
	everyone := !d.EveryoneBut.IsZero() && d.EveryoneBut != m.id && !m.deaf
	if everyone || slices.Contains(d.Mentions, m.id) {
		own |= event.WithMentions
	}
	if slices.Contains(d.Followers, m.id) {
		own |= event.WithFollowers
	}
	for _, s := range m.sockets {
		d.socket(s, own)
	}
}

func (d *delivery) socket(s *Socket, own event.Own) {
	if s == d.omit || d.at > 0 && d.at <= s.after {
		return // its client has made the change, or reads state that is at least this new after its hello
	}
	if s.client.expired(d.now) {
		d.hub.drop(s, EndSession)
		return
	}
	if d.msg == nil {
		msg, err := encode(d.ev, d.audience)
		if err != nil {
			// Every replica would fail in the same way, so stopping here would stop them all for
			// ever.
			d.hub.log.Error("event cannot be encoded, dropped", "event", d.ev.Name(), "index", d.at, "err", err)
			d.bad = true
			return
		}
		d.msg = msg
		d.hub.stats.Encoded++
	}
	d.hub.push(s, frame{msg: d.msg, own: own})
}
