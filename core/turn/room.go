package turn

import "sync"

// Room bounds how many may be under way, in all and of one group; strangers are counted apart from those
// who are known.
type Room struct {
	max, maxOne int

	mu  sync.Mutex // guards everything below
	all [2]int     // strangers, known
	one map[Who]int
}

// NewRoom makes a Room for max strangers and as many who are known, and maxOne of one group.
func NewRoom(max, maxOne int) *Room { return &Room{max: max, maxOne: maxOne, one: map[Who]int{}} }

// Enter counts a caller, who must leave, or refuses.
func (r *Room) Enter(who Who) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.one[who] >= r.maxOne:
		return ErrMine
	case r.all[who.index()] >= r.max:
		return ErrFull
	}
	r.one[who]++
	r.all[who.index()]++
	return nil
}

// Leave takes back what Enter has counted.
func (r *Room) Leave(who Who) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all[who.index()]--
	if r.one[who]--; r.one[who] == 0 {
		delete(r.one, who)
	}
}
