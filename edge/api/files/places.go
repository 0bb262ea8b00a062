package files

import (
	"sync"

	"github.com/nearside/nearside/core"
)

// places bounds what is under way at once: of one user, and of all at this edge.
type places struct {
	what           string // plural, as the refusals and their ids say it
	ofUser, ofEdge int

	mu    sync.Mutex // guards what follows
	all   int
	users map[core.UserID]int
}

func newPlaces(what string, ofUser, ofEdge int) *places {
	return &places{what: what, ofUser: ofUser, ofEdge: ofEdge, users: map[core.UserID]int{}}
}

// enter takes a place for a user, or for nobody known, who all share one user's. leave gives it
// back.
func (p *places) enter(u core.UserID) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.users[u] >= p.ofUser:
		return core.E(core.KindLimit, "At most %d of your %s can be under way at once.", p.ofUser, p.what).WithID("api.nearside." + p.what + "_of_user.app_error")
	case p.all >= p.ofEdge:
		return core.E(core.KindUnavailable, "Too many %s are under way at this server. Try again in a few seconds.", p.what).WithID("api.nearside." + p.what + "_busy.app_error")
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
