package read_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/apply"
	"github.com/nearside/nearside/core/read"
)

// Long lists come whole and in order, some rows at a time.
func TestLongListsInPieces(t *testing.T) {
	s, db := store(t)
	user, other, team := id[core.User]("ann"), id[core.User]("bob"), core.TeamID{1}
	const n = 1201
	put(t, db, func(rows apply.Direct) {
		apply.Users.Put(rows, core.User{ID: user, Username: "ann", Email: "ann@x.org"})
		apply.Teams.Put(rows, core.Team{ID: team, Name: "crew", DisplayName: "Crew", Type: "O"})
		for i := range n {
			name := fmt.Sprintf("channel-%04d", (i*7)%n)
			ch := id[core.Channel](name)
			apply.Channels.Put(rows, core.Channel{ID: ch, TeamID: team, Type: "O", DisplayName: name, Name: name, TotalMsgCount: int64(i)})
			for _, u := range []core.UserID{user, other} {
				apply.ChannelMembers.Put(rows, core.ChannelMember{ChannelID: ch, UserID: u, TeamID: team})
			}
		}
	})
	var names []string
	pieces := 0
	if err := s.EachChannelOf(t.Context(), read.ChannelFilter{User: user, Team: team, Locale: "en"}, func(piece []core.Channel) error {
		if pieces++; len(piece) > 500 {
			t.Errorf("a piece of %d rows", len(piece))
		}
		for _, c := range piece {
			names = append(names, c.Name)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if pieces < 3 || len(names) != n {
		t.Fatalf("%d channels in %d pieces", len(names), pieces)
	}
	for i, name := range names {
		if name != fmt.Sprintf("channel-%04d", i) {
			t.Fatalf("at %d is %s", i, name)
		}
	}
	for page, want := range map[read.Page]int{{}: n, {Size: 200, Number: 6}: 1, {Size: 700}: 700} {
		var last core.ChannelID
		count := 0
		if err := s.EachMembershipIn(t.Context(), user, core.TeamID{}, page, func(piece []read.Membership) error {
			for _, m := range piece {
				if count++; m.UserID != user || m.TeamName != "crew" || slices.Compare(m.ChannelID[:], last[:]) <= 0 {
					t.Fatalf("membership %d: %+v after %v", count, m, last)
				}
				last = m.ChannelID
			}
			return nil
		}); err != nil || count != want {
			t.Errorf("page %+v: %d memberships, want %d; %v", page, count, want, err)
		}
	}
}
