package files

import (
	"sync"

	"github.com/nearside/nearside/core"
)

// places bounds what runs at once, for each user and in total at this edge.
type places struct {
	tooMany, busy  core.Refusal
	ofUser, ofEdge int

	mu    sync.Mutex // guards everything below
	all   int
	users map[core.UserID]int
}

// The reasons why there is no place: too many of the user, or in total.
var (
	uploadsOfUserUsed   = core.Refusal{Kind: core.KindLimit, ID: "api.nearside.uploads_of_user.app_error"}
	uploadsBusy         = core.Refusal{Kind: core.KindUnavailable, ID: "api.nearside.uploads_busy.app_error"}
	downloadsOfUserUsed = core.Refusal{Kind: core.KindLimit, ID: "api.nearside.downloads_of_user.app_error"}
	downloadsBusy       = core.Refusal{Kind: core.KindUnavailable, ID: "api.nearside.downloads_busy.app_error"}
)

func newPlaces(ofUser, ofEdge int, tooMany, busy core.Refusal) *places {
	return &places{tooMany: tooMany, busy: busy, ofUser: ofUser, ofEdge: ofEdge, users: map[core.UserID]int{}}
}

// enter takes a place for a user; requests without a user share the places of one. leave frees
// it.
func (p *places) enter(u core.UserID) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.users[u] >= p.ofUser:
		return p.tooMany.With("max", p.ofUser)
	case p.all >= p.ofEdge:
		return p.busy
	}
	p.all++
	p.users[u]++
	return nil
}

func (p *places) leave(u core.UserID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.all--
	if p.users[u]--; p.users[u] == 0 {
		delete(p.users, u)
	}
}
