package accounts

import (
	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/command"
	"github.com/nearside/nearside/edge/api"
)

func (s *Service) listPreferences(c *api.Call, id core.UserID) ([]core.Preference, error) {
	return s.Read.Preferences(c, id, "")
}

func (s *Service) preferencesOfCategory(c *api.Call, id core.UserID) ([]core.Preference, error) {
	list, err := s.Read.Preferences(c, id, c.Param("category"))
	if err == nil && len(list) == 0 {
		err = noPreference
	}
	return list, err
}

func (s *Service) getPreference(c *api.Call, id core.UserID) (core.Preference, error) {
	return api.Found[core.Preference](noPreference)(s.Read.Preference(c, id, c.Param("category"), c.Param("preference_name")))
}

// What preferences can be refused for.
var (
	othersPreferences = core.Refusal{Kind: core.KindForbidden, ID: "api.preference.update_preferences.set.app_error"}
)

var noPreference = core.Refusal{Kind: core.KindNotFound, ID: "api.preference.preferences_category.get.app_error"}

func (s *Service) setPreferences(c *api.Call, id core.UserID, list []core.Preference) (api.Done, error) {
	if err := ownPreferences(id, list, (*core.Preference).Check); err != nil {
		return api.Done{}, err
	}
	return api.Done{}, c.Propose(&command.SetPreferences{Preferences: list}, nil)
}

func (s *Service) deletePreferences(c *api.Call, id core.UserID, list []core.Preference) (api.Done, error) {
	if err := ownPreferences(id, list, (*core.Preference).CheckForm); err != nil {
		return api.Done{}, err
	}
	return api.Done{}, c.Propose(&command.DeletePreferences{Preferences: list}, nil)
}

// ownPreferences refuses preferences of other users.
func ownPreferences(id core.UserID, list []core.Preference, check func(*core.Preference) error) error {
	if len(list) == 0 || len(list) > core.MaxPreferencesPerCall {
		return api.BadParam("preferences")
	}
	for i := range list {
		if list[i].UserID != id {
			return othersPreferences.With("reason", "owner")
		}
		if err := check(&list[i]); err != nil {
			return err
		}
	}
	return nil
}
