package event

import (
	"time"

	"github.com/nearside/nearside/core"
)

// Event is one thing that happened. An event that changes what caches hold also has methods of the
// kinds of effect below.
type Event interface {
	// Name is the event's name for clients.
	Name() string
	// To gives the audiences, in order. An event without audiences is for caches only.
	To() []Audience
	// Write writes the data that one of the audiences gets.
	Write(d *Data, to *Audience)
}

// Audience says who gets an event; its fields are the broadcast object that clients see. The event is
// sent to User if set, else to the members of Channel if set, else to the members of Team if set, else
// to everybody.
type Audience struct {
	User       core.UserID
	Channel    core.ChannelID
	Team       core.TeamID
	Omit       []core.UserID
	Connection core.ConnectionID // omit_connection_id; set for an event that is ForOthers
	AdminsOnly bool              // contains_sensitive_data
	OthersOnly bool              // contains_sanitized_data: everybody but system administrators
}

// Personal is an event that tells some recipients something about themselves.
type Personal interface {
	Personal() Concerned
}

// Concerned is whom an event tells something about themselves.
type Concerned struct {
	Mentions    []core.UserID // who also get "mentions":"[\"<own id>\"]"
	EveryoneBut core.UserID   // unless zero, everybody else who listens to such mentions gets it too
	Followers   []core.UserID // who also get "followers"
}

// ForOthers is an event that is not sent to the socket that caused it.
type ForOthers interface{ ForOthers() }

// Droppable is an event that a slow client can do without.
type Droppable interface{ Droppable() }

// The kinds of effect: what a cache that holds something of the kind must forget. Effects are
// applied before the event is delivered.
type (
	// UserChanged makes what is cached of a user stale: roles, name, hash.
	UserChanged interface{ UserChanged() core.UserID }
	// TeamChanged makes what is cached of a team stale.
	TeamChanged interface{ TeamChanged() core.TeamID }
	// ChannelChanged makes what is cached of a channel stale.
	ChannelChanged interface{ ChannelChanged() core.ChannelID }
	// PostsChanged makes what is cached of a channel's posts stale.
	PostsChanged interface{ PostsChanged() core.ChannelID }
	// MembershipChanged changes to which channel or team a user belongs.
	MembershipChanged interface{ MembershipChanged() Membership }
	// AccountChanged gives the account of a user as it is from here on: roles, what mentions to listen to.
	AccountChanged interface{ AccountChanged() core.User }
)

// Membership is that of a user in a channel, or in a team if Channel is zero. A user who leaves a team
// is no longer in its channels from that moment.
type Membership struct {
	User    core.UserID
	Channel core.ChannelID
	Team    core.TeamID
	Joined  bool // false: left
}

// quiet is embedded in events that only caches get.
type quiet struct{}

func (quiet) Name() string           { return "" }
func (quiet) To() []Audience         { return nil }
func (quiet) Write(*Data, *Audience) {}

func toUser(u core.UserID) []Audience        { return []Audience{{User: u}} }
func toChannel(ch core.ChannelID) []Audience { return []Audience{{Channel: ch}} }
func toTeam(t core.TeamID) []Audience        { return []Audience{{Team: t}} }

// Batch is what one entry announced.
type Batch struct {
	Index      core.Index
	Proposal   core.ProposalID // of the entry, for traces
	At         time.Time
	Session    core.SessionID    // of the client that caused it
	Connection core.ConnectionID // the session's socket that ForOthers leaves out, if there is one
	Events     []Event
}
