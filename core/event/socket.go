package event

import "github.com/nearside/nearside/core"

// Hello is the first event of a new connection. No entry announces it or the events below.
type Hello struct {
	User                          core.UserID
	Connection, Hostname, Version string
}

func (Hello) Name() string     { return "hello" }
func (e Hello) To() []Audience { return toUser(e.User) }
func (e Hello) Write(d *Data, _ *Audience) {
	d.String("connection_id", e.Connection)
	d.String("server_hostname", e.Hostname)
	d.String("server_version", e.Version)
}

// Typing tells a channel that a user is typing in it, or in a thread.
type Typing struct {
	User    core.UserID
	Channel core.ChannelID
	Parent  core.PostID
}

func (Typing) Name() string { return "typing" }
func (e Typing) To() []Audience {
	return []Audience{{Channel: e.Channel, Omit: []core.UserID{e.User}}}
}
func (e Typing) Write(d *Data, _ *Audience) {
	d.String("parent_id", e.Parent.String())
	d.String("user_id", e.User.String())
}
func (Typing) Droppable() {}

// StatusChanged tells the clients of a user the status of that user; others must ask for it.
type StatusChanged struct {
	User   core.UserID
	Status string
}

func (StatusChanged) Name() string     { return "status_change" }
func (e StatusChanged) To() []Audience { return toUser(e.User) }
func (e StatusChanged) Write(d *Data, _ *Audience) {
	d.String("status", e.Status)
	d.String("user_id", e.User.String())
}
func (StatusChanged) Droppable() {}
