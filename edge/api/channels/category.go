package channels

import (
	"slices"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/read"
	"github.com/nearside/nearside/edge/api"
)

// category is a section of a user's sidebar.
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

// sidebar is the sections of a sidebar, and their order.
type sidebar struct {
	Categories []category `json:"categories"`
	Order      []string   `json:"order"`
}

// listCategories answers with the three categories that every sidebar has; custom ones are not
// built yet.
func (s *Service) listCategories(c *api.Call, in api.Two[core.UserID, core.Team]) (sidebar, error) {
	user, team := in.First, in.Second.ID
	channels, err := s.Read.ChannelsOf(c, read.ChannelFilter{User: user, Team: team, Locale: c.User.Locale})
	if err != nil {
		return sidebar{}, err
	}
	favorites, err := s.Read.Preferences(c, user, "favorite_channel")
	if err != nil {
		return sidebar{}, err
	}
	make := func(kind, name, sorting string, order int64) category {
		return category{
			ID: kind + "_" + user.String() + "_" + team.String(), UserID: user, TeamID: team, Type: kind, DisplayName: name,
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
	return sidebar{cats, []string{cats[0].ID, cats[1].ID, cats[2].ID}}, nil
}
