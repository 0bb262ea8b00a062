package event

import "github.com/nearside/nearside/core"

// PreferencesChanged is preferences of a user that were set, at most core.MaxPreferencesPerCall.
type PreferencesChanged struct {
	User        core.UserID
	Preferences []core.Preference
}

func (PreferencesChanged) Name() string                 { return "preferences_changed" }
func (e PreferencesChanged) To() []Audience             { return toUser(e.User) }
func (e PreferencesChanged) Write(d *Data, _ *Audience) { d.JSON("preferences", e.Preferences) }

// PreferencesDeleted is preferences of a user that were deleted, at most core.MaxPreferencesPerCall.
type PreferencesDeleted struct {
	User        core.UserID
	Preferences []core.Preference
}

func (PreferencesDeleted) Name() string                 { return "preferences_deleted" }
func (e PreferencesDeleted) To() []Audience             { return toUser(e.User) }
func (e PreferencesDeleted) Write(d *Data, _ *Audience) { d.JSON("preferences", e.Preferences) }

// SidebarUpdated makes a user's clients read the categories of their sidebar again.
type SidebarUpdated struct{ User core.UserID }

func (SidebarUpdated) Name() string           { return "sidebar_category_updated" }
func (e SidebarUpdated) To() []Audience       { return toUser(e.User) }
func (SidebarUpdated) Write(*Data, *Audience) {}
