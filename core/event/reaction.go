package event

import "github.com/nearside/nearside/core"

// ReactionAdded is a new reaction to a post.
type ReactionAdded struct{ Reaction core.Reaction }

func (ReactionAdded) Name() string                   { return "reaction_added" }
func (e ReactionAdded) To() []Audience               { return toChannel(e.Reaction.ChannelID) }
func (e ReactionAdded) Write(d *Data, _ *Audience)   { d.JSON("reaction", &e.Reaction) }
func (e ReactionAdded) PostsChanged() core.ChannelID { return e.Reaction.ChannelID }

// ReactionRemoved is a removed reaction.
type ReactionRemoved struct{ Reaction core.Reaction }

func (ReactionRemoved) Name() string                   { return "reaction_removed" }
func (e ReactionRemoved) To() []Audience               { return toChannel(e.Reaction.ChannelID) }
func (e ReactionRemoved) Write(d *Data, _ *Audience)   { d.JSON("reaction", &e.Reaction) }
func (e ReactionRemoved) PostsChanged() core.ChannelID { return e.Reaction.ChannelID }
