package api

import (
	"slices"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/authz"
)

// category is a part of somebody's sidebar.
type category struct {
	ID          string           `json:"id"`
	UserID      core.UserID      `json:"user_id"`
	TeamID      core.TeamID      `json:"team_id"`
	SortOrder   int64            `json:"sort_order"`
	Sorting     string           `json:"sorting"`
	Type        string           `json:"type"`
	DisplayName string           `json:"display_name"`
	Muted       bool             `json:"muted"`
	Collapsed   bool             `json:"collapsed"`
	ChannelIDs  []core.ChannelID `json:"channel_ids"`
}

// listCategories answers with the three categories that every sidebar has; own ones are not
// built yet.
func (a *API) listCategories(c *call) error {
	user, err := c.ownUser()
	if err != nil {
		return err
	}
	t, err := c.teamOf(authz.ViewTeam)
	if err != nil {
		return err
	}
	channels, err := a.cfg.Read.ChannelsOf(c.ctx, user, t.ID, false, 0)
	if err != nil {
		return err
	}
	favorites, err := a.cfg.Read.Preferences(c.ctx, user, "favorite_channel")
	if err != nil {
		return err
	}
	make := func(kind, name, sorting string, order int64) category {
		return category{
			ID: kind + "_" + user.String() + "_" + t.ID.String(), UserID: user, TeamID: t.ID, Type: kind, DisplayName: name,
			Sorting: sorting, SortOrder: order, ChannelIDs: []core.ChannelID{},
		}
	}
	cats := []category{
		make("favorites", "Favorites", "", 0), make("channels", "Channels", "", 10),
		make("direct_messages", "Direct Messages", "recent", 20),
	}
	for _, ch := range channels {
		at := 1
		switch {
		case slices.ContainsFunc(favorites, func(p core.Preference) bool { return p.Name == ch.ID.String() && p.Value == "true" }):
			at = 0
		case ch.Type == core.ChannelDirect || ch.Type == core.ChannelGroup:
			at = 2
		}
		cats[at].ChannelIDs = append(cats[at].ChannelIDs, ch.ID)
	}
	return c.ok(map[string]any{"categories": cats, "order": []string{cats[0].ID, cats[1].ID, cats[2].ID}})
}
