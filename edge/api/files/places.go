package files

import (
	"sync"

	"github.com/nearside/nearside/core"
)

// places bounds what is under way at once: of one user, and of all at this edge.
type places struct {
	tooMany, busy  core.Refusal
	ofUser, ofEdge int

	mu    sync.Mutex // guards what follows
	all   int
	users map[core.UserID]int
}

// Why there is no place: too many of the user, or of all.
var (
	uploadsOfUserUsed   = core.Refusal{Kind: core.KindLimit, ID: "api.nearside.uploads_of_user.app_error"}
	uploadsBusy         = core.Refusal{Kind: core.KindUnavailable, ID: "api.nearside.uploads_busy.app_error"}
	downloadsOfUserUsed = core.Refusal{Kind: core.KindLimit, ID: "api.nearside.downloads_of_user.app_error"}
	downloadsBusy       = core.Refusal{Kind: core.KindUnavailable, ID: "api.nearside.downloads_busy.app_error"}
)

func newPlaces(ofUser, ofEdge int, tooMany, busy core.Refusal) *places {
	return &places{tooMany: tooMany, busy: busy, ofUser: ofUser, ofEdge: ofEdge, users: map[core.UserID]int{}}
}

// enter takes a place for a user, or for nobody known, who all share one user's. leave gives it
// back.
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
