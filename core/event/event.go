package event

import (
	"time"

	"github.com/nearside/nearside/core"
)

// Event is one thing that happened. An event that changes what caches hold also has methods of the
// kinds of effect below.
type Event interface {
	// Name is the event's name on the wire.
	Name() string
	// To gives the audiences that are told, in order; none: the event is for caches alone.
	To() []Audience
	// Write writes the data that one of the audiences gets.
	Write(d *Data, to *Audience)
}

// Audience says who gets an event; the fields are the wire's broadcast object. Sent to: User
// alone when set; else members of Channel; else members of Team; else everybody.
type Audience struct {
	User       core.UserID
	Channel    core.ChannelID
	Team       core.TeamID
	Omit       []core.UserID
	AdminsOnly bool // contains_sensitive_data
	OthersOnly bool // contains_sanitized_data: everybody but system administrators
}

// Personal is an event that tells some recipients something about themselves.
type Personal interface {
	// Personal gives those who also get "mentions":"[\"<own id>\"]", and those who get "followers".
	Personal() (mentions, followers []core.UserID)
}

// Droppable is an event that a slow client can do without.
type Droppable interface{ Droppable() }

// The kinds of effect: what a cache that holds something of the kind must forget. Effects are
// applied before the event is delivered.
type (
	// UserChanged makes stale what is kept of a user: roles, name, hash.
	UserChanged interface{ UserChanged() core.UserID }
	// TeamChanged makes stale what is kept of a team.
	TeamChanged interface{ TeamChanged() core.TeamID }
	// ChannelChanged makes stale what is kept of a channel.
	ChannelChanged interface{ ChannelChanged() core.ChannelID }
	// PostsChanged makes stale what is kept of a channel's posts.
	PostsChanged interface{ PostsChanged() core.ChannelID }
	// MembershipChanged changes what a user belongs to.
	MembershipChanged interface{ MembershipChanged() Membership }
	// RolesChanged gives the system roles that a user has from here on.
	RolesChanged interface {
		RolesChanged() (u core.UserID, roles string)
	}
)

// Membership is a user's in a channel, or in a team when Channel is zero. Who leaves a team
// is out of its channels at once.
type Membership struct {
	User    core.UserID
	Channel core.ChannelID
	Team    core.TeamID
	Joined  bool // false: left
}

// quiet is part of an event that only caches learn.
type quiet struct{}

func (quiet) Name() string           { return "" }
func (quiet) To() []Audience         { return nil }
func (quiet) Write(*Data, *Audience) {}

func toUser(u core.UserID) []Audience        { return []Audience{{User: u}} }
func toChannel(ch core.ChannelID) []Audience { return []Audience{{Channel: ch}} }
func toTeam(t core.TeamID) []Audience        { return []Audience{{Team: t}} }

// Batch is what one entry announced.
type Batch struct {
	Index    core.Index
	Proposal core.ProposalID // of the entry, for traces
	At       time.Time
	Events   []Event
}
