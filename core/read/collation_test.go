package read_test

import (
	"strings"
	"testing"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/apply"
	"github.com/nearside/nearside/core/read"
)

// Lists of names have the order that readers know from their language: neither capitals nor accents come first.
func TestOrderOfNames(t *testing.T) {
	s, db := store(t)
	user := id[core.User]("ann")
	put(t, db, func(rows apply.Direct) {
		for _, name := range strings.Fields("zeta Alpha émile beta Ärger Delta Öl aaa") {
			team, ch := id[core.Team](name), id[core.Channel](name)
			apply.Teams.Put(rows, core.Team{ID: team, Name: team.String(), DisplayName: name, Type: "O", AllowOpenInvite: true})
			apply.TeamMembers.Put(rows, core.TeamMember{TeamID: team, UserID: user})
			apply.Channels.Put(rows, core.Channel{ID: ch, TeamID: core.TeamID{1}, Type: "O", DisplayName: name, Name: ch.String()})
			apply.ChannelMembers.Put(rows, core.ChannelMember{ChannelID: ch, UserID: user, TeamID: core.TeamID{1}})
		}
	})
	const all, usual = "channels of user, public channels, teams, teams of user", "aaa Alpha Ärger beta Delta émile Öl zeta"
	for locale, want := range map[string]string{
		"en": usual, "de": usual, "": usual, "xx": usual, "pt-BR": usual, "zh-TW": usual, `"; DROP`: usual,
		"sv": "aaa Alpha beta Delta émile zeta Ärger Öl", "sv_SE": "aaa Alpha beta Delta émile zeta Ärger Öl",
		"da": "Alpha beta Delta émile zeta Ärger Öl aaa", // "aa" is "å"
	} {
		mine, err1 := s.ChannelsOf(t.Context(), read.ChannelFilter{User: user, Team: core.TeamID{1}, Locale: locale})
		public, err2 := s.PublicChannels(t.Context(), core.TeamID{1}, read.Page{Size: 10}, locale)
		teams, err3 := s.Teams(t.Context(), true, read.Page{Size: 10}, locale)
		member, err4 := s.TeamsOf(t.Context(), user, locale)
		for _, err := range []error{err1, err2, err3, err4} {
			if err != nil {
				t.Fatal(err)
			}
		}
		var lists [4][]string
		for _, c := range mine {
			lists[0] = append(lists[0], c.DisplayName)
		}
		for _, c := range public {
			lists[1] = append(lists[1], c.DisplayName)
		}
		for _, m := range teams {
			lists[2] = append(lists[2], m.DisplayName)
		}
		for _, m := range member {
			lists[3] = append(lists[3], m.DisplayName)
		}
		if locale == "en" {
			plain, err := s.WithoutICU().PublicChannels(t.Context(), core.TeamID{1}, read.Page{Size: 10}, locale)
			if err != nil || len(plain) != len(public) || plain[2].DisplayName != "Ärger" || plain[7].DisplayName != "zeta" {
				t.Errorf("without ICU: %v, %v", plain, err)
			}
		}
		for i, name := range strings.Split(all, ", ") {
			if got := strings.Join(lists[i], " "); got != want {
				t.Errorf("%s in the locale %q: %s\nwant %s", name, locale, got, want)
			}
		}
	}
}
