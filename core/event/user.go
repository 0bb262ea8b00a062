package event

import "github.com/nearside/nearside/core"

// UserCreated is a new account.
type UserCreated struct{ User core.UserID }

func (UserCreated) Name() string                 { return "new_user" }
func (UserCreated) To() []Audience               { return []Audience{{}} }
func (e UserCreated) Write(d *Data, _ *Audience) { d.String("user_id", e.User.String()) }
func (e UserCreated) UserChanged() core.UserID   { return e.User }

// UserUpdated is a changed account. The user gets everything; administrators and others get what a
// profile shows them.
type UserUpdated struct{ User core.User }

func (UserUpdated) Name() string { return "user_updated" }

func (e UserUpdated) To() []Audience {
	omit := []core.UserID{e.User.ID}
	return []Audience{{Omit: omit, AdminsOnly: true}, {Omit: omit, OthersOnly: true}, {User: e.User.ID}}
}

func (e UserUpdated) Write(d *Data, to *Audience) {
	u := e.User
	if to.User.IsZero() {
		u.NotifyProps, u.EmailVerified, u.LastPasswordUpdate = nil, false, 0
	}
	d.Value("user", &u)
}

func (e UserUpdated) UserChanged() core.UserID  { return e.User.ID }
func (e UserUpdated) AccountChanged() core.User { return e.User }
