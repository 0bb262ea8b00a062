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

func setPreferences(x *exec, c *command.SetPreferences) (any, error) {
	u, err := x.ownPreferences(c.Preferences)
	if err != nil {
		return nil, err
	}
	for _, p := range c.Preferences {
		Preferences.Put(x, p)
	}
	x.preferencesEvent("preferences_changed", u.ID, c.Preferences)
	return nil, nil
}

func deletePreferences(x *exec, c *command.DeletePreferences) (any, error) {
	u, err := x.ownPreferences(c.Preferences)
	if err != nil {
		return nil, err
	}
	for _, p := range c.Preferences {
		Preferences.Delete(x, PreferenceKey{p.UserID, p.Category, p.Name})
	}
	x.preferencesEvent("preferences_deleted", u.ID, c.Preferences)
	return nil, nil
}

func (x *exec) ownPreferences(list []core.Preference) (core.User, error) {
	u, err := x.caller()
	if err != nil {
		return u, err
	}
	if len(list) == 0 || len(list) > core.MaxPreferencesPerCall {
		return u, invalid("api.preference.update_preferences.set.app_error", "Send 1 to %d preferences.", core.MaxPreferencesPerCall)
	}
	for i := range list {
		if list[i].UserID != u.ID {
			return u, forbidden()
		}
		if err := list[i].Check(); err != nil {
			return u, err
		}
	}
	return u, nil
}

func (x *exec) preferencesEvent(name string, u core.UserID, list []core.Preference) {
	to := event.Audience{User: u}
	x.emit(event.Event{Name: "sidebar_category_updated", Audience: to})
	x.emit(event.Event{Name: name, Data: []event.Field{{Key: "preferences", Value: list, JSON: true}}, Audience: to})
}
