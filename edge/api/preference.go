package api

import (
	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/command"
)

func (a *API) listPreferences(c *call) error {
	id, err := c.ownUser()
	if err != nil {
		return err
	}
	list, err := a.cfg.Read.Preferences(c.ctx, id, "")
	if err != nil {
		return err
	}
	return c.ok(list)
}

func (a *API) preferencesOfCategory(c *call) error {
	id, err := c.ownUser()
	if err != nil {
		return err
	}
	list, err := a.cfg.Read.Preferences(c.ctx, id, c.param("category"))
	switch {
	case err != nil:
		return err
	case len(list) == 0:
		return noPreference()
	}
	return c.ok(list)
}

func (a *API) getPreference(c *call) error {
	id, err := c.ownUser()
	if err != nil {
		return err
	}
	p, ok, err := a.cfg.Read.Preference(c.ctx, id, c.param("category"), c.param("preference_name"))
	switch {
	case err != nil:
		return err
	case !ok:
		return noPreference()
	}
	return c.ok(p)
}

func noPreference() *core.Error {
	return core.E(core.KindNotFound, "Unable to find the preference.").WithID("api.preference.preferences_category.get.app_error")
}

func (a *API) setPreferences(c *call) error {
	list, err := c.preferencesBody()
	if err != nil {
		return err
	}
	if err := c.propose(core.TeamID{}, &command.SetPreferences{Preferences: list}, nil); err != nil {
		return err
	}
	return c.done()
}

func (a *API) deletePreferences(c *call) error {
	list, err := c.preferencesBody()
	if err != nil {
		return err
	}
	if err := c.propose(core.TeamID{}, &command.DeletePreferences{Preferences: list}, nil); err != nil {
		return err
	}
	return c.done()
}

// preferencesBody decodes settings, all of which must be the own ones of the user of the path.
func (c *call) preferencesBody() ([]core.Preference, error) {
	id, err := c.onlyMe()
	if err != nil {
		return nil, err
	}
	var list []core.Preference
	if err := c.decode(&list); err != nil {
		return nil, err
	}
	if len(list) == 0 || len(list) > core.MaxPreferencesPerCall {
		return nil, badParam("preferences")
	}
	for i := range list {
		if list[i].UserID != id {
			return nil, core.E(core.KindForbidden, "Preferences belong to somebody else.").WithID("api.preference.update_preferences.set.app_error")
		}
		if err := list[i].Check(); err != nil {
			return nil, err
		}
	}
	return list, nil
}
