package posts

import (
	"sync"

	"github.com/nearside/nearside/core"
)

// freshKept is how many new posts are at hand for whoever made them.
const freshKept = 512

// fresh is the newest posts as they were announced, so that who makes one need not read it.
type fresh struct {
	mu    sync.Mutex // guards what follows
	posts map[core.PostID]core.Post
	ring  [freshKept]core.PostID
	next  int
}

func newFresh() *fresh { return &fresh{posts: make(map[core.PostID]core.Post, freshKept)} }

// add keeps a post that was announced.
func (f *fresh) add(p core.Post) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.posts, f.ring[f.next])
	f.posts[p.ID], f.ring[f.next] = p, p.ID
	f.next = (f.next + 1) % freshKept
}

// drop forgets a post that has changed since.
func (f *fresh) drop(id core.PostID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.posts, id)
}

func (f *fresh) get(id core.PostID) (core.Post, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	p, ok := f.posts[id]
	return p, ok
}

// reset forgets everything.
func (f *fresh) reset() {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.posts)
}
