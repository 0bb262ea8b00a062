package apply

import (
	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/command"
	"github.com/nearside/nearside/core/event"
)

// Preferences is the settings of users.
var Preferences = table[PreferenceKey, core.Preference]("preferences")

// PreferenceKey is the key of a preference.
type PreferenceKey struct {
	User     core.UserID `db:"user_id"`
	Category string      `db:"category"`
	Name     string      `db:"name"`
}

// wrongPreferences refuses too few or too many settings, in one command or in total.
var wrongPreferences = core.Refusal{Kind: core.KindInvalid, ID: "api.preference.update_preferences.set.app_error"}

// preferenceSize gives the total size of a user's preferences.
func preferenceSize(u core.UserID) string { return "preferences:" + u.String() }

func setPreferences(x *exec, c *command.SetPreferences) (any, error) {
	u, err := x.ownPreferences(c.Preferences, (*core.Preference).Check)
	if err != nil {
		return nil, err
	}
	if x.putPreferences(u.ID, c.Preferences) > core.MaxPreferencesSize {
		return nil, wrongPreferences.With("reason", "full", "max", core.MaxPreferencesSize>>20)
	}
	x.emit(event.SidebarUpdated{User: u.ID})
	x.emit(event.PreferencesChanged{User: u.ID, Preferences: c.Preferences})
	return nil, nil
}

// putPreferences writes preferences of a user, and gives the size of all that the user then has.
func (x *exec) putPreferences(u core.UserID, list []core.Preference) int64 {
	var more int64
	for _, p := range list {
		was, _ := Preferences.Get(x, PreferenceKey{u, p.Category, p.Name})
		more += p.Size() - was.Size()
		Preferences.Put(x, core.Preference{UserID: u, Category: p.Category, Name: p.Name, Value: p.Value})
	}
	return x.add(preferenceSize(u), more)
}

func deletePreferences(x *exec, c *command.DeletePreferences) (any, error) {
	u, err := x.ownPreferences(c.Preferences, (*core.Preference).CheckForm)
	if err != nil {
		return nil, err
	}
	var less int64
	for _, p := range c.Preferences {
		was, _ := Preferences.Get(x, PreferenceKey{p.UserID, p.Category, p.Name})
		less += was.Size()
		Preferences.Delete(x, PreferenceKey{p.UserID, p.Category, p.Name})
	}
	x.add(preferenceSize(u.ID), -less)
	x.emit(event.SidebarUpdated{User: u.ID})
	x.emit(event.PreferencesDeleted{User: u.ID, Preferences: c.Preferences})
	return nil, nil
}

func (x *exec) ownPreferences(list []core.Preference, check func(*core.Preference) error) (core.User, error) {
	u, err := x.caller()
	if err != nil {
		return u, err
	}
	if len(list) == 0 || len(list) > core.MaxPreferencesPerCall {
		return u, wrongPreferences.With("max", core.MaxPreferencesPerCall)
	}
	for i := range list {
		if list[i].UserID != u.ID {
			return u, forbidden
		}
		if err := check(&list[i]); err != nil {
			return u, err
		}
	}
	return u, nil
}
