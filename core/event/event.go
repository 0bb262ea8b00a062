package event

import (
	"time"

	"github.com/nearside/nearside/core"
)

// Event is one announcement. Its wire form is {"event":Name,"data":{…},"broadcast":{…}}.
type Event struct {
	Name      string // wire name; "" is for the edge alone and never sent
	Data      []Field
	Audience  Audience
	Effect    Effect        // what the edge's caches must learn before the event is delivered
	Mentions  []core.UserID // recipients who also get "mentions":"[\"<own id>\"]" in data
	Followers []core.UserID // recipients who also get "followers"
}

// Field is one member of data, in wire order. Value is a string, bool, int64, []string,
// map[string]int64, or any JSON-able struct.
type Field struct {
	Key   string
	Value any
	JSON  bool // Value is sent as a string that holds JSON
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

// EffectKind says what an event changes for the caches of an edge.
type EffectKind uint8

// The effects.
const (
	NoEffect       EffectKind = iota
	ChannelJoined             // User is a member of Channel from now on
	ChannelLeft               // User is no longer a member of Channel
	TeamJoined                // User is a member of Team
	TeamLeft                  // User is no longer a member of Team, nor of its channels
	SessionEnded              // Session is over: forget it, close its sockets
	UserChanged               // forget what is cached of User: roles, name, hash
	ChannelChanged            // forget what is cached of Channel
	TeamChanged               // forget what is cached of Team
	PostsChanged              // forget cached pages of Channel's posts
)

// Effect is a change for the edge's caches. Only the fields that its kind names are set.
type Effect struct {
	Kind    EffectKind
	User    core.UserID
	Channel core.ChannelID
	Team    core.TeamID
	Session core.SessionID
	Token   core.TokenHash // of a SessionEnded
}

// Batch is what one entry announced.
type Batch struct {
	Index  core.Index
	At     time.Time
	Events []Event
}
